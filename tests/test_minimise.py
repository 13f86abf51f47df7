"""A pymoo problem from outside, searched as it is by every algorithm."""

from typing import Any

import numpy as np
import pytest
from pymoo.core.problem import Problem

from evonas.errors import ConfigError
from evonas.minimise import minimise
from evonas.plan import ALGORITHMS
from evonas.search.fitness import pareto_mask


class Schaffer(Problem):  # type: ignore[misc]
    """Two parabolas in integers around -2 and 2, a gene each; knows nothing of evonas."""

    def __init__(self, objectives: int, constraints: int = 0) -> None:
        super().__init__(n_var=4, n_obj=objectives, n_ieq_constr=constraints, xl=-10, xu=np.full(4, 12), vtype=int)

    def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N803
        assert ((X >= -10) & (X <= 12)).all() and X.shape[1] == 4
        both = np.column_stack([((X - 2) ** 2).sum(axis=1), ((X + 2) ** 2).sum(axis=1)]).astype(float)
        out["F"] = both[:, : self.n_obj]
        if self.n_ieq_constr:
            out["G"] = (1 - X[:, :1]).astype(float)  # the first variable is 1 at least


@pytest.mark.parametrize("name", list(ALGORITHMS))
@pytest.mark.parametrize("objectives", [1, 2])
def test_every_algorithm_searches_it_unchanged(name: str, objectives: int) -> None:
    if objectives == 1 and name in ("nsga2", "nsga3", "sms-emoa"):
        pytest.skip("it takes two objectives to make a front")
    problem = Schaffer(objectives)
    found = minimise(problem, name, seed=1, population=30, generations=40)
    assert minimise(problem, name, seed=1, population=30, generations=40) == found
    values = np.array([m.objectives for m in found])
    assert (np.diff(values[:, 0]) >= 0).all()
    if objectives == 1 and name == "ga":
        assert values[0, 0] == sum((gene - 12) ** 2 for gene in found[0].genotype) <= 4
    if objectives == 2:
        assert pareto_mask(values).all()


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "sms-emoa"])
def test_constraints_are_kept(name: str) -> None:
    found = minimise(Schaffer(2, constraints=1), name, population=30, generations=30)
    assert len(found) > 3 and all(m.genotype[0] - 10 >= 1 for m in found)


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_one_objective_is_enough_where_a_front_needs_no_hypervolume(name: str) -> None:
    # Of one objective there is one reference direction, however many are asked for.
    assert minimise(Schaffer(1), name, seed=1, population=20, generations=20)[0].objectives[0] < 40
    with pytest.raises(ConfigError, match="sms-emoa searches by two objectives or more"):
        minimise(Schaffer(1), "sms-emoa", population=20, generations=20)


@pytest.mark.parametrize("name", ["ga", "nsga2"])
def test_where_nothing_keeps_the_constraints_nothing_is_found(name: str) -> None:
    problem = Schaffer(2, constraints=1)
    problem.xu = np.zeros(4)  # the first variable would have to be 1
    assert minimise(problem, name, population=6, generations=3) == []


@pytest.mark.parametrize(
    ("settings", "bounds", "message"),
    [
        ({"population": "x"}, {}, "search.population is 'x'; expected a whole number"),
        ({"population": 1}, {}, "search.population is 1; expected greater than or equal to 2"),
        ({"elites": 60}, {}, "leave no room for children in a population of 50"),
        ({"seed": -1}, {}, "seed is -1"),
        ({}, {"xl": None}, "has no bounds xl and xu"),
        ({}, {"xl": np.full(4, 0.5)}, "expected whole numbers"),
        ({}, {"xl": np.full(4, 13.0)}, "xl at most xu"),
        ({}, {"vtype": float}, "expected integers, vtype=int"),
        ({}, {"vtype": None}, "expected integers, vtype=int"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(settings: dict[str, Any], bounds: dict[str, Any], message: str) -> None:
    problem = Schaffer(1)
    vars(problem).update(bounds)
    with pytest.raises(ConfigError, match=message):
        minimise(problem, **settings)


def test_a_mistake_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'nsga2'"):
        minimise(Schaffer(2), "nsga22")
    with pytest.raises(ConfigError, match="setting 'popultion' is unknown; did you mean 'population'"):
        minimise(Schaffer(2), "nsga2", popultion=3)
