"""Population policies: fair ones are blind to what a state adds to all fitness, stale ones are not."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from evonas.config import SearchSettings, SinglePathSettings
from evonas.search.base import Candidate
from evonas.search.final import by_stored_fitness, candidates
from evonas.search.fitness import Measurement
from evonas.search.ga import GeneticAlgorithm
from evonas.search.loop import search
from evonas.seeding import Seeds
from evonas.spaces import Genotype, SinglePathSpace

SPACE = SinglePathSpace(SinglePathSettings())
FAIR = (
    {"scheme": "generational"},
    {"scheme": "generational", "elites": 0},
    {"scheme": "generational", "novelty": 1.0},
    {"scheme": "mu_plus_lambda"},
    {"scheme": "mu_plus_lambda", "region": "parents"},
    {"scheme": "topk_archive"},
)
STALE = ({"scheme": "mu_plus_lambda", "stale": True}, {"scheme": "topk_archive", "stale": True})


class Drifting:
    """An additive landscape to which every state adds a whole number; values are multiples of 2**-10, sums exact."""

    protocol = "exact"

    def __init__(self, offsets: Sequence[float]) -> None:
        self.state = -1
        self.offsets = offsets
        self.regions: list[list[Genotype]] = []
        self._table = np.random.default_rng(5).integers(0, 2**10, (SPACE.n_genes, max(SPACE.cardinalities))) / 2**10

    def adapt(self, region: Sequence[Genotype]) -> None:
        self.regions.append(list(region))
        self.state += 1

    def evaluate(self, X: np.ndarray, *, return_as_dictionary: bool) -> dict[str, np.ndarray]:  # noqa: N803
        values = [self._table[np.arange(SPACE.n_genes), row].sum() for row in X]
        return {"F": np.array(values)[:, None] + self.offsets[self.state]}


def settings(**changes: Any) -> SearchSettings:
    return SearchSettings(
        **{"population": 12, "generations": 10, "elites": 2, "immigrants": 1, "archive": 5, **changes}
    )


def run(landscape: Drifting, chosen: SearchSettings) -> tuple[list[list[Candidate]], list[list[Measurement]]]:
    populations: list[list[Candidate]] = []
    measured: list[list[Measurement]] = []

    def record(generation: int, asked: Sequence[Candidate], scored: Sequence[Measurement], spent: int) -> None:
        populations.append(list(asked))
        measured.append(list(scored))

    algorithm = GeneticAlgorithm(SPACE, chosen, Seeds(0))
    search(algorithm, landscape, generations=GeneticAlgorithm.rounds(chosen), record=record)
    return populations, measured


STILL = [0.0] * 10
DRIFTS = (
    [64.0 * state for state in range(10)],
    [-64.0 * state for state in range(10)],
    [0, 3, -8, 2, 2, 9, 1, 0, 5, 7],
)


@pytest.mark.parametrize("changes", FAIR, ids=str)
@pytest.mark.parametrize("drift", DRIFTS, ids=("up", "down", "both"))
def test_an_offset_per_state_leaves_every_fair_trajectory_unchanged(
    changes: dict[str, Any], drift: list[float]
) -> None:
    assert run(Drifting(STILL), settings(**changes))[0] == run(Drifting(drift), settings(**changes))[0]


@pytest.mark.parametrize("changes", STALE, ids=str)
@pytest.mark.parametrize("drift", DRIFTS, ids=("up", "down", "both"))
def test_an_offset_per_state_changes_a_stale_trajectory(changes: dict[str, Any], drift: list[float]) -> None:
    assert run(Drifting(STILL), settings(**changes))[0] != run(Drifting(drift), settings(**changes))[0]


@pytest.mark.parametrize("scheme", ["mu_plus_lambda", "topk_archive"])
def test_parents_are_measured_again_beside_their_children(scheme: str) -> None:
    populations, _ = run(Drifting(STILL), settings(scheme=scheme))
    parents = 12 if scheme == "mu_plus_lambda" else 5
    for before, population in itertools.pairwise(populations):
        origins = [candidate.origin for candidate in population]
        assert origins == ["parent"] * parents + ["child"] * 11 + ["immigrant"]
        known = {candidate.genotype for candidate in before}
        assert {candidate.genotype for candidate in population[:parents]} <= known


def test_a_stale_policy_measures_children_alone() -> None:
    populations, _ = run(Drifting(STILL), settings(scheme="mu_plus_lambda", stale=True))
    assert all({c.origin for c in population} == {"child", "immigrant"} for population in populations[1:])
    assert [len(population) for population in populations] == [12] * 10


def test_the_best_of_parents_and_children_survive() -> None:
    landscape = Drifting(STILL)
    populations, measured = run(landscape, settings(scheme="mu_plus_lambda"))
    for scored, population in zip(measured, populations[1:], strict=False):
        best = sorted(scored, key=lambda m: m.objectives)[:12]
        parents = {c.genotype for c in population if c.origin == "parent"}
        assert parents == {m.genotype for m in best}


def test_the_region_can_be_the_parents_alone() -> None:
    landscape = Drifting(STILL)
    populations, _ = run(landscape, settings(scheme="mu_plus_lambda", region="parents"))
    for region, population in list(zip(landscape.regions, populations, strict=True))[1:]:
        assert sorted(region) == sorted(c.genotype for c in population if c.origin == "parent")


def test_novelty_keeps_known_networks_out_of_the_children() -> None:
    populations, _ = run(Drifting(STILL), settings(novelty=1.0))
    known: set[Genotype] = set()
    for population in populations:
        new = {SPACE.canonical(c.genotype) for c in population if c.origin != "elite"}
        assert not new & known
        known |= new


@pytest.mark.parametrize("changes", [*FAIR, *STALE], ids=str)
def test_every_policy_goes_on_from_its_saved_state(changes: dict[str, Any]) -> None:
    chosen = settings(**changes)

    def told(algorithm: GeneticAlgorithm, state: int) -> list[Candidate]:
        asked = algorithm.ask()
        algorithm.tell([Measurement(c.genotype, (float(sum(c.genotype)),), state, "exact") for c in asked])
        return asked

    whole, broken = GeneticAlgorithm(SPACE, chosen, Seeds(0)), GeneticAlgorithm(SPACE, chosen, Seeds(0))
    for state in range(3):
        assert told(whole, state) == told(broken, state)
    other = GeneticAlgorithm(SPACE, chosen, Seeds(9))
    other.load_state_dict(json.loads(json.dumps(broken.state_dict())))
    assert [told(whole, state) for state in range(3, 6)] == [told(other, state) for state in range(3, 6)]


def scored(genotype: Genotype, value: float, state: int) -> Measurement:
    return Measurement(genotype, (value,), state, "exact")


def test_the_unfair_choice_goes_by_stored_fitness_and_the_fair_one_never_does() -> None:
    zeros = (0,) * SPACE.n_genes
    first, second, third = ((*zeros[:-1], last) for last in (0, 1, 2))
    generations = [[scored(first, 5.0, 0), scored(second, 6.0, 0)], [scored(second, 50.0, 1), scored(third, 49.0, 1)]]
    assert [m.genotype for m in by_stored_fitness(SPACE, generations, 3)] == [first, second, third]
    assert candidates(SPACE, generations, 2) == [third, first], "the best of each state, the later state first"


def test_generations_of_one_state_are_ranked_together() -> None:
    zeros = (0,) * SPACE.n_genes
    genotypes = [(*zeros[:-1], last) for last in range(4)]
    generations = [[scored(genotypes[0], 1.0, 0), scored(genotypes[1], 2.0, 0)], [scored(genotypes[2], 3.0, 0)]]
    assert candidates(SPACE, generations, 2) == genotypes[:2]
