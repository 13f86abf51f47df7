"""pymoo's algorithms behind ask and tell: one state at a time, our operators, one generator, and pymoo's traps."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.duplicate import HashDuplicateElimination
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from evonas.config import NBMacroSettings, SearchSettings
from evonas.errors import StaleFitnessError
from evonas.search.base import Candidate
from evonas.search.fitness import Measurement, pareto_mask
from evonas.search.loop import search
from evonas.search.nsga2 import (
    CanonicalDuplicates,
    GenotypeCrossover,
    GenotypeMutation,
    GenotypeRepair,
    GenotypeSampling,
    Nsga2Search,
    Nsga3Search,
    ParetoSearch,
    SmsEmoaSearch,
    reference_directions,
)
from evonas.seeding import Seeds
from evonas.spaces import Genotype, NBMacroSpace

SPACE = NBMacroSpace(NBMacroSettings())  # type: ignore[call-arg]
KINDS = [Nsga2Search, Nsga3Search, SmsEmoaSearch]
GENERATIONS = 8


def settings(**changes: Any) -> SearchSettings:
    return SearchSettings(**{"population": 12, "generations": GENERATIONS, "elites": 0, "immigrants": 0, **changes})


class Conflict:
    """Two objectives at odds, to which every state adds whole numbers; values are multiples of 2**-10, sums exact."""

    protocol = "exact"

    def __init__(self, drift: float = 0.0, limit: float | None = None) -> None:
        self.state = -1
        self.drift = drift
        self.limit = limit
        self.table = np.random.default_rng(5).integers(0, 2**10, (SPACE.n_genes, 3)) / 2**10

    def adapt(self, region: Sequence[Genotype]) -> None:
        self.state += 1

    def evaluate(self, X: np.ndarray, *, return_as_dictionary: bool) -> dict[str, Any]:  # noqa: N803
        worth = np.array([self.table[np.arange(SPACE.n_genes), row].sum() for row in X])
        size = X.sum(axis=1).astype(float)
        found: dict[str, Any] = {
            "F": np.column_stack([worth + self.drift * self.state, size - self.drift * self.state])
        }
        if self.limit is not None:
            found["G"] = (size / self.limit - 1.0)[:, None]
        return found


def run(
    algorithm: ParetoSearch, problem: Any, generations: int = GENERATIONS
) -> tuple[list[list[Candidate]], list[list[Measurement]]]:
    asked: list[list[Candidate]] = []
    measured: list[list[Measurement]] = []

    def record(generation: int, population: Sequence[Candidate], scored: Sequence[Measurement], spent: int) -> None:
        asked.append(list(population))
        measured.append(list(scored))

    search(algorithm, problem, generations=generations, record=record)
    return asked, measured


@pytest.mark.parametrize(("kind", "protect"), [*((kind, False) for kind in KINDS), (Nsga2Search, True)])
@pytest.mark.parametrize("drift", [64.0, -64.0, 3.0])
def test_an_offset_per_state_leaves_the_trajectory_unchanged(
    kind: type[ParetoSearch], protect: bool, drift: float
) -> None:
    chosen = settings(protect=protect)
    still, moved = (run(kind(SPACE, chosen, Seeds(0)), Conflict(offset))[0] for offset in (0.0, drift))
    assert still == moved


@pytest.mark.parametrize("kind", KINDS)
def test_parents_and_offspring_are_asked_for_together_and_are_different_networks(kind: type[ParetoSearch]) -> None:
    asked, measured = run(kind(SPACE, settings(), Seeds(0)), Conflict())
    assert [len(population) for population in asked] == [12] + [24] * (GENERATIONS - 1)
    for before, population in zip(measured, asked[1:], strict=False):
        assert [candidate.origin for candidate in population] == ["parent"] * 12 + ["child"] * 12
        assert {c.genotype for c in population[:12]} <= {m.genotype for m in before}
        assert len({SPACE.canonical(c.genotype) for c in population}) == 24


@pytest.mark.parametrize("kind", KINDS)
def test_the_front_moves_towards_the_best(kind: type[ParetoSearch]) -> None:
    _, measured = run(kind(SPACE, settings(population=20), Seeds(0)), Conflict(), 15)

    def dominated(generation: Sequence[Measurement]) -> float:
        values = np.array([m.objectives for m in generation])
        front = values[pareto_mask(values)]
        return float(np.mean([(front <= point).all(axis=1).any() for point in grid]))

    grid = np.stack(np.meshgrid(np.linspace(0, 8, 30), np.linspace(0, 16, 30)), axis=-1).reshape(-1, 2)
    assert dominated(measured[-1]) > dominated(measured[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [None, 6.0])
def test_two_runs_are_equal_and_touch_no_global_stream(kind: type[ParetoSearch], limit: float | None) -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    first, second = (run(kind(SPACE, settings(), Seeds(3)), Conflict(limit=limit))[0] for _ in range(2))
    assert first == second
    assert first != run(kind(SPACE, settings(), Seeds(4)), Conflict(limit=limit))[0]
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]


@pytest.mark.parametrize(("kind", "protect"), [*((kind, False) for kind in KINDS), (Nsga2Search, True)])
@pytest.mark.parametrize("limit", [None, 6.0])
def test_going_on_from_plain_data_equals_going_on(kind: type[ParetoSearch], protect: bool, limit: float | None) -> None:
    chosen = settings(protect=protect)
    whole = run(kind(SPACE, chosen, Seeds(1)), Conflict(limit=limit))[0]
    problem, first = Conflict(limit=limit), kind(SPACE, chosen, Seeds(1))
    asked = run(first, problem, 4)[0]
    second = kind(SPACE, chosen, Seeds(1))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert asked + run(second, problem, GENERATIONS - 4)[0] == whole


def test_going_on_obeys_the_settings_it_is_given() -> None:
    first = Nsga2Search(SPACE, settings(), Seeds(1))
    run(first, Conflict(), 3)
    second = Nsga2Search(SPACE, settings(population=8, mutation=1.0), Seeds(1))
    second.load_state_dict(first.state_dict())
    problem = Conflict()
    problem.state = 0
    assert [len(population) for population in run(second, problem, 2)[0]] == [12 + 8, 8 + 8]


@pytest.mark.parametrize("kind", KINDS)
def test_limits_come_first_and_a_broken_one_is_not_remembered(kind: type[ParetoSearch]) -> None:
    """pymoo caches an individual's violation; members that break a limit must be free of it where it is lifted."""
    algorithm = kind(SPACE, settings(), Seeds(0))
    run(algorithm, Conflict(limit=6.0))
    survivors = [tuple(row["X"]) for row in algorithm.state_dict()["population"]]
    assert all(sum(genotype) <= 6 for genotype in survivors)
    large = [(2, 2, 2, 2, 2, 2, 2, 2), (2, 2, 2, 2, 2, 2, 2, 1)]
    kept = [Measurement(g, (0.0, 0.0), 9, "exact", {}, (-0.5,)) for g in large]
    others = [Measurement(g, (1.0, 1.0), 9, "exact", {}, (0.5,)) for g in survivors]
    algorithm.tell([*others, *kept])
    left = [tuple(row["X"]) for row in algorithm.state_dict()["population"]]
    assert set(left[:2]) == set(large), "feasible now, whatever was broken before"


@pytest.mark.parametrize("kind", KINDS)
def test_survival_remembers_no_older_state(kind: type[ParetoSearch]) -> None:
    """NSGA-III keeps an ideal point and extreme points; those of another state would be an unfair comparison."""
    generator = np.random.default_rng(0)
    genotypes = list(dict.fromkeys(SPACE.sample(generator) for _ in range(24)))
    values = generator.integers(0, 64, (len(genotypes), 2)).astype(float)
    fresh, used = (kind(SPACE, settings(), Seeds(0)) for _ in range(2))
    used.tell([Measurement(g, (-1000.0, -1000.0 - i), 0, "exact") for i, g in enumerate(genotypes)])
    used._rng.bit_generator.state = fresh._rng.bit_generator.state
    for algorithm in (fresh, used):
        algorithm.tell([Measurement(g, tuple(v), 1, "exact") for g, v in zip(genotypes, values.tolist(), strict=True)])
    assert fresh.state_dict()["population"] == used.state_dict()["population"]


def test_measurements_of_two_states_are_refused() -> None:
    algorithm = Nsga2Search(SPACE, settings(), Seeds(0))
    first, second = (candidate.genotype for candidate in algorithm.ask()[:2])
    with pytest.raises(StaleFitnessError):
        algorithm.tell([Measurement(first, (1.0, 2.0), 0, "p"), Measurement(second, (1.0, 2.0), 1, "p")])


def test_duplicates_are_found_by_network() -> None:
    """pymoo's elimination by hash finds nothing, that by distance only equal genotypes."""
    same = [(0, 0, 1, 0, 2, 1, 1, 1), (0, 0, 1, 2, 0, 1, 1, 1)]
    genotypes = [*same, (2,) * 8]
    assert len({SPACE.canonical(genotype) for genotype in genotypes}) == 2
    members = Population.new(X=np.array([*genotypes, genotypes[0]]))
    assert len(HashDuplicateElimination().do(members)) == 4
    left = CanonicalDuplicates(SPACE).do(members)
    assert left.get("X").tolist() == [list(same[0]), [2] * 8]
    assert len(CanonicalDuplicates(SPACE).do(left, Population.new(X=np.array([same[1]])))) == 1


def test_known_networks_are_refused_with_the_probability_of_novelty() -> None:
    rng = np.random.default_rng(0)
    members = Population.new(X=np.array([(2,) * 8, (1,) * 8]))
    known = {SPACE.canonical((2,) * 8)}
    assert CanonicalDuplicates(SPACE, known, 1.0, rng).do(members).get("X").tolist() == [[1] * 8]
    assert len(CanonicalDuplicates(SPACE, known, 0.0, rng).do(members)) == 2


class Outside(Problem):  # type: ignore[misc]
    """A plain pymoo problem that knows nothing of evonas."""

    def __init__(self) -> None:
        super().__init__(n_var=SPACE.n_genes, n_obj=2, xl=0, xu=2, vtype=int)

    def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N803
        out["F"] = np.column_stack([X.sum(axis=1), (2 - X).sum(axis=1)]).astype(float)

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError("a problem may hold a supernet and must not be cloned")


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_pymoo_problem_is_searched_unchanged(kind: type[ParetoSearch]) -> None:
    _, measured = run(kind(SPACE, settings(), Seeds(0)), Outside())
    assert len(measured) == GENERATIONS
    assert len({m.objectives for m in measured[-1]}) >= 10


def test_the_operators_serve_pymoos_own_loop_too() -> None:
    algorithm = NSGA2(
        pop_size=10,
        sampling=GenotypeSampling(SPACE),
        crossover=GenotypeCrossover(SPACE, 0.9),
        mutation=GenotypeMutation(SPACE, 0.1),
        repair=GenotypeRepair(SPACE),
        eliminate_duplicates=CanonicalDuplicates(SPACE),
    )
    found = minimize(Outside(), algorithm, ("n_gen", 5), seed=2, copy_algorithm=False).pop.get("X").tolist()
    assert all(SPACE.is_valid(tuple(row)) for row in found)
    assert len({SPACE.canonical(tuple(row)) for row in found}) == 10


@pytest.mark.parametrize(("objectives", "most"), [(2, 12), (2, 50), (3, 50)])
def test_reference_directions_fill_the_population(objectives: int, most: int) -> None:
    directions = reference_directions(objectives, most)
    assert directions.shape[1] == objectives
    assert 0.8 * most <= len(directions) <= most
    assert directions.sum(axis=1) == pytest.approx(1.0)


def test_protection_keeps_the_large_that_gain_fast() -> None:
    """Small networks dominate large ones that improve faster: without protection no large one survives."""
    generator = np.random.default_rng(0)
    genotypes = list(dict.fromkeys(SPACE.sample(generator) for _ in range(24)))
    sizes = np.arange(len(genotypes), dtype=float)
    before = 1.0 + sizes / 10  # the larger, the worse
    now = before - sizes / 20  # and the larger, the faster it gets better
    kept = {}
    for protect in (False, True):
        algorithm = Nsga2Search(SPACE, settings(protect=protect), Seeds(0))
        for state, errors in enumerate((before, now)):
            figures = zip(genotypes, errors.tolist(), sizes.tolist(), strict=True)
            algorithm.tell([Measurement(g, (error, size), state, "p") for g, error, size in figures])
        kept[protect] = {size for _, size in (row["F"] for row in algorithm.state_dict()["population"])}
    assert max(kept[False]) < 12
    assert max(kept[True]) == max(sizes) and min(kept[True]) == 0
