"""Indicators of fronts, and the true front of a table, against brute force."""

import numpy as np
import pytest

from evonas.config import TableSettings, build
from evonas.errors import StaleFitnessError
from evonas.search.fitness import Measurement, pareto_mask
from evonas.spaces import build_space
from evonas.table import complete, read
from problems.fronts import hypervolume, inverted_distance, measured_hypervolume, non_dominated
from problems.tabular import TabularProblem

BOX = [(0.0, 10.0), (100.0, 200.0)]


def test_hypervolume_is_the_share_of_the_box_that_is_dominated() -> None:
    assert hypervolume(np.array([[0.0, 100.0]]), BOX) == pytest.approx(1.0)
    assert hypervolume(np.array([[5.0, 150.0]]), BOX) == pytest.approx(0.25)
    assert hypervolume(np.array([[5.0, 150.0], [2.5, 175.0]]), BOX) == pytest.approx(0.25 + 0.25 * 0.25)
    assert hypervolume(np.array([[-5.0, 150.0]]), BOX) == pytest.approx(0.5), "nothing is better than the bounds"
    assert hypervolume(np.array([[11.0, 150.0]]), BOX) == 0.0
    assert hypervolume(np.zeros((0, 2)), BOX) == 0.0


def test_only_what_keeps_the_limits_counts_and_only_on_one_state() -> None:
    good = Measurement((0,), (5.0, 150.0), 0, "p", {}, (-0.1,))
    broken = Measurement((1,), (0.0, 100.0), 0, "p", {}, (0.1,))
    assert measured_hypervolume([good, broken], BOX) == pytest.approx(0.25)
    assert measured_hypervolume([broken], BOX) == 0.0
    assert measured_hypervolume([Measurement((0,), (5.0,), 0, "p")], BOX[:1]) is None
    with pytest.raises(StaleFitnessError):
        measured_hypervolume([good, Measurement((2,), (5.0, 150.0), 1, "p")], BOX)


def test_inverted_distance_is_the_mean_distance_from_the_true_front() -> None:
    true = np.array([[0.0, 200.0], [10.0, 100.0]])
    assert inverted_distance(true, true, BOX) == 0.0
    assert inverted_distance(true[:1], true, BOX) == pytest.approx(2**0.5 / 2)


@pytest.mark.parametrize("objectives", [("error", "params"), ("error", "flops", "params")])
@pytest.mark.parametrize("limits", [{}, {"params": 1.2e6}])
def test_the_true_front_of_a_table_is_that_of_brute_force(
    objectives: tuple[str, ...], limits: dict[str, float]
) -> None:
    settings = complete(TableSettings(file="nb-macro"))  # type: ignore[call-arg]
    space = build_space(build({"space": {"name": "nb-macro"}}).space)
    problem = TabularProblem(space, read(settings, space), settings, objectives, limits=limits)
    out = problem.evaluate(np.array(problem.table.genotypes), return_as_dictionary=True)
    values = out["F"][out["params"] <= limits.get("params", np.inf)]
    expected = np.unique(values[pareto_mask(values)], axis=0)
    genotypes, found = problem.true_front()
    assert found.tolist() == expected.tolist()
    assert problem.evaluate(np.array(genotypes), return_as_dictionary=True)["F"].tolist() == found.tolist()


def test_non_dominated_agrees_with_the_plain_mask() -> None:
    values = np.random.default_rng(0).integers(0, 12, (200, 3)).astype(float)
    assert non_dominated(values).tolist() == np.flatnonzero(pareto_mask(values)).tolist()
