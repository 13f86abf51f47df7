"""Random search: the baseline that every search has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evonas.config import SearchSettings
from evonas.search.base import Algorithm, Candidate
from evonas.search.fitness import Measurement, require_comparable
from evonas.seeding import Seeds, numpy_state
from evonas.spaces.base import Space


class RandomSearch(Algorithm):
    """As many distinct random networks as there are evaluations, all measured on one state.

    The baseline that Li and Talwalkar ask for (arXiv 1902.07638).
    """

    follows_supernet = False

    @classmethod
    def rounds(cls, settings: SearchSettings) -> int:
        """One, which measures everything."""
        return 1

    def __init__(self, space: Space, settings: SearchSettings, seeds: Seeds) -> None:
        evaluations = settings.completed(budget=True).evaluations
        assert evaluations is not None
        self.space = space
        self._count = evaluations
        self._rng = seeds.numpy("search")

    def ask(self) -> list[Candidate]:
        """The whole budget at once."""
        return self._first_population(self._count, self._rng)

    def tell(self, measured: Sequence[Measurement]) -> None:
        """Nothing is learnt. Raises StaleFitnessError where they are of several states or protocols."""
        require_comparable(measured)

    def state_dict(self) -> dict[str, Any]:
        """The random stream."""
        return {"rng": numpy_state(self._rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._rng.bit_generator.state = state["rng"]
