"""Fitness of genotypes on the supernet as it is. Measuring changes nothing and depends on no order or company."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from evonas.augmentation import normalise
from evonas.config import MeasureSettings
from evonas.data import ImageData, Part, fixed_batches
from evonas.networks import Supernet
from evonas.spaces.base import Genotype
from evonas.supernet.statistics import batch_statistics, recalibrated, running_statistics


class Measurer:
    """Measures paths of one supernet on `part` of the images by one protocol, which bears the part's `name`.

    The batches are fixed, ordered and the same for every genotype, so that batch statistics belong to the protocol.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        part: Part,
        settings: MeasureSettings,
        memory_format: torch.memory_format,
        name: str = "fitness",
    ) -> None:
        """data: whose mean and deviation normalise, and whose weights part recalibrates statistics."""
        self.supernet = supernet
        self.settings = settings
        self._name = name

        def prepared(images: torch.Tensor) -> torch.Tensor:
            return normalise(images, data.mean, data.std).contiguous(memory_format=memory_format)

        self._batches = [(prepared(images), labels) for images, labels in fixed_batches(part, settings.batch_size)]
        self._images = len(part)
        self._calibration = (
            [
                prepared(images)
                for images, _ in fixed_batches(_first(data.weights, settings.calibration_images), settings.batch_size)
            ]
            if settings.batch_norm == "recalibrate"
            else []
        )

    @property
    def protocol(self) -> str:
        """How fitness is measured, in words that differ where measurements do not compare."""
        images = f"{self._images} {self._name} images in batches of {self.settings.batch_size}"
        text = f"{self.settings.batch_norm} statistics, {images}"
        if self._calibration:
            text += f", calibrated on {sum(len(images) for images in self._calibration)}"
        return text

    def measure(self, genotypes: Sequence[Genotype]) -> list[tuple[float, float]]:
        """(error in percent, mean cross-entropy in nats) of each genotype, on the supernet's present weights."""
        match self.settings.batch_norm:
            case "batch":
                with batch_statistics(self.supernet):
                    return [self._score(genotype) for genotype in genotypes]
            case "running":
                with running_statistics(self.supernet):
                    return [self._score(genotype) for genotype in genotypes]
            case "recalibrate":
                return [self._recalibrated_score(genotype) for genotype in genotypes]

    def _recalibrated_score(self, genotype: Genotype) -> tuple[float, float]:
        with recalibrated(self.supernet, genotype, self._calibration):
            return self._score(genotype)

    @torch.inference_mode()
    def _score(self, genotype: Genotype) -> tuple[float, float]:
        wrong = torch.zeros((), dtype=torch.int64, device=self._batches[0][1].device)
        loss = torch.zeros((), dtype=torch.float64, device=wrong.device)
        for images, labels in self._batches:
            logits = self.supernet(images, genotype)
            wrong += (logits.argmax(dim=1) != labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum").double()
        return 100.0 * int(wrong) / self._images, float(loss) / self._images


def _first(part: Part, images: int) -> Part:
    """The first images of a part, whose order mixes the classes."""
    return Part(part.images[:images], part.labels[:images])
