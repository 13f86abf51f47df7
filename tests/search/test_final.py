"""The final choice: which of equals."""

import pytest

from evonas.config import build
from evonas.errors import StaleFitnessError
from evonas.search.final import ties_settled
from evonas.search.fitness import Measurement, pareto_front
from evonas.spaces import Genotype, build_space

SPACE = build_space(build({"space": {"name": "nb-macro"}}).space)
FIRST, SECOND, THIRD = (0, 1, 1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 1, 1, 1, 2), (2, 2, 2, 2, 2, 2, 2, 2)


def measured(genotype: Genotype, error: float, state: int = 0) -> Measurement:
    return Measurement(genotype, (error,), state, "table", {"error": error})


def changed(genotype: Genotype, position: int) -> Genotype:
    """Another network with one gene changed."""
    return (*genotype[:position], 3 - genotype[position], *genotype[position + 1 :])


def test_of_equals_the_one_with_the_better_neighbours_is_first() -> None:
    known = [
        *(measured(changed(FIRST, position), 9.0) for position in (3, 4)),
        measured(changed(SECOND, 3), 7.0),
        measured(changed(SECOND, 4), 8.0),
        measured(THIRD, 1.0),  # a neighbour of none
    ]
    final = [measured(FIRST, 6.0), measured(SECOND, 6.0), measured(THIRD, 6.5)]
    order = ties_settled(SPACE, final, [*known, *final])
    assert [m.genotype for m in order] == [SECOND, FIRST, THIRD]
    assert pareto_front(order) == [order[0]], "the front holds the network that is chosen"
    assert [m.genotype for m in ties_settled(SPACE, final, final)] == [FIRST, SECOND, THIRD], "nothing is known"


def test_no_neighbour_outweighs_a_better_fitness() -> None:
    final = [measured(FIRST, 6.0), measured(SECOND, 5.9)]
    known = [measured(changed(FIRST, 3), 0.0), measured(changed(SECOND, 3), 50.0), *final]
    assert ties_settled(SPACE, final, known)[0].genotype == SECOND


def test_neighbours_of_another_state_are_no_evidence() -> None:
    with pytest.raises(StaleFitnessError):
        ties_settled(SPACE, [measured(FIRST, 6.0)], [measured(changed(FIRST, 3), 7.0, state=1)])
