"""DARTS's cells: validity under many operators, canonical form against brute force, published sizes."""

from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest

from evonas.config import DartsSettings, build
from evonas.errors import ConfigError
from evonas.spaces import DartsSpace
from evonas.spaces.base import Genotype
from evonas.spaces.darts import cells_of
from evonas.spaces.darts_stack import NODES, OPERATIONS, Stack
from evonas.spaces.named import NAMED

SPACE = DartsSpace(DartsSettings())  # type: ignore[call-arg]
CELL = 4 * NODES


def test_a_genotype_has_32_genes_in_8_units() -> None:
    assert SPACE.n_genes == 32
    assert len(SPACE.units) == 8
    assert SPACE.size == (1 * 3 * 6 * 10 * 7**8) ** 2
    assert SPACE.cardinalities[:CELL] == (2, 7, 2, 7, 3, 7, 3, 7, 4, 7, 4, 7, 5, 7, 5, 7)


def test_20_000_children_and_mutants_are_valid() -> None:
    rng = np.random.default_rng(0)
    parents = [SPACE.sample(rng) for _ in range(100)]
    for _ in range(10_000):
        first, second = (parents[int(i)] for i in rng.integers(len(parents), size=2))
        child = SPACE.crossover(first, second, rng)
        mutant = SPACE.mutate(child, 0.1, rng)
        assert SPACE.is_valid(child) and SPACE.is_valid(mutant)
        parents[int(rng.integers(len(parents)))] = mutant
    assert SPACE.repairs == 0


def test_a_mutation_of_one_node_rewires_one_edge_or_changes_one_operation() -> None:
    rng = np.random.default_rng(0)
    kinds: Counter[str] = Counter()
    for _ in range(500):
        genotype = SPACE.sample(rng)
        mutant = SPACE.neighbour(genotype, 1, rng)
        (unit,) = (unit for unit in SPACE.units if genotype[unit] != mutant[unit])
        (a, b, c, d), new = genotype[unit], mutant[unit]
        before, after = Counter([(a, b), (c, d)]), Counter([(new[0], new[1]), (new[2], new[3])])
        ((old_input, old_operation),), ((new_input, new_operation),) = before - after, after - before
        assert (old_input == new_input) != (old_operation == new_operation)
        kinds["operation" if old_input == new_input else "input"] += 1
    # Six of eight nodes have an input to spare, and are rewired half of the time.
    assert kinds["input"] / 500 == pytest.approx(0.375, abs=0.06)


def test_sampling_is_uniform_over_pairs_and_operations() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([SPACE.sample(rng) for _ in range(6000)])
    last = Counter(map(tuple, drawn[:, [28, 30]].tolist()))
    assert set(last) == set(combinations(range(5), 2))
    assert max(last.values()) < 1.2 * min(last.values())
    operations = Counter(drawn[:, [29, 31]].flatten().tolist())
    assert max(operations.values()) < 1.15 * min(operations.values())


def brute_force(genotype: Genotype) -> tuple[Genotype, int]:
    """The smallest genotype over all orders of each cell's nodes in which every node comes after its inputs, and how
    many different genotypes there are: all 24 permutations are tried, none is constructed."""
    smallest: list[int] = []
    count = 1
    for start in (0, CELL):
        nodes = [genotype[start + 4 * i : start + 4 * i + 4] for i in range(NODES)]
        found = set()
        for order in permutations(range(NODES)):
            new = {0: 0, 1: 1, **{old + 2: position + 2 for position, old in enumerate(order)}}
            cell: list[int] = []
            for old in order:
                a, b, c, d = nodes[old]
                cell += [gene for edge in sorted([(new[a], b), (new[c], d)]) for gene in edge]
            if all(max(cell[4 * i], cell[4 * i + 2]) < 2 + i for i in range(NODES)):
                found.add(tuple(cell))
        smallest += min(found)
        count *= len(found)
    return tuple(smallest), count


def test_canonical_form_and_multiplicity_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        genotype = SPACE.sample(rng)
        canonical, count = brute_force(genotype)
        assert SPACE.canonical(genotype) == canonical
        assert SPACE.multiplicity(genotype) == count


def test_orbits_have_the_mean_size_that_counting_gives() -> None:
    # 4.36 encodings a cell on average, and 86.6 % of the cells have more than one (counted over drawn cells).
    rng = np.random.default_rng(2)
    sizes = [SPACE.multiplicity(genotype[:CELL] + in_order) for genotype in (SPACE.sample(rng) for _ in range(4000))]
    assert np.mean(sizes) == pytest.approx(4.36, abs=0.25)
    assert np.mean([size > 1 for size in sizes]) == pytest.approx(0.866, abs=0.02)


in_order: Genotype = (0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0)  # a chain, which has one encoding


def test_frequencies_count_pairs_and_operations_by_input() -> None:
    first = (0, 1, 1, 2, 0, 3, 1, 4, 0, 0, 1, 0, 2, 5, 4, 6) * 2
    second = (0, 1, 1, 2, 1, 3, 2, 4, 0, 0, 1, 0, 2, 5, 3, 6) * 2
    frequencies = SPACE.frequencies([first, second], beta=1.0)
    assert len(frequencies) == 16
    assert [f.shape for f in frequencies[:4]] == [(1,), (2, 7), (3,), (3, 7)]
    # Node 3: pairs (0, 1), (0, 2), (1, 2); operation 3 on input 0 and 1, 4 on 1 and 2.
    assert frequencies[2] == pytest.approx([(1 + 1 / 3) / 3, (1 / 3) / 3, (1 + 1 / 3) / 3])
    assert frequencies[3][0, 3] == pytest.approx((1 + 1 / 7) / 2)
    assert frequencies[3][1, 3] == frequencies[3][1, 4] == pytest.approx((1 + 1 / 7) / 3)
    for array in frequencies:
        assert array.sum(axis=-1) == pytest.approx(np.ones(array.shape[:-1]))


def test_fair_paths_hold_every_operation_of_every_edge_once() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        paths = SPACE.fair(rng)
        assert len(paths) == len(OPERATIONS) and all(SPACE.is_valid(path) for path in paths)
        for gene in range(1, 32, 2):
            assert sorted(path[gene] for path in paths) == list(range(len(OPERATIONS)))


def test_repair_moves_the_second_of_two_equal_inputs_and_sorts() -> None:
    genes = [1, 3, 1, 0, 2, 1, 2, 0, 3, 4, 0, 5, 9, 9, -1, 2] * 2
    repaired = SPACE.repair(genes)
    assert repaired[:CELL] == (0, 0, 1, 3, 1, 0, 2, 1, 0, 5, 3, 4, 0, 2, 4, 6)


def test_a_description_names_inputs_and_operations() -> None:
    phrases = SPACE.describe(NAMED["darts"]["darts-v2"])
    assert phrases[3] == "normal 5: skip_connect(0) + dil_conv_3x3(2)"
    assert phrases[4] == "reduce 2: max_pool_3x3(0) + max_pool_3x3(1)"


@pytest.mark.parametrize(("name", "params"), [("darts-v2", 3.3), ("pc-darts", 3.6), ("p-darts", 3.4)])
def test_published_networks_have_their_published_sizes(name: str, params: float) -> None:
    genotype = NAMED["darts"][name]
    assert SPACE.is_valid(genotype)
    counted, _ = SPACE.cost(genotype, (3, 32, 32), 10)
    assert round(counted / 1e6, 1) == params


def test_the_places_of_cells_are_those_of_the_paper() -> None:
    places = Stack(36, 20).places()
    assert [i for i, place in enumerate(places) if place.reduction] == [6, 13]
    assert [places[i].width for i in (0, 5, 6, 13, 19)] == [36, 36, 72, 144, 144]
    assert (places[0].before, places[0].previous) == (108, 108)
    assert (places[7].before, places[7].previous, places[7].after_reduction) == (144, 288, True)
    assert Stack(36, 20).auxiliary == 13


def test_fewer_than_three_cells_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"space.cells is 2; expected greater than or equal to 3"):
        build({"space": {"name": "darts", "cells": 2}})


def test_cells_of_gives_both_cells() -> None:
    normal, reduction = cells_of(NAMED["darts"]["pc-darts"])
    assert normal[3] == ((0, 1), (1, 5))
    assert reduction[2] == ((0, 3), (3, 3))
