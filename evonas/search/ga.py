"""The genetic algorithm, on DEAP; the only module that imports it.

DEAP's tools draw from Python's global `random`. This adapter owns a stream of its own, swaps it in around every call of
a tool and puts the caller's back, so that the global stream is neither read nor moved. Our operators take a generator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from deap import base, tools

from evonas.config import SearchSettings
from evonas.errors import StaleFitnessError
from evonas.search.base import Algorithm, Candidate
from evonas.search.fitness import Measurement, require_comparable
from evonas.seeding import Seeds, numpy_state, python_state, restore_python
from evonas.spaces.base import Genotype, Space

ATTEMPTS = 200  # draws for each place: a space with fewer networks than places gives a smaller population


class Fitness(base.Fitness):
    """DEAP's fitness, minimised, that refuses comparison across supernet states.

    Values are (first objective, loss): ties by loss, which DEAP's lexicographic order does by itself.
    """

    weights = (-1.0, -1.0)
    origin: tuple[int, str] | None = None  # (state, protocol)

    def _guard(self, other: Fitness) -> None:
        if self.origin != other.origin:
            raise StaleFitnessError(f"fitness of {self.origin} was about to be compared with that of {other.origin}")

    # DEAP derives > and >= from these; a class with its own == must name its hash.
    __hash__ = base.Fitness.__hash__

    def __lt__(self, other: Fitness) -> bool:
        self._guard(other)
        return super().__lt__(other)

    def __le__(self, other: Fitness) -> bool:
        self._guard(other)
        return super().__le__(other)

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Fitness)
        self._guard(other)
        return super().__eq__(other)

    def dominates(self, other: Fitness, obj: slice = slice(None)) -> bool:
        """Pareto dominance, within one state."""
        self._guard(other)
        return super().dominates(other, obj)


class Individual(list[int]):
    """A measured genotype as DEAP wants it. Made anew from each measurement: no fitness is ever carried over."""

    def __init__(self, measurement: Measurement) -> None:
        super().__init__(measurement.genotype)
        self.measurement = measurement
        self.fitness = Fitness((measurement.objectives[0], measurement.details.get("loss", 0.0)))
        self.fitness.origin = (measurement.state, measurement.protocol)


class GeneticAlgorithm(Algorithm):
    """Generational GA: elites as genes only, tournament, crossover, mutation, immigrants, complete replacement.

    The next population is complete before anything of it is measured, so every comparison is made inside one generation
    on one supernet state. That reading of the paper's "population generation method" is our decision.
    """

    def __init__(self, space: Space, settings: SearchSettings, seeds: Seeds) -> None:
        self.space = space
        self.settings = settings
        self._rng = seeds.numpy("search")
        self._tools_random = seeds.python("search.deap")
        self._population: list[Individual] = []
        self._toolbox = base.Toolbox()
        self._toolbox.register("select", tools.selTournament, tournsize=settings.tournament)
        self._toolbox.register("elites", tools.selBest)
        self._toolbox.register("mate", space.crossover, rng=self._rng)
        self._toolbox.register("mutate", space.mutate, rate=settings.mutation, rng=self._rng)
        self._toolbox.register("immigrant", space.sample, rng=self._rng)

    @contextmanager
    def _own_random(self) -> Iterator[None]:
        outside = random.getstate()
        random.setstate(self._tools_random.getstate())
        try:
            yield
        finally:
            self._tools_random.setstate(random.getstate())
            random.setstate(outside)

    def ask(self) -> list[Candidate]:
        """The next population; elites come first and carry genes, not fitness."""
        chosen: dict[Genotype, Candidate] = {}
        if not self._population:
            self._fill(chosen, self.settings.population, "initial", self._toolbox.immigrant)
            return list(chosen.values())
        for elite in self._toolbox.elites(self._population, self.settings.elites):
            chosen[self.space.canonical(tuple(elite))] = Candidate(tuple(elite), "elite")
        self._fill(chosen, self.settings.population - self.settings.immigrants, "child", self._child)
        self._fill(chosen, self.settings.population, "immigrant", self._toolbox.immigrant)
        return list(chosen.values())

    def _child(self) -> Genotype:
        with self._own_random():
            first, second = (tuple(parent) for parent in self._toolbox.select(self._population, 2))
        child = self._toolbox.mate(first, second) if self._rng.random() < self.settings.crossover else first
        return self._toolbox.mutate(child)

    def _fill(self, chosen: dict[Genotype, Candidate], size: int, origin: str, draw: Any) -> None:
        """Add drawn genotypes up to `size`, none the same network as one that is there."""
        attempts = 0
        while len(chosen) < size and attempts < ATTEMPTS * size:
            genotype = draw()
            chosen.setdefault(self.space.canonical(genotype), Candidate(genotype, origin))
            attempts += 1

    def tell(self, measured: Sequence[Measurement]) -> None:
        """Replace the population by what was measured, completely."""
        require_comparable(measured)
        # By genotype first, so that selection depends on no order but its own.
        self._population = [Individual(m) for m in sorted(measured, key=lambda m: m.genotype)]

    def state_dict(self) -> dict[str, Any]:
        """Population with its one state, and both random streams."""
        return {
            "population": [individual.measurement.to_plain() for individual in self._population],
            "rng": numpy_state(self._rng),
            "deap": python_state(self._tools_random),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; the toolbox keeps the generator object, so only its state is put back."""
        self._rng.bit_generator.state = state["rng"]
        restore_python(self._tools_random, state["deap"])
        self._population = [Individual(Measurement.from_plain(row)) for row in state["population"]]


__all__ = ["Fitness", "GeneticAlgorithm", "Individual"]
