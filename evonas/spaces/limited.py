"""A space cut down to the networks that keep limits of cost; its operators stay inside, by rejection and repair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from evonas.spaces.base import Genotype, Space

Costs = Callable[[Genotype], Mapping[str, float]]


class LimitedSpace(Space):
    """The genotypes of a space whose costs are at most `limits`, in the unit of each. How it keeps inside is ours.

    Operators draw again what breaks a limit, as for any other genotype that is not valid, and repair the last draw
    where that goes on for too long: unit by unit, the change that takes most off the excess, at most one for each unit.
    """

    tries = 50  # limits may leave few networks; a repair is near at hand, and counted

    def __init__(self, space: Space, costs: Costs, limits: Mapping[str, float]) -> None:
        self.space = space
        self.name = space.name
        self._costs = costs
        self._limits = dict(limits)
        self._known: dict[Genotype, float] = {}  # excess by genotype, each counted once

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Those of the whole space."""
        return self.space.cardinalities

    @property
    def units(self) -> tuple[slice, ...]:
        """Those of the whole space."""
        return self.space.units

    def canonical(self, genotype: Genotype) -> Genotype:
        """That of the whole space."""
        return self.space.canonical(genotype)

    def describe(self, genotype: Genotype) -> list[str]:
        """That of the whole space."""
        return self.space.describe(genotype)

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A genotype drawn uniformly from those that keep the limits."""
        return self._drawn(lambda: self.space.sample(rng))

    def frequencies(self, population: Sequence[Genotype], beta: float) -> list[np.ndarray]:
        """Those of the whole space."""
        return self.space.frequencies(population, beta)

    def sample_from(self, frequencies: Sequence[np.ndarray], rng: np.random.Generator) -> Genotype:
        """A genotype that keeps the limits, drawn as the whole space draws it."""
        return self._drawn(lambda: self.space.sample_from(frequencies, rng))

    def _redrawn(self, genotype: Genotype, chosen: np.ndarray, rng: np.random.Generator) -> Genotype:
        return self.space._redrawn(genotype, chosen, rng)

    def excess(self, genotype: Genotype) -> float:
        """Sum over the limits of what is beyond them, as shares of the limits; 0 where all are kept."""
        if genotype not in self._known:
            costs = self._costs(genotype)
            self._known[genotype] = sum(max(0.0, costs[name] / limit - 1.0) for name, limit in self._limits.items())
        return self._known[genotype]

    def is_valid(self, genotype: Sequence[int]) -> bool:
        """Whether it is a genotype of the whole space that keeps the limits."""
        return self.space.is_valid(genotype) and self.excess(tuple(genotype)) == 0

    def repair(self, genotype: Sequence[int]) -> Genotype:
        """The space's repair, then one unit after another changed to what takes most off the excess."""
        repaired = self.space.repair(genotype)
        for _ in self.units:
            if self.excess(repaired) == 0:
                break
            options = [repaired, *self._changed(repaired)]
            repaired = min(options, key=lambda option: (self.excess(option), option))
        return repaired

    def _changed(self, genotype: Genotype) -> list[Genotype]:
        """The genotypes of the whole space with one unit changed."""
        changed = [
            (*genotype[: unit.start], *values, *genotype[unit.stop :])
            for unit in self.units
            for values in product(*(range(n) for n in self.cardinalities[unit]))
        ]
        return [option for option in changed if self.space.is_valid(option)]
