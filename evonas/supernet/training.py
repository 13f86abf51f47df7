"""Training of the shared weights: warm-up, and fine-tuning along the search. One path a step costs one path."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evonas.arithmetic import Arithmetic, MicroBatches, Say
from evonas.augmentation import Normaliser, augment, cutout
from evonas.config import FinetuneSettings, SupernetSettings
from evonas.data import ImageData, Part, batches_per_epoch, training_batches
from evonas.networks import Supernet
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.supernet.divergence import HalvingRate, mean_loss
from evonas.supernet.sampling import WARM_UP_SAMPLERS, Paths, phase_steps, region_paths, uniform_paths
from evonas.supernet.sgd import PathSGD
from evonas.supernet.stretch import Progress, Stretch

MOST_PASSES = 10_000  # passes of one phase; keeps the numbers of the phases' generators apart


def cosine(start: float, end: float, progress: float) -> float:
    """The rate at `progress` (0 to 1) of a cosine from `start` to `end`."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * progress))


def _named(epoch: int) -> str:
    return f"warm-up epoch {epoch + 1}"


class Sharing(Protocol):
    """Processes that share each step: every one of them draws the same batches and paths, and has its own rows."""

    size: int

    def rows(self, images: int) -> slice:
        """Which of a batch of so many images are this process's; perhaps none."""

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""


class BatchSource:
    """Augmented, normalised batches of a part, drawn from two named generators (order, augmentation)."""

    def __init__(self, data: ImageData, seeds: Seeds, arithmetic: Arithmetic, crop: int | None = None) -> None:
        """crop: padding of random crops in pixels; None: the data's."""
        self._data = data
        self._crop = data.crop if crop is None else crop
        self._seeds = seeds
        self._arithmetic = arithmetic
        self._normaliser = Normaliser(data.mean, data.std, arithmetic.device)

    def epoch(
        self,
        part: Part,
        batch_size: int,
        name: str,
        index: int,
        cut: int = 0,
        policy: Callable[[Tensor], Tensor] = lambda images: images,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over `part`: (images float (B, C, H, W), labels (B,)) on the device, epoch `index` of `name`.

        cut: side of the square of cutout. policy: further augmentation, uint8 (B, C, H, W) in and out.
        """
        device = part.images.device
        order = self._seeds.torch(f"{name}.order", index)
        draws = self._seeds.torch(f"{name}.augmentation", index, device)
        for images, labels in training_batches(part, batch_size, order):
            images = policy(augment(images, draws, crop=self._crop, flip=self._data.flip))
            images = self._normaliser(images)
            if cut:
                images = cutout(images, draws, cut)
            yield self._arithmetic.laid_out(images), labels


class SupernetTrainer:
    """Trains one supernet: `warm_up_epoch` first, then one `fine_tune` a generation.

    One uniform path a step is SPOS's warm-up (arXiv 1904.00420). Fine-tuning along the search, on paths in its region,
    is stated by the abstract of Yuan, Xue and Zhang (GECCO 2023); when, how long, at what rate and on which paths is
    our decision (docs/method.md).
    """

    def __init__(
        self,
        space: Space,
        supernet: Supernet,
        data: ImageData,
        settings: SupernetSettings,
        finetune: FinetuneSettings,
        seeds: Seeds,
        arithmetic: Arithmetic,
        say: Say = lambda line: None,
        ranks: Sharing | None = None,
        processes: int = 1,
    ) -> None:
        """say: is told of a shortage of memory, and of fine-tuning that is done again.

        ranks: the processes that share the steps; None: this one alone. processes: that shared them when the run began;
        this one alone then makes its steps in as many parts, to the same end within the tolerance of sums.
        """
        self.space = space
        self.supernet = supernet
        self.settings = settings
        self.finetune = finetune
        self._part = data.weights
        self._source = BatchSource(data, seeds, arithmetic, settings.crop)
        self._arithmetic = arithmetic
        self.ranks = ranks
        self._processes = 1 if ranks is None else ranks.size
        self.micro_batches = MicroBatches(say, parts=max(1, processes // self._processes))
        self.rate = HalvingRate(say)  # of fine-tuning
        self._stretch = Stretch()
        self._seeds = seeds
        self.optimizer = self._fresh_optimizer()
        self._listed: dict[nn.Module, list[nn.Parameter]] = {}

    def _fresh_optimizer(self) -> PathSGD:
        return PathSGD(self.supernet, self.settings.momentum, self.settings.weight_decay)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the weights part."""
        return batches_per_epoch(len(self._part), self.settings.batch_size)

    def steps_per_phase(self, members: int) -> int:
        """Optimiser steps of a fine-tuning phase for a population of `members`."""
        weights = self.finetune.weights.shares()
        steps = max(1, round(self.finetune.epochs * self.steps_per_epoch))
        return phase_steps(members, steps, weights[0] / sum(weights))

    def warm_up_epoch(self, epoch: int, progress: Progress = lambda steps: None) -> float:
        """Epoch number `epoch` of the warm-up; returns the mean training loss in nats. Raises TrainingError."""
        paths = WARM_UP_SAMPLERS[self.settings.sampler](self.space, self._seeds.numpy("warmup.paths", epoch))
        batches = self._source.epoch(self._part, self.settings.batch_size, "warmup", epoch)

        def rate(step: int) -> float:
            return self.warm_up_rate(epoch, step)

        return self._train(batches, paths, rate, "supernet.lr", _named(epoch), progress)

    def warm_up_rate(self, epoch: int, step: int = 0) -> float:
        """The rate of a step of an epoch of the warm-up, both from 0."""
        done = epoch * self.steps_per_epoch + step
        return cosine(self.settings.lr, self.settings.lr_end, done / (self.steps_per_epoch * self.settings.epochs))

    def steps_made(self, epoch: int) -> int:
        """Steps of the warm-up that lie behind at the beginning of `epoch`, with those of it that were made before."""
        return epoch * self.steps_per_epoch + self._stretch.made(_named(epoch))

    def end_warm_up(self) -> None:
        """Forget the momentum, so that a search depends on the warmed-up weights alone and can start from a file."""
        self.optimizer = self._fresh_optimizer()

    def fine_tune(
        self, population: Sequence[Genotype], phase: int, phases: int, progress: Progress = lambda steps: None
    ) -> float:
        """Phase number `phase` (from 0) of `phases`, on the region of `population`; returns the mean loss in nats.

        One cosine from finetune.lr to 0 runs over all phases. A phase that runs away is done again from the state
        before, at half the rate, which later phases keep. Raises TrainingError where that has not helped three times.
        """
        steps = self.steps_per_phase(len(population))

        def rate(step: int) -> float:
            return self.fine_tune_rate(phase + step / steps, phases)

        def train() -> float:
            rng = self._seeds.numpy("finetune.paths", phase)
            paths: Iterator[Paths]
            if self.finetune.sampler == "region":
                paths = iter(region_paths(self.space, population, self.finetune, steps, rng))
            else:
                paths = uniform_paths(self.space, rng)
            where = f"fine-tuning phase {phase + 1}"
            return self._train(self._endless(phase, steps), paths, rate, "finetune.lr", where, progress)

        return self.rate.run(train, self.supernet, self.optimizer)

    def fine_tune_rate(self, phase: float, phases: int) -> float:
        """The rate when `phase` of all phases are done."""
        return self.rate.share * cosine(self.finetune.lr, 0.0, phase / phases)

    def fine_tune_candidate(self, genotype: Genotype, index: int, members: int, phase: int, phases: int) -> float:
        """The share of phase `phase` that candidate `index` of `members` has, on its own path alone.

        Supernet Shifting (arXiv 2403.11380) trains each candidate right before it is measured. What a candidate scores
        then depends on how many came before it, which is why this is for comparison only.
        """
        steps = max(1, round(self.steps_per_phase(members) / members))

        def rate(step: int) -> float:
            return self.fine_tune_rate(phase + (index + step / steps) / members, phases)

        def train() -> float:
            batches = self._endless(phase * MOST_PASSES + index, steps)
            where = f"fine-tuning on candidate {index + 1} of phase {phase + 1}"
            return self._train(batches, repeat([genotype]), rate, "finetune.lr", where, lambda steps: None)

        return self.rate.run(train, self.supernet, self.optimizer)

    def _endless(self, phase: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps` batches of phase `phase`, from as many passes as they take."""
        passes = (
            self._source.epoch(self._part, self.settings.batch_size, "finetune", phase * MOST_PASSES + number)
            for number in range(MOST_PASSES)
        )
        yield from islice(chain.from_iterable(passes), steps)

    def _train(
        self,
        batches: Iterator[tuple[Tensor, Tensor]],
        paths: Iterator[Paths],
        rate: Callable[[int], float],
        setting: str,
        where: str,
        progress: Progress,
    ) -> float:
        def step(number: int, batch: tuple[tuple[Tensor, Tensor], Paths]) -> Tensor:
            (images, labels), genotypes = batch
            return self._step(images, labels, genotypes, rate(number))

        self.supernet.train()
        losses = self._stretch.run(where, zip(batches, paths, strict=False), step, progress)
        return mean_loss(losses, self.supernet, setting, rate(0), where)

    def _step(self, images: Tensor, labels: Tensor, genotypes: Paths, lr: float) -> Tensor:
        """One optimiser step on the mean loss of the given paths over one batch; returns that loss, detached."""
        used = self._parameters_of(genotypes)
        whole = len(labels)
        if self.ranks is not None:
            mine = self.ranks.rows(whole)
            images, labels = images[mine], labels[mine]

        def part(rows: slice, share: float) -> Tensor:
            losses = []
            share *= len(labels) / whole
            for genotype in genotypes:
                with self._arithmetic.autocast():
                    logits = self.supernet(images[rows], genotype)
                loss = F.cross_entropy(logits.float(), labels[rows]) * (share / len(genotypes))
                loss.backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
            return torch.stack(losses).sum()

        def discard() -> None:
            for parameter in used:
                parameter.grad = None

        loss = self.micro_batches.run(len(labels), part, discard) if len(labels) else images.new_zeros(())
        if self.ranks is not None:
            self._add_up(self.ranks, loss, used, genotypes)
        nn.utils.clip_grad_norm_(used, self.settings.clip)
        self.optimizer.step(used, lr)
        return loss

    @torch.no_grad()
    def _add_up(self, ranks: Sharing, loss: Tensor, used: Sequence[nn.Parameter], genotypes: Paths) -> None:
        """Make loss and gradients those of the whole batch, and running statistics the mean of the processes'."""
        for parameter in used:
            if parameter.grad is None:  # no rows here
                parameter.grad = torch.zeros_like(parameter)
        norms = {id(norm): norm for genotype in genotypes for norm in self.supernet.path_norms(genotype)}
        statistics = [s for norm in norms.values() for s in (norm.running_mean, norm.running_var) if s is not None]
        for statistic in statistics:
            statistic.div_(ranks.size)
        ranks.add_up([loss, *(parameter.grad for parameter in used if parameter.grad is not None), *statistics])

    def _parameters_of(self, genotypes: Paths) -> list[nn.Parameter]:
        """What the paths use, each once. Parts are asked for their parameters once, as torch looks long for them."""
        used = {}
        for genotype in genotypes:
            for _, part in self.supernet.path(genotype):
                if part not in self._listed:
                    self._listed[part] = list(part.parameters())
                used.update({id(parameter): parameter for parameter in self._listed[part]})
        return list(used.values())

    def state_dict(self) -> dict[str, Any]:
        """Weights, buffers and optimiser, as tensors and plain data."""
        return {
            "supernet": self.supernet.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "parts": self.micro_batches.parts * self._processes,
            "rate": self.rate.state_dict(),
            "stretch": self._stretch.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.supernet.load_state_dict(state["supernet"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.micro_batches.parts = max(1, state["parts"] // self._processes)
        if isinstance(state.get("rate"), dict):  # what was written before has no stretch that was under way
            self.rate.load_state_dict(state["rate"])
            self._stretch.load_state_dict(state["stretch"])
        else:
            self.rate.share = state.get("rate", 1.0)
