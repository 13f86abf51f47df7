"""Fitness of genotypes on the supernet as it is. Measuring changes nothing and depends on no order or company."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from evonas.arithmetic import Arithmetic
from evonas.augmentation import Normaliser
from evonas.config import MeasureSettings
from evonas.data import ImageData, Part, fixed_batches
from evonas.networks import Supernet
from evonas.spaces.base import Genotype
from evonas.supernet.statistics import batch_statistics, recalibrated, running_statistics


class Measurer:
    """Measures paths of one supernet on the fitness part by one protocol.

    The batches are fixed, ordered and the same for every genotype, so that batch statistics belong to the protocol.
    """

    def __init__(self, supernet: Supernet, data: ImageData, settings: MeasureSettings, arithmetic: Arithmetic) -> None:
        self.supernet = supernet
        self.settings = settings
        self._arithmetic = arithmetic
        normaliser = Normaliser(data.mean, data.std, arithmetic.device)

        def prepared(images: torch.Tensor) -> torch.Tensor:
            return arithmetic.laid_out(normaliser(images))

        self._batches = [
            (prepared(images), labels) for images, labels in fixed_batches(data.fitness, settings.batch_size)
        ]
        self._images = len(data.fitness)
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
        text = f"{self.settings.batch_norm} statistics, {self._images} images in batches of {self.settings.batch_size}"
        if self._calibration:
            text += f", calibrated on {sum(len(images) for images in self._calibration)}"
        if self._arithmetic.is_reduced:
            text += f", {str(self._arithmetic.precision).removeprefix('torch.')}"
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
        with self._arithmetic.autocast(), recalibrated(self.supernet, genotype, self._calibration):
            return self._score(genotype)

    @torch.inference_mode()
    def _score(self, genotype: Genotype) -> tuple[float, float]:
        wrong = torch.zeros((), dtype=torch.int64, device=self._batches[0][1].device)
        loss = torch.zeros((), dtype=torch.float64, device=wrong.device)
        for images, labels in self._batches:
            with self._arithmetic.autocast():
                logits = self.supernet(images, genotype).float()
            wrong += (logits.argmax(dim=1) != labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum").double()
        return 100.0 * int(wrong) / self._images, float(loss) / self._images


def _first(part: Part, images: int) -> Part:
    """The first images of a part, whose order mixes the classes."""
    return Part(part.images[:images], part.labels[:images])
