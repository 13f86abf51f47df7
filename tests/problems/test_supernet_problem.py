"""The pymoo problem over the fine-tuned supernet: states, cache, and what evaluate gives."""

from typing import Any

import numpy as np
import pytest
from pymoo.core.problem import Problem

from evonas.complexity import Complexity
from evonas.errors import ConfigError
from evonas.search.loop import evaluate
from evonas.supernet.measuring import Measurer
from problems import SupernetProblem


@pytest.fixture
def problem(parts: Any) -> SupernetProblem:
    return make(parts())


def make(made: Any, objectives: tuple[str, ...] = ("loss",)) -> SupernetProblem:
    measurer = Measurer(made.supernet, made.data, made.settings.measure, made.arithmetic)
    complexity = Complexity(made.space, made.data.shape, len(made.data.classes))
    return SupernetProblem(made.space, made.trainer, measurer, complexity, objectives, generations=3)


def population(problem: SupernetProblem, n: int = 6) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(3)
    return [problem.space.sample(rng) for _ in range(n)]


@pytest.mark.parametrize("name", ["eror", "latency_ms"])
def test_an_objective_that_there_is_not_is_named(parts: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is neither measured nor counted"):
        make(parts(), (name,))


def test_it_is_a_pymoo_problem_over_integers_within_bounds(problem: SupernetProblem) -> None:
    assert isinstance(problem, Problem)
    assert (problem.n_var, problem.n_obj, problem.vtype) == (3, 1, int)
    assert problem.xl.tolist() == [0, 0, 0]
    assert problem.xu.tolist() == [4, 4, 4]


def test_evaluate_takes_a_population_matrix_and_gives_objectives(parts: Any) -> None:
    problem = make(parts(), ("error", "params"))
    genotypes = population(problem)
    values = problem.evaluate(np.array(genotypes))
    assert values.shape == (6, 2)
    out = problem.evaluate(np.array(genotypes), return_as_dictionary=True)
    assert np.array_equal(out["F"], np.column_stack([out["error"], out["params"]]))
    assert (out["flops"] > 0).all() and (out["loss"] > 0).all()
    assert problem.evaluate(np.array(genotypes[0])).tolist() == values[0].tolist()


def test_the_first_adapt_leaves_the_warmed_up_state(problem: SupernetProblem) -> None:
    genotypes = population(problem)
    before = problem.evaluate(np.array(genotypes))
    problem.adapt(genotypes)
    assert problem.state == 0
    assert np.array_equal(problem.evaluate(np.array(genotypes)), before)


def test_each_later_adapt_gives_a_new_state_on_which_nothing_is_measured(problem: SupernetProblem) -> None:
    genotypes = population(problem)
    problem.adapt(genotypes)
    first = evaluate(problem, genotypes)
    assert all(problem.is_measured(genotype) for genotype in genotypes)
    problem.adapt(genotypes)
    assert problem.state == 1
    assert not any(problem.is_measured(genotype) for genotype in genotypes)
    second = evaluate(problem, genotypes)
    assert {m.state for m in first} == {0}
    assert {m.state for m in second} == {1}
    assert all(a.objectives != b.objectives for a, b in zip(first, second, strict=True))


def test_on_one_state_nothing_is_measured_twice(problem: SupernetProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    genotypes = population(problem)
    measured: list[tuple[int, ...]] = []
    original = problem.measurer.measure
    monkeypatch.setattr(problem.measurer, "measure", lambda waiting: measured.extend(waiting) or original(waiting))
    first = problem.evaluate(np.array([*genotypes, genotypes[0]]))
    assert measured == list(dict.fromkeys(genotypes))
    assert np.array_equal(problem.evaluate(np.array(genotypes)), first[:-1])
    assert len(measured) == len(set(genotypes))


def test_the_cache_is_keyed_by_the_path_and_not_by_the_canonical_form(parts: Any) -> None:
    # Isomorphic genotypes use other shared weights, so they measure differently.
    made = parts("space.layers=[1,3]")
    problem = make(made)
    first, second = (0, 1, 4, 0), (0, 1, 0, 4)
    assert made.space.canonical(first) == made.space.canonical(second)
    values = problem.evaluate(np.array([first, second]))
    assert values[0] != values[1]


def test_without_fine_tuning_the_state_never_changes(parts: Any) -> None:
    problem = make(parts("finetune.enabled=false"))
    genotypes = population(problem)
    for _ in range(3):
        problem.adapt(genotypes)
        values = problem.evaluate(np.array(genotypes))
    assert problem.state == 0
    assert all(problem.is_measured(genotype) for genotype in genotypes)
    assert np.array_equal(problem.evaluate(np.array(genotypes)), values)


def test_state_and_measurements_survive(problem: SupernetProblem, parts: Any) -> None:
    genotypes = population(problem)
    problem.adapt(genotypes)
    problem.adapt(genotypes)
    values = problem.evaluate(np.array(genotypes))
    other = make(parts())
    other.load_state_dict(problem.state_dict())
    assert other.state == 1
    assert np.array_equal(other.evaluate(np.array(genotypes)), values)
