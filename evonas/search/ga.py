"""The genetic algorithm, on DEAP; the only module that imports it.

DEAP's tools draw from Python's global `random`. This adapter owns a stream of its own, swaps it in around every call of
a tool and puts the caller's back, so that the global stream is neither read nor moved. Our operators take a generator.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from deap import base, tools

from evonas.config import SearchSettings
from evonas.errors import StaleFitnessError
from evonas.search.base import Algorithm, Candidate, fill
from evonas.search.fitness import Measurement, require_comparable
from evonas.seeding import Seeds, numpy_state, python_state, restore_python
from evonas.spaces.base import Genotype, Space


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

    def __init__(self, measurement: Measurement, guarded: bool = True) -> None:
        super().__init__(measurement.genotype)
        self.measurement = measurement
        self.fitness = Fitness((measurement.objectives[0], measurement.details.get("loss", 0.0)))
        self.fitness.origin = (measurement.state, measurement.protocol) if guarded else None


class GeneticAlgorithm(Algorithm):
    """Elites as genes only, tournament, crossover, mutation, immigrants, complete replacement.

    The next population is complete before anything of it is measured, so every comparison is made inside one generation
    on one supernet state. Of the paper (Yuan, Xue and Zhang, GECCO 2023) the abstract was at hand: it states a genetic
    algorithm, and a way to make new populations that precludes unfair comparisons. That it is this way is our decision.
    Tournament and elites are those of DEAP (Fortin et al. 2012).

    `search.scheme` gives other population policies to hold it against: mu_plus_lambda, where parents survive that
    beat their children, and topk_archive, where the best ever seen are the parents (SPOS, arXiv 1904.00420). Both are
    fair too, since `ask` returns parents and children alike; with `search.stale` it returns children alone, parents
    keep the fitness of older states, and the guard is disarmed.
    """

    def __init__(self, space: Space, settings: SearchSettings, seeds: Seeds) -> None:
        settings = settings.completed()
        assert settings.population is not None and settings.immigrants is not None
        self.space = space
        self.settings = settings
        self._size = settings.population
        self._immigrants = settings.immigrants
        self._rng = seeds.numpy("search")
        self._tools_random = seeds.python("search.deap")
        self._population: list[Individual] = []
        self._known: set[Genotype] = set()  # canonical forms of everything that was ever measured
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
        """The next population; elites (or parents) come first and carry genes, not fitness."""
        if not self._population:
            return self._first_population(self._size, self._rng)
        chosen: dict[Genotype, Candidate] = {}
        kept = self._kept()
        for candidate in kept:
            chosen[self.space.canonical(candidate.genotype)] = candidate
        size = self._size if self.settings.scheme == "generational" else self._size + len(kept)
        # Parents that are not asked again keep the fitness that they have.
        present = {self.space.canonical(tuple(m)) for m in self._population} if self.settings.stale else set()
        fill(chosen, self.space, size - self._immigrants, "child", lambda: self._new(self._child, present))
        fill(chosen, self.space, size, "immigrant", lambda: self._new(self._toolbox.immigrant, present))
        self.exhausted = len(chosen) < size
        return list(chosen.values())

    def _kept(self) -> list[Candidate]:
        """What is measured again beside the new ones, because the next selection compares it with them."""
        if self.settings.scheme == "generational":
            best = self._toolbox.elites(self._population, self.settings.elites)
            return [Candidate(tuple(elite), "elite") for elite in best]
        if self.settings.stale:
            return []
        return [Candidate(tuple(parent), "parent") for parent in self._population]

    def region(self, population: Sequence[Candidate]) -> list[Genotype]:
        """The asked genotypes, or with `search.region: parents` those that were in the last population too."""
        if self.settings.region == "parents" and self._population:
            return [tuple(parent) for parent in self._population]
        return super().region(population)

    def _parents(self) -> list[Individual]:
        if self.settings.scheme == "topk_archive":  # all of the archive is good enough, as in SPOS
            return [self._population[i] for i in self._rng.integers(len(self._population), size=2)]
        with self._own_random():
            pair: list[Individual] = self._toolbox.select(self._population, 2)
        return pair

    def _child(self) -> Genotype:
        first, second = (tuple(parent) for parent in self._parents())
        child = self._toolbox.mate(first, second) if self._rng.random() < self.settings.crossover else first
        return self._toolbox.mutate(child)

    def _new(self, draw: Callable[[], Genotype], present: set[Genotype]) -> Genotype | None:
        """A drawn genotype; None for a network of `present`, and with probability `novelty` for one measured before."""
        genotype = draw()
        network, novelty = self.space.canonical(genotype), self.settings.novelty
        if network in present or (novelty > 0 and network in self._known and self._rng.random() < novelty):
            return None
        return genotype

    def tell(self, measured: Sequence[Measurement]) -> None:
        """Replace the population by what was measured: completely, or by the best of it."""
        require_comparable(measured)
        # By genotype first, so that selection depends on no order but its own.
        new = [self._individual(m) for m in sorted(measured, key=lambda m: m.genotype)]
        if self.settings.scheme == "generational":
            self._population = new
        else:
            size = self._size if self.settings.scheme == "mu_plus_lambda" else self.settings.archive
            pool = [*self._population, *new] if self.settings.stale else new
            self._population = self._toolbox.elites(pool, size)
        self._known.update(self.space.canonical(m.genotype) for m in measured)

    def _individual(self, measurement: Measurement) -> Individual:
        return Individual(measurement, guarded=not self.settings.stale)

    def state_dict(self) -> dict[str, Any]:
        """Population with its one state, what was ever measured, and both random streams."""
        return {
            "known": [list(genotype) for genotype in sorted(self._known)],
            "population": [individual.measurement.to_plain() for individual in self._population],
            "rng": numpy_state(self._rng),
            "deap": python_state(self._tools_random),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; the toolbox keeps the generator object, so only its state is put back."""
        self._rng.bit_generator.state = state["rng"]
        restore_python(self._tools_random, state["deap"])
        self._known = {tuple(genotype) for genotype in state["known"]}
        self._population = [self._individual(Measurement.from_plain(row)) for row in state["population"]]


__all__ = ["Fitness", "GeneticAlgorithm", "Individual"]
