"""Training of one stand-alone network from scratch, by the recipe that its references share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evonas.arithmetic import Arithmetic, MicroBatches, Say
from evonas.augmentation import Normaliser
from evonas.compiling import Compiled
from evonas.config import RetrainSettings
from evonas.data import ImageData, Part, batches_per_epoch, fixed_batches
from evonas.errors import TrainingError
from evonas.networks import Subnet, build_subnet, initialised
from evonas.recipe import mixing, policy
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.supernet.divergence import mean_loss
from evonas.supernet.sgd import PathSGD
from evonas.supernet.statistics import running_statistics
from evonas.supernet.stretch import Progress, Stretch
from evonas.supernet.training import BatchSource, cosine

AUXILIARY = "auxiliary."  # what the names of the auxiliary head's weights begin with


class ScratchTraining:
    """One network's training, epoch by epoch, so that it can be saved and taken up between epochs.

    Every network of a run that is trained with one number of `repeat` starts from the same named generators: they see
    the same batches in the same order. settings: with auxiliary and drop_path decided.
    """

    def __init__(
        self,
        space: Space,
        genotype: Genotype,
        data: ImageData,
        part: Part,
        settings: RetrainSettings,
        seeds: Seeds,
        arithmetic: Arithmetic,
        *,
        repeat: int = 0,
        say: Say = lambda line: None,
    ) -> None:
        """repeat: which of retrain.seeds it is, from 0. say: is told what had to be done otherwise."""
        self.settings = settings
        self.epoch = 0
        self._part = part
        self._classes = len(data.classes)
        self._arithmetic = arithmetic
        self._seeds = seeds
        self._name = f"retrain.{repeat}" if repeat else "retrain"
        self._source = BatchSource(data, seeds, arithmetic)
        self._normaliser = Normaliser(data.mean, data.std, arithmetic.device)
        with initialised(seeds.number("retrain.weights", repeat)):
            model = build_subnet(space, genotype, data.shape[0], self._classes, auxiliary=bool(settings.auxiliary))
        self.model: Subnet = arithmetic.placed(model)
        self._average = _Average(self.model, settings.ema) if settings.ema else None
        self._parameters = list(self.model.parameters())
        self.optimizer = PathSGD(self.model, settings.momentum, settings.weight_decay)
        self.micro_batches = MicroBatches(say)
        self._stretch = Stretch()
        on_gpu = arithmetic.device.type == "cuda"
        wanted = settings.compile if settings.compile is not None else on_gpu
        self._compiled = Compiled(self.model.training_outputs, say) if wanted else None

    @property
    def done(self) -> bool:
        """Whether all epochs are behind it."""
        return self.epoch >= self.settings.epochs

    @property
    def network(self) -> nn.Module:
        """The network as it is reported: the moving average of its weights where retrain.ema asks for one."""
        return self.model if self._average is None else self._average.network

    def rate(self, share: float = 0.0) -> float:
        """The rate of SGD when `share` of the present epoch is done."""
        return cosine(self.settings.lr, 0.0, (self.epoch + share) / self.settings.epochs)

    def train_epoch(self, progress: Progress = lambda steps: None) -> float:
        """One epoch; returns the mean training loss in nats. Raises TrainingError where it is not finite."""
        steps = batches_per_epoch(len(self._part), self.settings.batch_size)
        where = f"retraining epoch {self.epoch + 1}"

        def step(number: int, batch: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
            return self._step(*batch, self.rate(number / steps))

        losses = self._stretch.run(where, self._batches(), step, progress)
        mean = mean_loss(losses, self.network, "retrain.lr", self.settings.lr, where)
        self.epoch += 1
        return mean

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Images, labels (N,) or probabilities (N, classes), and what drop-path keeps, of one epoch."""
        settings, name = self.settings, self._name
        mixed = mixing(settings, self._classes, self._seeds.number(f"{name}.mixing", self.epoch))
        applied = policy(settings, self._seeds.number(f"{name}.policy", self.epoch))
        draws = self._seeds.torch(f"{name}.drop_path", self.epoch, self._arithmetic.device)
        self.model.train()
        for images, labels in self._source.epoch(
            self._part, settings.batch_size, name, self.epoch, cut=settings.cutout, policy=applied
        ):
            images, targets = mixed(images, labels)
            yield images, targets, self._kept(len(labels), draws)

    def _kept(self, images: int, draws: torch.Generator) -> Tensor | None:
        """By what the outputs of edges are multiplied, (*drop_sites, images): 0, or 1 over the probability to be kept.

        The probability to be dropped grows from 0 in the first epoch, by as much each epoch (DARTS, cnn/train.py).
        """
        if not self.settings.drop_path:
            return None
        dropped = self.settings.drop_path * self.epoch / self.settings.epochs
        sites = (*self.model.drop_sites, images)
        keep = 1.0 - dropped
        return torch.rand(sites, generator=draws, device=draws.device).lt_(keep).div_(keep)

    def _step(self, images: Tensor, labels: Tensor, kept: Tensor | None, lr: float) -> Tensor:
        """One optimiser step on the mean loss of a batch; returns that loss, without the auxiliary head's, detached."""

        def part(rows: slice, share: float) -> Tensor:
            loss, total = self._losses(images[rows], labels[rows], None if kept is None else kept[..., rows])
            (total * share).backward()  # type: ignore[no-untyped-call]
            return loss.detach() * share

        loss = self._guarded(len(labels), part)
        nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self.optimizer.step(self._parameters, lr)
        if self._average is not None:
            self._average.update(self.model)
        return loss

    def _guarded(self, images: int, part: Callable[[slice, float], Tensor]) -> Tensor:
        """The step in micro-batches, and without the compiler where the first compiled step fails."""
        compiled = self._compiled
        try:
            loss = self.micro_batches.run(images, part, self._discard)
        except (torch.cuda.OutOfMemoryError, TrainingError):
            raise
        except Exception as error:  # compilers fail in ways of their own, each with a type of its own
            if compiled is None or compiled.proven or not compiled.active:
                raise
            self._discard()
            compiled.give_up(error)
            loss = self.micro_batches.run(images, part, self._discard)
        if compiled is not None:
            compiled.proven = True
        return loss

    def _losses(self, images: Tensor, labels: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """The network's loss, and the sum with its auxiliary head's that is trained on."""
        outputs = self._compiled or self.model.training_outputs
        with self._arithmetic.autocast():
            logits, auxiliary = outputs(images, kept)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.settings.label_smoothing)
        if auxiliary is None or not self.settings.auxiliary:
            return loss, loss
        second = F.cross_entropy(auxiliary.float(), labels, label_smoothing=self.settings.label_smoothing)
        return loss, loss + self.settings.auxiliary * second

    def _discard(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.inference_mode()
    def error(self, part: Part) -> float:
        """Error in percent on a part, by the network as it is now."""
        wrong = torch.zeros((), dtype=torch.int64, device=self._arithmetic.device)
        with running_statistics(self.network), self._arithmetic.autocast():
            for images, labels in fixed_batches(part, 500):
                logits = self.network(self._arithmetic.laid_out(self._normaliser(images)))
                wrong += (logits.argmax(dim=1) != labels).sum()
        return 100.0 * int(wrong) / len(part)

    def weights(self) -> dict[str, Tensor]:
        """Weights and buffers of the network that is reported, without the auxiliary head, which is for training."""
        state = self.network.state_dict()
        return {name: tensor for name, tensor in state.items() if not name.startswith(AUXILIARY)}

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and the number of epochs done, which is the state of its generators."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "parts": self.micro_batches.parts,
            "stretch": self._stretch.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.micro_batches.parts = state["parts"]
        if "stretch" in state:  # written since checkpoints can hold a part of an epoch
            self._stretch.load_state_dict(state["stretch"])


class _Average:
    """The exponential moving average of a network's weights and buffers (torch's, loaded where it is wanted)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._model = AveragedModel(model, multi_avg_fn=average, use_buffers=True)

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        network: nn.Module = self._model.module
        return network

    def update(self, model: nn.Module) -> None:
        """Take in the weights as they are now."""
        self._model.update_parameters(model)

    def state_dict(self) -> dict[str, Any]:
        """Weights, buffers and the number of updates."""
        return self._model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._model.load_state_dict(state)
