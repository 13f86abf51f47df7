"""Fitness of genotypes on the supernet as it is. Measuring changes nothing and depends on no order or company."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from evonas.arithmetic import Arithmetic
from evonas.augmentation import Normaliser
from evonas.config import MeasureSettings
from evonas.data import ImageData, Part, fixed_batches
from evonas.networks import Supernet
from evonas.spaces.base import Genotype
from evonas.supernet.prefix_tree import PrefixTree, Run
from evonas.supernet.statistics import NodeStatistics, batch_statistics, recalibrated, running_statistics


class Measurer:
    """Measures paths of one supernet on the fitness part by one protocol.

    The batches are fixed, ordered and the same for every genotype, so that batch statistics belong to the protocol.
    """

    def __init__(self, supernet: Supernet, data: ImageData, settings: MeasureSettings, arithmetic: Arithmetic) -> None:
        self.supernet = supernet
        self.settings = settings
        self._arithmetic = arithmetic
        normaliser = Normaliser(data.mean, data.std, arithmetic.device)

        def prepared(images: Tensor) -> Tensor:
            return arithmetic.laid_out(normaliser(images))

        self._batches = [
            (prepared(images), labels) for images, labels in fixed_batches(data.fitness, settings.batch_size)
        ]
        self._images = len(data.fitness)
        self._budget = settings.shared_mib * 2**20
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
        """(error in percent, mean cross-entropy in nats) of each genotype, on the supernet's present weights.

        Where networks are chains, what several of them compute alike is computed once; the values stay the same.
        """
        together = self.settings.shared_mib and self.supernet.chained and len(genotypes) > 1
        return self._measure_together(genotypes) if together else [self._measure_alone(g) for g in genotypes]

    def _measure_alone(self, genotype: Genotype) -> tuple[float, float]:
        """The plain way, and the reference of the other."""
        tally = _Tally(1, self._arithmetic.device)
        with self._arithmetic.autocast(), self._statistics(genotype), torch.inference_mode():
            for images, labels in self._batches:
                tally.add(0, self.supernet(images, genotype), labels)
        return tally.scores(self._images)[0]

    def _statistics(self, genotype: Genotype) -> AbstractContextManager[None]:
        match self.settings.batch_norm:
            case "batch":
                return batch_statistics(self.supernet)
            case "running":
                return running_statistics(self.supernet)
            case "recalibrate":
                return recalibrated(self.supernet, genotype, self._calibration)

    def halved(self) -> Measurer:
        """One that measures the same images in batches of half the size; where these normalise, another protocol."""
        half = copy.copy(self)
        half.settings = self.settings.model_copy(update={"batch_size": max(1, self.settings.batch_size // 2)})
        half._batches = [
            pair
            for images, labels in self._batches
            for pair in zip(images.tensor_split(2), labels.tensor_split(2), strict=True)
            if len(pair[1])
        ]
        return half

    @torch.no_grad()  # inference mode keeps no versions, by which the tree sees who writes into a shared activation
    def _measure_together(self, genotypes: Sequence[Genotype]) -> list[tuple[float, float]]:
        tree = PrefixTree([[part for _, part in self.supernet.path(genotype)] for genotype in genotypes])
        tally = _Tally(len(genotypes), self._arithmetic.device)
        with self._arithmetic.autocast(), self._shared_statistics(tree) as run:
            for images, labels in self._batches:
                for position, logits in tree.walk(images, run, self._budget):
                    tally.add(position, logits, labels)
        return tally.scores(self._images)

    @contextmanager
    def _shared_statistics(self, tree: PrefixTree) -> Iterator[Run]:
        """How a node of the tree runs, with the statistics of the protocol."""
        if self.settings.batch_norm != "recalibrate":
            statistics = batch_statistics if self.settings.batch_norm == "batch" else running_statistics
            with statistics(self.supernet):
                yield lambda node, module, images: module(images)
            return
        gathered = NodeStatistics(self.supernet)
        with gathered.borrowed():
            self.supernet.train()
            for number, images in enumerate(self._calibration):
                for _ in tree.walk(images, partial(gathered.gather, number), self._budget):
                    pass
            self.supernet.eval()
            yield gathered.use


class _Tally:
    """Errors and losses of several networks over the batches, on the device until they are asked for."""

    def __init__(self, networks: int, device: torch.device) -> None:
        self._wrong = torch.zeros(networks, dtype=torch.int64, device=device)
        self._loss = torch.zeros(networks, dtype=torch.float64, device=device)

    def add(self, network: int, logits: Tensor, labels: Tensor) -> None:
        """Count a batch of one network: (N, classes) and (N,)."""
        logits = logits.float()
        self._wrong[network] += (logits.argmax(dim=1) != labels).sum()
        self._loss[network] += F.cross_entropy(logits, labels, reduction="sum").double()

    def scores(self, images: int) -> list[tuple[float, float]]:
        """(error in percent, mean loss in nats) of each network over so many images."""
        return [
            (100.0 * wrong / images, loss / images)
            for wrong, loss in zip(self._wrong.tolist(), self._loss.tolist(), strict=True)
        ]


def _first(part: Part, images: int) -> Part:
    """The first images of a part, whose order mixes the classes."""
    return Part(part.images[:images], part.labels[:images])
