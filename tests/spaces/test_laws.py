"""The laws that every space keeps."""

from collections import Counter
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evonas.config import DartsSettings, NB201Settings, NBMacroSettings, SinglePathSettings
from evonas.spaces import SPACES, DartsSpace, NB201Space, NBMacroSpace, SinglePathSpace, Space

EXAMPLES: dict[str, Space] = {
    "single-path": SinglePathSpace(SinglePathSettings()),
    "single-path of one stage": SinglePathSpace(
        SinglePathSettings(layers=(5,), strides=(1,), operations=("conv3", "skip", "sep7"))
    ),
    "single-path without skip": SinglePathSpace(
        SinglePathSettings(layers=(2, 2), strides=(2, 2), operations=("conv3", "avgpool3", "mb3x6"))
    ),
    "nb-macro": NBMacroSpace(NBMacroSettings()),
    "nb201": NB201Space(NB201Settings()),
    "darts": DartsSpace(DartsSettings()),
}


def test_every_space_is_among_the_examples() -> None:
    assert {type(space) for space in EXAMPLES.values()} == set(SPACES.values())


@pytest.fixture(params=EXAMPLES)
def space(request: pytest.FixtureRequest) -> Space:
    return EXAMPLES[request.param]


names = st.sampled_from(sorted(EXAMPLES))
seeds = st.integers(0, 2**32 - 1)


@given(names, st.data())
def test_repair_is_idempotent_and_keeps_valid_genotypes(name: str, data: st.DataObject) -> None:
    space = EXAMPLES[name]
    genes = data.draw(st.lists(st.integers(-5, 20), min_size=space.n_genes, max_size=space.n_genes))
    repaired = space.repair(genes)
    assert space.is_valid(repaired)
    assert space.repair(repaired) == repaired
    if space.is_valid(genes):
        assert repaired == tuple(genes)


def test_repair_refuses_a_wrong_length(space: Space) -> None:
    with pytest.raises(ValueError, match=f"{space.n_genes} genes; got 1"):
        space.repair([0])


@given(names, seeds)
def test_operators_stay_inside_the_space(name: str, seed: int) -> None:
    space, rng = EXAMPLES[name], np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    frequencies = space.frequencies([first, second], beta=0.5)
    for genotype in (
        first,
        space.crossover(first, second, rng),
        space.mutate(first, 0.3, rng),
        space.neighbour(first, 2, rng),
        space.sample_from(frequencies, rng),
    ):
        assert space.is_valid(genotype)
        assert all(type(gene) is int for gene in genotype), "plain integers, so that JSON takes them"


@given(names, seeds)
def test_a_child_takes_each_unit_from_a_parent_at_the_same_position(name: str, seed: int) -> None:
    space, rng = EXAMPLES[name], np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    child = space.crossover(first, second, rng)
    for unit in space.units:
        assert child[unit] in (first[unit], second[unit])


def test_crossover_takes_from_both_parents_about_equally(space: Space) -> None:
    rng = np.random.default_rng(0)
    while True:
        first, second = space.sample(rng), space.sample(rng)
        if all(first[unit] != second[unit] for unit in space.units):
            break
    children = [space.crossover(first, second, rng) for _ in range(2000)]
    share = np.mean([child[unit] == second[unit] for child in children for unit in space.units])
    assert abs(share - 0.5) < 0.02


@given(names, seeds, st.sampled_from([0.0, 0.1, 1.0]))
def test_mutation_gives_another_network(name: str, seed: int, rate: float) -> None:
    space, rng = EXAMPLES[name], np.random.default_rng(seed)
    genotype = space.sample(rng)
    mutant = space.mutate(genotype, rate, rng)
    assert space.canonical(mutant) != space.canonical(genotype)


@given(names, seeds, st.integers(1, 3))
def test_a_neighbour_differs_in_at_most_the_distance(name: str, seed: int, distance: int) -> None:
    space, rng = EXAMPLES[name], np.random.default_rng(seed)
    genotype = space.sample(rng)
    neighbour = space.neighbour(genotype, distance, rng)
    assert 1 <= sum(genotype[unit] != neighbour[unit] for unit in space.units) <= distance
    near = space.neighbours(genotype)
    assert space.canonical(genotype) not in near
    assert distance > 1 or space.canonical(neighbour) in near


@given(names, seeds)
def test_canonical_is_idempotent_and_valid(name: str, seed: int) -> None:
    space = EXAMPLES[name]
    canonical = space.canonical(space.sample(np.random.default_rng(seed)))
    assert space.is_valid(canonical)
    assert space.canonical(canonical) == canonical


@given(names, seeds)
def test_a_description_has_one_phrase_a_unit(name: str, seed: int) -> None:
    space = EXAMPLES[name]
    assert len(space.describe(space.sample(np.random.default_rng(seed)))) == len(space.units)


@given(names, seeds, st.integers(1, 40), st.integers(1, 200))
def test_costs_grow_with_the_image_and_the_classes(name: str, seed: int, size: int, classes: int) -> None:
    space = EXAMPLES[name]
    genotype = space.sample(np.random.default_rng(seed))
    cost = space.cost(genotype, (3, size, size), classes)
    if cost is None:
        return
    larger = space.cost(genotype, (3, size + 1, size), classes + 1)
    assert larger is not None and all(a < b for a, b in zip(cost, larger, strict=True))


def test_frequencies_are_counts_smoothed_by_a_uniform_prior(space: Space) -> None:
    if isinstance(space, DartsSpace):
        pytest.skip("its frequencies are of pairs of inputs and of operations by input: tests/spaces/test_darts.py")
    population = [(0,) * space.n_genes, (1,) * space.n_genes, (1,) * space.n_genes]
    for n, probabilities in zip(space.cardinalities, space.frequencies(population, beta=1.0), strict=True):
        assert probabilities.sum() == pytest.approx(1.0)
        assert probabilities[1] == pytest.approx((2 + 1 / n) / 4)
        assert (probabilities > 0).all()


def test_without_a_prior_nothing_is_drawn_that_the_population_has_not(space: Space) -> None:
    rng = np.random.default_rng(0)
    member = space.sample(rng)
    frequencies = space.frequencies([member] * 3, beta=0.0)
    assert all(space.sample_from(frequencies, rng) == member for _ in range(10))


@settings(max_examples=25)
@given(names, seeds)
def test_the_same_generator_gives_the_same_genotypes(name: str, seed: int) -> None:
    space = EXAMPLES[name]

    def drawn() -> list[tuple[int, ...]]:
        rng = np.random.default_rng(seed)
        first, second = space.sample(rng), space.sample(rng)
        return [first, space.crossover(first, second, rng), space.mutate(second, 0.2, rng)]

    assert drawn() == drawn()


def test_multiplicity_counts_the_genotypes_of_a_network(space: Space) -> None:
    if prod(space.cardinalities) > 20_000:
        pytest.skip("too many genotypes to count one by one")
    valid = [g for g in product(*(range(n) for n in space.cardinalities)) if space.is_valid(g)]
    counted = Counter(space.canonical(genotype) for genotype in valid)
    assert all(space.multiplicity(genotype) == counted[space.canonical(genotype)] for genotype in valid)
