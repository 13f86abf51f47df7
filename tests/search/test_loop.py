"""The loop on problems from outside, and the budget of evaluations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pymoo.core.problem import Problem

from evonas.config import SearchSettings, SinglePathSettings
from evonas.search.base import Candidate
from evonas.search.final import candidates
from evonas.search.fitness import Measurement
from evonas.search.ga import GeneticAlgorithm
from evonas.search.loop import evaluate, search
from evonas.seeding import Seeds
from evonas.spaces import Genotype, SinglePathSpace

SPACE = SinglePathSpace(SinglePathSettings(layers=(3, 3), strides=(1, 2)))


class SumOfGenes(Problem):  # type: ignore[misc]
    """A plain pymoo problem that knows nothing of evonas."""

    def __init__(self) -> None:
        super().__init__(n_var=SPACE.n_genes, n_obj=1, xl=0, xu=6, vtype=int)

    def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N803
        out["F"] = X.sum(axis=1, keepdims=True)


def ga(**settings: Any) -> GeneticAlgorithm:
    return GeneticAlgorithm(SPACE, SearchSettings(**settings), Seeds(0))


def test_a_plain_pymoo_problem_is_searched_unchanged() -> None:
    best: list[float] = []
    spent = search(
        ga(population=30, generations=30),
        SumOfGenes(),
        generations=30,
        record=lambda generation, population, measured, spent: best.append(min(m.objectives[0] for m in measured)),
    )
    assert best[-1] == 0.0
    assert spent == 900


def test_extra_columns_of_a_problem_become_details() -> None:
    class WithColumns(SumOfGenes):
        def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N803
            super()._evaluate(X, out)
            out["params"] = X[:, 0] * 100

    genotype = (3, 0, 0, 0, 0, 1)
    assert evaluate(WithColumns(), [genotype]) == [Measurement(genotype, (4.0,), 0, "WithColumns", {"params": 300.0})]


@pytest.mark.parametrize(("budget", "sizes"), [(25, [10, 10, 5]), (20, [10, 10]), (7, [7]), (1000, [10] * 4)])
def test_the_last_generation_is_cut_to_what_the_budget_leaves(budget: int, sizes: list[int]) -> None:
    seen: list[int] = []

    def record(generation: int, population: Sequence[Candidate], measured: Sequence[Measurement], spent: int) -> None:
        assert [c.genotype for c in population] == [m.genotype for m in measured]
        seen.append(len(measured))

    spent = search(
        ga(population=10, generations=4, elites=1, immigrants=1),
        SumOfGenes(),
        generations=4,
        evaluations=budget,
        record=record,
    )
    assert seen == sizes
    assert spent == min(budget, 40)


def test_a_spent_budget_ends_the_search_before_the_supernet_is_touched_again() -> None:
    class Adapts(SumOfGenes):
        adapted = 0

        def adapt(self, genotypes: list[Genotype]) -> None:
            self.adapted += 1

    problem = Adapts()
    algorithm = ga(population=10, generations=9, elites=1, immigrants=1)
    search(algorithm, problem, generations=9, evaluations=20, record=lambda *row: None)
    assert problem.adapted == 2


def test_what_is_measured_on_the_present_state_costs_nothing() -> None:
    class Remembers(SumOfGenes):
        def __init__(self) -> None:
            super().__init__()
            self.known: set[Genotype] = set()

        def is_measured(self, genotype: Genotype) -> bool:
            return genotype in self.known

        def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N803
            super()._evaluate(X, out)
            self.known |= {tuple(row) for row in X.tolist()}

    problem = Remembers()
    spent = search(
        ga(population=10, generations=4, elites=2, immigrants=1), problem, generations=4, record=lambda *row: None
    )
    assert spent == len(problem.known)
    assert spent <= 40 - 3 * 2  # the elites of three generations were known


def measured(values: list[float], state: int) -> list[Measurement]:
    return [Measurement((gene, 0, 0, 0, 0, state), (value,), state, "p") for gene, value in enumerate(values)]


def test_final_candidates_are_ranked_within_their_generation_only() -> None:
    # The first state gives far better values to all; an order across states would fill the list from it alone.
    generations = [measured([0.1, 0.2, 0.3], state=0), measured([9.0, 7.0, 8.0], state=1)]
    chosen = candidates(SPACE, generations, limit=4)
    assert chosen == [(1, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 1), (1, 0, 0, 0, 0, 0)]
    shifted = [measured([100.1, 100.2, 100.3], state=0), generations[1]]
    assert candidates(SPACE, shifted, limit=4) == chosen


def test_final_candidates_are_canonically_distinct_and_limited() -> None:
    skip = 6
    same = [Measurement((0, skip, 1, 0, 0, 0), (1.0,), 0, "p"), Measurement((0, 1, skip, 0, 0, 0), (2.0,), 0, "p")]
    assert len(candidates(SPACE, [same], limit=5)) == 1
    assert len(candidates(SPACE, [measured([1.0] * 6, state=0)], limit=2)) == 2
