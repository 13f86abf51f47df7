"""The genetic algorithm: fair by construction, and sole owner of its randomness."""

import json
import random

import numpy as np
import pytest
from deap import tools

from evonas.config import SearchSettings, SinglePathSettings
from evonas.errors import StaleFitnessError
from evonas.search.base import Candidate
from evonas.search.fitness import Measurement
from evonas.search.ga import GeneticAlgorithm, Individual
from evonas.search.loop import search
from evonas.seeding import Seeds
from evonas.spaces import Genotype, SinglePathSpace

SPACE = SinglePathSpace(SinglePathSettings())
SETTINGS = SearchSettings(population=20, generations=8, elites=2, immigrants=3)


class Landscape:
    """A known optimum, and values that shift with the state; each is a multiple of 2**-10, so that sums are exact."""

    protocol = "exact"

    def __init__(self, offset: float = 0.0) -> None:
        self.state = -1
        self.offset = offset
        self.evaluated: list[list[Genotype]] = []
        rng = np.random.default_rng(5)
        self._table = rng.integers(0, 2**10, (SPACE.n_genes, max(SPACE.cardinalities))) / 2**10

    def adapt(self, genotypes: list[Genotype]) -> None:
        self.state += 1

    def value(self, genotype: Genotype) -> float:
        return float(sum(self._table[i, gene] for i, gene in enumerate(genotype)))

    def evaluate(self, X: np.ndarray, *, return_as_dictionary: bool) -> dict[str, np.ndarray]:  # noqa: N803
        genotypes = [tuple(int(g) for g in row) for row in X]
        self.evaluated.append(genotypes)
        return {"F": np.array([[self.value(g) + self.offset * self.state] for g in genotypes])}


def run(
    landscape: Landscape, seed: int = 0, settings: SearchSettings = SETTINGS
) -> tuple[list[list[Candidate]], list[list[Measurement]]]:
    populations: list[list[Candidate]] = []
    measured: list[list[Measurement]] = []

    def record(generation: int, candidates: object, measurements: object, spent: int) -> None:
        assert generation == len(populations)
        populations.append(list(candidates))  # type: ignore[call-overload]
        measured.append(list(measurements))  # type: ignore[call-overload]

    search(GeneticAlgorithm(SPACE, settings, Seeds(seed)), landscape, generations=settings.generations, record=record)
    return populations, measured


@pytest.mark.parametrize("offset", [64.0, -64.0, 3.0])
def test_an_offset_per_state_leaves_the_trajectory_unchanged(offset: float) -> None:
    # Invariant I4: it fails for every scheme that lets fitness outlive the state that gave it.
    assert run(Landscape())[0] == run(Landscape(offset))[0]


def test_every_member_is_measured_on_its_generations_state_elites_too() -> None:
    landscape = Landscape()
    populations, measured = run(landscape)
    for generation, (population, rows) in enumerate(zip(populations, measured, strict=True)):
        assert {m.state for m in rows} == {generation}
        assert landscape.evaluated[generation] == [c.genotype for c in population]
    assert [c.origin for c in populations[3]][:2] == ["elite", "elite"]


def test_elites_are_the_best_of_the_generation_before_as_genes_only() -> None:
    populations, measured = run(Landscape())
    for population, before in zip(populations[1:], measured[:-1], strict=True):
        best = sorted(before, key=lambda m: (m.objectives, m.genotype))[:2]
        assert [c.genotype for c in population if c.origin == "elite"] == [m.genotype for m in best]
    assert all(not hasattr(candidate, "fitness") for candidate in populations[-1])


def test_each_population_is_complete_and_distinct_in_canonical_form() -> None:
    populations, _ = run(Landscape())
    for index, population in enumerate(populations):
        assert len(population) == 20
        assert len({SPACE.canonical(c.genotype) for c in population}) == 20
        origins = [c.origin for c in population]
        if index == 0:
            assert origins == ["initial"] * 20
        else:
            assert origins == ["elite"] * 2 + ["child"] * 15 + ["immigrant"] * 3


def test_selection_across_states_is_refused() -> None:
    algorithm = GeneticAlgorithm(SPACE, SETTINGS, Seeds(0))
    rows = [Measurement(c.genotype, (1.0,), 0, "p") for c in algorithm.ask()]
    rows[3] = Measurement(rows[3].genotype, (1.0,), 1, "p")
    with pytest.raises(StaleFitnessError):
        algorithm.tell(rows)


def test_deaps_own_tools_refuse_fitness_of_two_states() -> None:
    def individual(state: int, value: float) -> Individual:
        return Individual(Measurement((0, 1), (value,), state, "p"))

    for tool in (tools.selBest, tools.selWorst, lambda them, k: tools.selTournament(them, 1, 40)):
        with pytest.raises(StaleFitnessError):
            tool([individual(0, 1.0), individual(1, 2.0)], 1)
    for comparison in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "dominates"):
        with pytest.raises(StaleFitnessError):
            getattr(individual(0, 1.0).fitness, comparison)(individual(1, 1.0).fitness)


def test_the_search_finds_the_optimum_of_an_additive_landscape() -> None:
    landscape = Landscape()
    settings = SearchSettings(population=50, generations=25, elites=2, immigrants=3)
    _, measured = run(landscape, settings=settings)
    optimum = float(landscape._table[:, : SPACE.cardinalities[0]].min(axis=1).sum())
    assert min(m.objectives[0] - 0.0 for m in measured[-1]) <= optimum + 0.1
    assert min(m.objectives for m in measured[-1]) < min(m.objectives for m in measured[0])


def test_same_seed_same_trajectory_and_another_seed_another() -> None:
    assert run(Landscape(), seed=1)[0] == run(Landscape(), seed=1)[0]
    assert run(Landscape(), seed=1)[0] != run(Landscape(), seed=2)[0]


def test_the_global_random_is_neither_read_nor_moved() -> None:
    random.seed(1)
    np.random.seed(1)
    before = random.getstate()
    first = run(Landscape())[0]
    assert random.getstate() == before
    random.seed(2)
    assert run(Landscape())[0] == first


def test_two_interleaved_searches_equal_two_separate_ones() -> None:
    def trajectory(algorithms: list[GeneticAlgorithm]) -> list[list[list[Candidate]]]:
        landscape = Landscape()
        landscape.state = 0
        history: list[list[list[Candidate]]] = [[] for _ in algorithms]
        for _ in range(4):
            for index, algorithm in enumerate(algorithms):
                population = algorithm.ask()
                history[index].append(population)
                algorithm.tell([Measurement(c.genotype, (landscape.value(c.genotype),), 0, "p") for c in population])
        return history

    together = trajectory([GeneticAlgorithm(SPACE, SETTINGS, Seeds(s)) for s in (3, 4)])
    assert together == [trajectory([GeneticAlgorithm(SPACE, SETTINGS, Seeds(s))])[0] for s in (3, 4)]


def test_state_survives_json_and_the_search_goes_on_as_if_nothing_had_happened() -> None:
    landscape = Landscape()
    landscape.state = 0

    def step(algorithm: GeneticAlgorithm) -> list[Candidate]:
        population = algorithm.ask()
        algorithm.tell([Measurement(c.genotype, (landscape.value(c.genotype),), 0, "p") for c in population])
        return population

    unbroken = GeneticAlgorithm(SPACE, SETTINGS, Seeds(0))
    for _ in range(3):
        step(unbroken)
    resumed = GeneticAlgorithm(SPACE, SETTINGS, Seeds(99))
    resumed.load_state_dict(json.loads(json.dumps(unbroken.state_dict())))
    for _ in range(3):
        assert step(resumed) == step(unbroken)


def test_a_space_with_fewer_networks_than_places_gives_a_smaller_population() -> None:
    tiny = SinglePathSpace(SinglePathSettings(layers=(2,), strides=(1,), operations=("conv3", "skip")))
    population = GeneticAlgorithm(tiny, SETTINGS, Seeds(0)).ask()
    assert len(population) == 3  # two layers of two operations, of which one pair is the same network
