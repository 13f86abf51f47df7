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


def test_a_mistake_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'nsga2'"):
        minimise(Schaffer(2), "nsga22")
    with pytest.raises(ConfigError, match="setting 'popultion' is unknown; did you mean 'population'"):
        minimise(Schaffer(2), "nsga2", popultion=3)
