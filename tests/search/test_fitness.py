import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.errors import StaleFitnessError
from evonas.search.fitness import Measurement, knee, pareto_front, pareto_mask, ranked, require_comparable


def measurement(
    *objectives: float, state: int = 0, protocol: str = "p", gene: int = 0, loss: float = 0.0
) -> Measurement:
    return Measurement((gene,), objectives, state, protocol, {"loss": loss})


def test_measurements_of_two_states_do_not_compare() -> None:
    with pytest.raises(StaleFitnessError, match=r"state 0 .* state 1"):
        ranked([measurement(1.0, state=0), measurement(2.0, state=1)])


def test_measurements_by_two_protocols_do_not_compare() -> None:
    with pytest.raises(StaleFitnessError, match="'half'"):
        require_comparable([measurement(1.0), measurement(2.0, protocol="half")])


def test_a_front_of_two_states_is_refused() -> None:
    with pytest.raises(StaleFitnessError):
        pareto_front([measurement(1.0, 2.0, state=3), measurement(2.0, 1.0, state=4)])


def test_ties_go_by_loss_then_by_genotype() -> None:
    rows = [measurement(1.0, gene=2, loss=0.5), measurement(1.0, gene=1, loss=0.5), measurement(1.0, gene=3, loss=0.4)]
    assert [m.genotype for m in ranked(rows)] == [(3,), (1,), (2,)]


objectives = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=1, max_size=30)


@given(objectives)
def test_no_member_of_a_front_is_dominated_and_every_other_row_is(rows: list[tuple[float, float]]) -> None:
    mask = pareto_mask(np.array(rows))
    for row, kept in zip(rows, mask, strict=True):
        dominated = any(o[0] <= row[0] and o[1] <= row[1] and o != row for o in rows)
        assert kept == (not dominated)


@given(objectives, st.randoms())
def test_a_front_is_distinct_in_values_and_order_decides_among_equals_alone(
    rows: list[tuple[float, float]], order: object
) -> None:
    measured = [Measurement((i,), row, 0, "p") for i, row in enumerate(rows)]
    shuffled = list(measured)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    front = pareto_front(shuffled)
    assert [m.objectives for m in front] == [m.objectives for m in pareto_front(measured)]
    assert len({m.objectives for m in front}) == len(front)
    assert all(m == next(s for s in shuffled if s.objectives == m.objectives) for m in front)


def test_the_knee_is_nearest_to_the_ideal_point() -> None:
    front = [measurement(0.0, 10.0), measurement(1.0, 2.0), measurement(10.0, 0.0)]
    assert knee(front) is front[1]
    assert knee(front[:1]) is front[0]


def test_a_measurement_survives_as_plain_data() -> None:
    before = measurement(0.1, 0.2, state=3, gene=5, loss=0.3)
    assert Measurement.from_plain(before.to_plain()) == before
