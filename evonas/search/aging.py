"""Regularised (aging) evolution, after Real et al. (arXiv 1802.01548): in each step the oldest member dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from evonas.config import SearchSettings
from evonas.search.base import Algorithm, Candidate
from evonas.search.fitness import Measurement, ranked, require_comparable
from evonas.seeding import Seeds, numpy_state
from evonas.spaces.base import Space


class AgingEvolution(Algorithm):
    """Regularised evolution (Real et al. 2019, arXiv 1802.01548), on a queue of `population` members.

    Each step, the best of `tournament` of them has a child with one unit redrawn, and the oldest leaves. Members stay
    comparable only while the supernet does not change, so it runs on one state: a table, or a supernet as the warm-up
    left it.
    """

    follows_supernet = False

    def __init__(self, space: Space, settings: SearchSettings, seeds: Seeds) -> None:
        settings = settings.completed(budget=True)
        assert settings.population is not None
        self.space = space
        self._size = settings.population
        self._sample = min(settings.tournament, settings.population)
        self._rng = seeds.numpy("search")
        self._queue: deque[Measurement] = deque()

    @classmethod
    def rounds(cls, settings: SearchSettings) -> int:
        """One child a round; a child that is known already costs no evaluation, hence more rounds than evaluations."""
        evaluations = settings.completed(budget=True).evaluations
        assert evaluations is not None
        return 10 * evaluations

    def ask(self) -> list[Candidate]:
        """The first population, later one child."""
        if not self._queue:
            return self._first_population(self._size, self._rng)
        drawn = self._rng.choice(len(self._queue), size=min(self._sample, len(self._queue)), replace=False)
        parent = ranked(self._queue[index] for index in drawn)[0]
        return [Candidate(self.space.neighbour(parent.genotype, 1, self._rng), "child")]

    def tell(self, measured: Sequence[Measurement]) -> None:
        """The new ones enter, the oldest leave. Raises StaleFitnessError where the supernet has changed since."""
        require_comparable([*self._queue, *measured])
        self._queue.extend(measured)
        while len(self._queue) > self._size:
            self._queue.popleft()

    def state_dict(self) -> dict[str, Any]:
        """The queue, oldest first, and the random stream."""
        return {"queue": [member.to_plain() for member in self._queue], "rng": numpy_state(self._rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._queue = deque(Measurement.from_plain(row) for row in state["queue"])
        self._rng.bit_generator.state = state["rng"]
