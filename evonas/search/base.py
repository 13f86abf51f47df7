"""The contract of a search algorithm: ask for everything that the next selection compares, tell all of it at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evonas.config import SearchSettings
from evonas.search.fitness import Measurement
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space

# Draws in a row without a new network, in all or for each place: a space with fewer networks makes a small population.
FEWEST, EACH = 200, 10


@dataclass(frozen=True)
class Candidate:
    """A genotype that waits to be measured, and where it came from: initial, elite, parent, child or immigrant."""

    genotype: Genotype
    origin: str


class Algorithm(ABC):
    """An evolutionary algorithm behind ask and tell.

    `ask` returns the complete set of genotypes that the next selection will compare, so that all of them are measured
    on one supernet state and no fitness outlives the state that gave it. That rule is our reading of the abstract of
    Yuan, Xue and Zhang (GECCO 2023), which precludes unfair comparisons between populations (docs/method.md).

    settings: of the search, completed (`SearchSettings.completed`). seeds: of all that it draws.
    """

    default_objectives: tuple[str, ...] = ("error",)
    follows_supernet: bool = True  # whether it can search while the supernet changes
    exhausted: bool = False  # whether the last ask found fewer networks than it wanted
    keeps_limits: bool = False  # whether it deals with measured violations; else it is given a space without any
    space: Space
    _first: tuple[Genotype, ...] = ()
    _start: Space | None = None

    @abstractmethod
    def __init__(self, space: Space, settings: SearchSettings, seeds: Seeds) -> None:
        """An algorithm at its start."""

    def begin_with(self, genotypes: Sequence[Genotype], space: Space) -> None:
        """Put `genotypes` into the first population, and draw the rest of it from `space`, a part of the whole one.

        Before the first `ask`.
        """
        self._first, self._start = tuple(genotypes), space

    @property
    def repairs(self) -> int:
        """Draws that had to be repaired so far, a bias towards the border of the limits."""
        start = 0 if self._start is None or self._start is self.space else self._start.repairs
        return self.space.repairs + start

    def _first_population(self, size: int, rng: np.random.Generator) -> list[Candidate]:
        """The genotypes to begin with, in order, then random ones up to `size`; no network twice."""
        start = self.space if self._start is None else self._start
        chosen: dict[Genotype, Candidate] = {}
        for genotype in self._first:
            if len(chosen) < size:
                chosen.setdefault(start.canonical(genotype), Candidate(genotype, "initial"))
        fill(chosen, start, size, "initial", lambda: start.sample(rng))
        return list(chosen.values())

    @classmethod
    def rounds(cls, settings: SearchSettings) -> int:
        """Most times that it is asked, by completed settings."""
        assert settings.generations is not None
        return settings.generations

    @abstractmethod
    def ask(self) -> list[Candidate]:
        """The next population, complete, no two of it the same network."""

    def region(self, population: Sequence[Candidate]) -> list[Genotype]:
        """The genotypes around which the supernet is fine-tuned before the asked `population` is measured."""
        return [candidate.genotype for candidate in population]

    @abstractmethod
    def tell(self, measured: Sequence[Measurement]) -> None:
        """Take the measurements of the last `ask`. Raises StaleFitnessError where they are of several states."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything the next `ask` depends on, as plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


def fill(
    chosen: dict[Genotype, Candidate], space: Space, size: int, origin: str, draw: Callable[[], Genotype | None]
) -> None:
    """Add drawn genotypes up to `size`, none the same network as one that is there; the keys are canonical forms.

    A draw of None counts as a failed attempt.
    """
    failed = 0
    while len(chosen) < size and failed < max(FEWEST, EACH * size):
        genotype = draw()
        if genotype is None or (network := space.canonical(genotype)) in chosen:
            failed += 1
        else:
            chosen[network], failed = Candidate(genotype, origin), 0


def random_networks(space: Space, count: int, rng: np.random.Generator) -> list[Genotype]:
    """`count` networks drawn uniformly among the genotypes, distinct in canonical form; fewer where there are fewer."""
    chosen: dict[Genotype, Candidate] = {}
    fill(chosen, space, count, "initial", lambda: space.sample(rng))
    return [candidate.genotype for candidate in chosen.values()]
