"""Training of one stand-alone network from scratch, by the recipe that its references share."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from evonas.augmentation import normalise
from evonas.config import RetrainSettings
from evonas.data import ImageData, Part, batches_per_epoch, fixed_batches
from evonas.errors import TrainingError
from evonas.networks import build_subnet, initialised
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.supernet.sgd import PathSGD
from evonas.supernet.statistics import running_statistics
from evonas.supernet.training import BatchSource, Progress, cosine


class ScratchTraining:
    """One network's training, epoch by epoch, so that it can be saved and taken up between epochs.

    Every network of a run starts from the same named generators: they see the same batches in the same order.
    """

    def __init__(
        self,
        space: Space,
        genotype: Genotype,
        data: ImageData,
        part: Part,
        settings: RetrainSettings,
        seeds: Seeds,
        memory_format: torch.memory_format,
    ) -> None:
        self.settings = settings
        self.epoch = 0
        self._part = part
        self._data = data
        self._memory_format = memory_format
        self._source = BatchSource(data, seeds, memory_format)
        with initialised(seeds.number("retrain.weights")):
            self.model: nn.Module = build_subnet(space, genotype, data.shape[0], len(data.classes))
        self.model.to(device=part.images.device, memory_format=memory_format)  # type: ignore[call-overload]
        self._parameters = list(self.model.parameters())
        self.optimizer = PathSGD(self.model, settings.momentum, settings.weight_decay)

    @property
    def done(self) -> bool:
        """Whether all epochs are behind it."""
        return self.epoch >= self.settings.epochs

    def train_epoch(self, progress: Progress = lambda steps: None) -> float:
        """One epoch; returns the mean training loss in nats. Raises TrainingError where it is not finite."""
        steps = batches_per_epoch(len(self._part), self.settings.batch_size)
        batches = self._source.epoch(
            self._part, self.settings.batch_size, "retrain", self.epoch, cut=self.settings.cutout
        )
        self.model.train()
        losses = []
        for step, (images, labels) in enumerate(batches):
            rate = cosine(self.settings.lr, 0.0, (self.epoch + step / steps) / self.settings.epochs)
            losses.append(self._step(images, labels, rate))
            progress(1)
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise TrainingError(
                f"the training loss became {mean} in epoch {self.epoch} of retraining; lower retrain.lr "
                f"(now {self.settings.lr:g})"
            )
        self.epoch += 1
        return mean

    def _step(self, images: torch.Tensor, labels: torch.Tensor, lr: float) -> torch.Tensor:
        loss = F.cross_entropy(self.model(images), labels, label_smoothing=self.settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self.optimizer.step(self._parameters, lr)
        return loss.detach()

    @torch.inference_mode()
    def error(self, part: Part) -> float:
        """Error in percent on a part, by the network as it is now."""
        wrong = 0
        with running_statistics(self.model):
            for images, labels in fixed_batches(part, 500):
                inputs = normalise(images, self._data.mean, self._data.std)
                logits = self.model(inputs.contiguous(memory_format=self._memory_format))
                wrong += int((logits.argmax(dim=1) != labels).sum())
        return 100.0 * wrong / len(part)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and the number of epochs done, which is the state of its generators."""
        return {"epoch": self.epoch, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
