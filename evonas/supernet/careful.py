"""Measuring that goes on where one network cannot be measured: it gets the worst fitness, and the reason is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evonas.arithmetic import is_out_of_memory
from evonas.networks import Supernet
from evonas.spaces.base import Genotype
from evonas.supernet.measuring import Measurer

WORST = (100.0, math.inf)  # error in percent, loss in nats
HALVINGS = 3  # of the batch, before memory counts as too short for a network
Scores = list[tuple[float, float]]


class CarefulMeasurer:
    """A measurer whose networks fail one by one.

    reasons: by genotype, what was out of the ordinary about networks measured since it was last emptied.
    """

    def __init__(self, measurer: Measurer) -> None:
        self.reasons: dict[Genotype, str] = {}
        self.measurer = measurer

    @property
    def protocol(self) -> str:
        """How fitness is measured."""
        return self.measurer.protocol

    @property
    def supernet(self) -> Supernet:
        """What is measured on."""
        return self.measurer.supernet

    def measure(self, genotypes: Sequence[Genotype]) -> Scores:
        """(error in percent, mean cross-entropy in nats) of each genotype; WORST for one that cannot be measured."""
        scores = _tried(self.measurer, genotypes)
        if scores is None:
            scores = [self._alone(genotype) for genotype in genotypes]
        return [self._finite(genotype, score) for genotype, score in zip(genotypes, scores, strict=True)]

    def _alone(self, genotype: Genotype) -> tuple[float, float]:
        """One network, in smaller batches where memory is short for it."""
        measurer = self.measurer
        for halvings in range(HALVINGS + 1):
            if halvings:
                measurer = measurer.halved()
            scores = _tried(measurer, [genotype])
            if scores is not None:
                if halvings:
                    self.reasons[genotype] = f"memory is short: measured in batches of {measurer.settings.batch_size}"
                return scores[0]
        self.reasons[genotype] = f"out of memory in batches of {measurer.settings.batch_size}: given the worst fitness"
        return WORST

    def _finite(self, genotype: Genotype, score: tuple[float, float]) -> tuple[float, float]:
        if math.isfinite(score[1]) or score == WORST:
            return score
        self.reasons[genotype] = f"its loss is {score[1]}: given the worst fitness"
        return WORST


def _tried(measurer: Measurer, genotypes: Sequence[Genotype]) -> Scores | None:
    """What the measurer says; None where memory is short."""
    try:
        return measurer.measure(genotypes)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    torch.cuda.empty_cache()  # and not above: the traceback holds on to the tensors that are to be freed
    return None
