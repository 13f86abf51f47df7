"""Random search and aging evolution, on a landscape known to the last bit."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from evonas.config import SearchSettings, SinglePathSettings
from evonas.errors import StaleFitnessError
from evonas.search.aging import AgingEvolution
from evonas.search.base import Algorithm, Candidate
from evonas.search.fitness import Measurement
from evonas.search.loop import search
from evonas.search.random import RandomSearch
from evonas.seeding import Seeds
from evonas.spaces import Genotype, SinglePathSpace

SPACE = SinglePathSpace(SinglePathSettings())
SETTINGS = SearchSettings(population=10, generations=8, immigrants=0, tournament=3, evaluations=60)  # type: ignore[call-arg]


class Sum:
    """The sum of the genes, minimised."""

    def evaluate(self, X: np.ndarray, *, return_as_dictionary: bool) -> dict[str, np.ndarray]:  # noqa: N803
        return {"F": X.sum(axis=1, keepdims=True).astype(float)}


def run(algorithm: Algorithm, settings: SearchSettings = SETTINGS) -> tuple[list[list[Candidate]], int]:
    populations: list[list[Candidate]] = []

    def record(generation: int, candidates: Sequence[Candidate], measured: object, spent: int) -> None:
        populations.append(list(candidates))

    spent = search(
        algorithm, Sum(), generations=type(algorithm).rounds(settings), record=record, evaluations=settings.evaluations
    )
    return populations, spent


def genotypes(populations: list[list[Candidate]]) -> list[Genotype]:
    return [candidate.genotype for population in populations for candidate in population]


def test_random_search_measures_its_whole_budget_on_one_state() -> None:
    populations, spent = run(RandomSearch(SPACE, SETTINGS, Seeds(0)))
    assert len(populations) == 1
    assert spent == 60
    assert len({SPACE.canonical(g) for g in genotypes(populations)}) == 60


def test_aging_evolution_has_a_child_a_step_and_keeps_its_budget() -> None:
    populations, spent = run(AgingEvolution(SPACE, SETTINGS, Seeds(0)))
    assert [len(population) for population in populations] == [10] + [1] * 50
    assert spent == 60
    known = set(genotypes(populations[:1]))
    for (child,) in populations[1:]:
        changes = [sum(a != b for a, b in zip(child.genotype, other, strict=True)) for other in known]
        assert 1 in changes, "a child differs from a member in one gene"
        known.add(child.genotype)


def measurement(genotype: Genotype, value: float, state: int = 0) -> Measurement:
    return Measurement(genotype, (value,), state, "exact")


def test_the_oldest_dies_and_not_the_worst() -> None:
    algorithm = AgingEvolution(SPACE, SETTINGS, Seeds(0))
    first = [candidate.genotype for candidate in algorithm.ask()]
    algorithm.tell([measurement(g, float(i)) for i, g in enumerate(first)])  # the oldest is the best
    child = algorithm.ask()[0].genotype
    algorithm.tell([measurement(child, 100.0)])
    queue = [tuple(member["genotype"]) for member in algorithm.state_dict()["queue"]]
    assert queue == [*first[1:], child]


def test_aging_evolution_refuses_a_supernet_that_changes() -> None:
    algorithm = AgingEvolution(SPACE, SETTINGS, Seeds(0))
    algorithm.tell([measurement(candidate.genotype, 1.0) for candidate in algorithm.ask()])
    with pytest.raises(StaleFitnessError):
        algorithm.tell([measurement(algorithm.ask()[0].genotype, 1.0, state=1)])


@pytest.mark.parametrize("kind", [AgingEvolution, RandomSearch])
def test_a_search_goes_on_from_its_saved_state(kind: type[Algorithm]) -> None:
    def told(algorithm: Algorithm) -> list[Genotype]:
        asked = [candidate.genotype for candidate in algorithm.ask()]
        algorithm.tell([measurement(g, float(sum(g))) for g in asked])
        return asked

    whole, broken = kind(SPACE, SETTINGS, Seeds(3)), kind(SPACE, SETTINGS, Seeds(3))
    assert told(whole) == told(broken)
    state: Any = json.loads(json.dumps(broken.state_dict()))
    other = kind(SPACE, SETTINGS, Seeds(99))
    other.load_state_dict(state)
    assert [told(whole) for _ in range(5)] == [told(other) for _ in range(5)]


def test_a_space_smaller_than_the_budget_is_measured_whole() -> None:
    small = SinglePathSpace(SinglePathSettings(layers=(2,), strides=(1,), operations=("conv3", "skip")))
    _populations, spent = run(RandomSearch(small, SETTINGS, Seeds(0)))
    assert spent == 3, "one genotype stands for two that mean one network"
