"""A population measured by a crew. Its scores equal those of one process, bit for bit on a CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import accumulate, pairwise, takewhile

from evonas.engines.crew import Call, Crew, encoded
from evonas.spaces.base import Genotype
from evonas.supernet.careful import CarefulMeasurer, Scores


class SpreadMeasurer(CarefulMeasurer):
    """A careful measurer whose networks are measured by workers, each with a share of them that begins alike."""

    def __init__(self, measurer: CarefulMeasurer, crew: Crew) -> None:
        super().__init__(measurer.measurer)
        self._crew = crew
        self._state = 0
        self._weights: bytes | None = None
        self._shared: object = None

    def measure(self, genotypes: Sequence[Genotype]) -> Scores:
        """(error in percent, mean cross-entropy in nats) of each genotype; WORST for one that cannot be measured."""
        if len(genotypes) < 2:
            return super().measure(genotypes)
        self._share_weights()
        calls = deque(
            Call("measure", (share, self._state), share, self._shared) for share in shares(genotypes, self._crew.size)
        )
        scores: dict[Genotype, tuple[float, float]] = {}
        for call, found in self._crew.results(calls):
            scores.update(zip(call.about, map(tuple, found["scores"]), strict=True))
            self.reasons.update((call.about[place], what) for place, what in found["reasons"])
        return [scores[genotype] for genotype in genotypes]

    def _share_weights(self) -> None:
        """Put the supernet's weights where the workers find them, once a state."""
        weights = encoded(self.supernet.state_dict())
        if weights != self._weights:
            self._weights, self._state = weights, self._state + 1
            self._shared = self._crew.share(weights)


def shares(genotypes: Sequence[Genotype], workers: int) -> list[list[Genotype]]:
    """The genotypes in at most `workers` shares of near-equal work, none empty.

    In order of their genes those that begin alike lie side by side, and stay together, so that the tree of prefixes
    keeps its gain. The work of one is counted as the genes behind those that it has in common with the one before it.
    """
    ordered = sorted(genotypes)
    fresh = [len(ordered[0])]
    for two in pairwise(ordered):
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*two, strict=True)))
        fresh.append(max(1, len(two[0]) - common))
    found: list[list[Genotype]] = [[] for _ in range(workers)]
    for genotype, work, behind in zip(ordered, fresh, accumulate(fresh), strict=True):
        found[int((behind - work / 2) * workers / sum(fresh))].append(genotype)
    return [share for share in found if share]
