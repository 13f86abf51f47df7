"""The space of NAS-Bench-201: its published numbers, its isomorphism classes, and cells that carry nothing."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_support import NB201_TABLE, needs_nb201_table, rows

from evonas.config import NB201Settings
from evonas.spaces import NB201Space
from evonas.spaces.cell201 import carrying

SPACE = NB201Space(NB201Settings())  # type: ignore[call-arg]
EVERY = list(itertools.product(range(5), repeat=6))
BARELY_CONNECTED = [(0, 0, 0, 1, 0, 0), (3, 0, 0, 0, 3, 0), (0, 2, 0, 0, 0, 2), (4, 0, 4, 0, 0, 4)]


def genes(code: str) -> tuple[int, ...]:
    return tuple(int(digit) for digit in code)


def test_the_published_numbers_of_cells_and_classes() -> None:
    assert len(EVERY) == 15625
    assert len({SPACE.canonical(genotype) for genotype in EVERY}) == 6466
    assert sum(not SPACE.is_valid(genotype) for genotype in EVERY) == 341


def test_a_class_holds_no_connected_and_disconnected_cells_together() -> None:
    for genotype in EVERY:
        assert SPACE.is_valid(SPACE.canonical(genotype)) == SPACE.is_valid(genotype)
    assert len({SPACE.canonical(genotype) for genotype in EVERY if SPACE.is_valid(genotype)}) == 6461


def test_canonical_is_the_smallest_of_its_class() -> None:
    assert all(SPACE.canonical(genotype) <= genotype for genotype in EVERY)


@needs_nb201_table
def test_the_classes_are_those_of_the_benchmarks_authors() -> None:
    classes: defaultdict[str, set[tuple[int, ...]]] = defaultdict(set)
    for row in rows(NB201_TABLE):
        classes[row["iso_class"]].add(SPACE.canonical(genes(row["ops"])))
    assert all(len(canonicals) == 1 for canonicals in classes.values())
    assert len(set.union(*classes.values())) == len(classes) == 6466


@pytest.mark.parametrize(
    ("genotype", "connected"),
    [
        ((0, 0, 0, 1, 0, 0), True),
        ((1, 0, 1, 0, 0, 1), True),
        ((0, 3, 3, 0, 3, 0), False),  # node 1 has no input, node 2 no output
        ((3, 0, 0, 0, 0, 3), False),
    ],
)
def test_a_cell_is_valid_where_edges_that_are_not_none_lead_from_input_to_output(
    genotype: tuple[int, ...], connected: bool
) -> None:
    assert SPACE.is_valid(genotype) == connected


def test_repair_connects_output_and_input_directly() -> None:
    assert SPACE.repair((3, 9, 0, 0, 0, 0)) == (3, 4, 0, 1, 0, 0)
    assert SPACE.repair((3, 9, 0, 0, 0, 2)) == (3, 4, 0, 0, 0, 2)
    for genotype in EVERY:
        repaired = SPACE.repair(genotype)
        assert SPACE.is_valid(repaired)
        assert (repaired == genotype) == SPACE.is_valid(genotype)


@given(st.sampled_from(BARELY_CONNECTED), st.sampled_from(BARELY_CONNECTED), st.integers(0, 2**32 - 1))
def test_operators_disconnect_nothing(first: tuple[int, ...], second: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    child = SPACE.crossover(first, second, rng)
    assert all(gene in pair for gene, *pair in zip(child, first, second, strict=True)), "no child was repaired"
    frequencies = SPACE.frequencies([first, second], 0.0)
    for genotype in (
        child,
        SPACE.mutate(first, 0.5, rng),
        SPACE.neighbour(first, 2, rng),
        SPACE.sample_from(frequencies, rng),
    ):
        assert SPACE.is_valid(genotype)


def test_frequencies_without_a_connected_cell_end_in_a_repair() -> None:
    always_none = [np.eye(5)[0]] * 6
    assert SPACE.sample_from(always_none, np.random.default_rng(0)) == (0, 0, 0, 1, 0, 0)


def test_random_genotypes_are_uniform_over_the_connected_ones() -> None:
    rng, count = np.random.default_rng(0), 20000
    drawn = np.array([SPACE.sample(rng) for _ in range(count)])
    connected = np.array([genotype for genotype in EVERY if SPACE.is_valid(genotype)])
    for edge in range(6):
        shares = [np.bincount(genotypes[:, edge], minlength=5) / len(genotypes) for genotypes in (drawn, connected)]
        assert np.abs(shares[0] - shares[1]).max() < 5 * np.sqrt(0.2 * 0.8 / count)


def test_what_leads_nowhere_does_not_carry_and_what_leads_from_nothing_does() -> None:
    assert carrying((3, 3, 3, 3, 3, 3)) == [[0], [1, 2], [3, 4, 5]]
    assert carrying((3, 3, 3, 1, 0, 0)) == [[], [], [3]]
    assert carrying((0, 0, 3, 1, 0, 3)) == [[], [2], [3, 5]]


def test_description_names_each_edge() -> None:
    assert SPACE.describe((0, 1, 2, 3, 4, 3)) == [
        "0>1 none",
        "0>2 skip_connect",
        "1>2 nor_conv_1x1",
        "0>3 nor_conv_3x3",
        "1>3 avg_pool_3x3",
        "2>3 nor_conv_3x3",
    ]


@needs_nb201_table
@pytest.mark.parametrize(("prefix", "classes"), [("c10", 10), ("c100", 100)])
def test_costs_are_those_of_the_table_on_every_row(prefix: str, classes: int) -> None:
    table = rows(NB201_TABLE)
    assert len(table) == len(EVERY)
    for row in table:
        expected = int(row[f"{prefix}_params"]), int(row[f"{prefix}_flops"])
        assert SPACE.cost(genes(row["ops"]), (3, 32, 32), classes) == expected


def test_resnets_cell_has_its_published_cost() -> None:
    assert SPACE.cost((3, 0, 3, 1, 0, 1), (3, 32, 32), 10) == (559386, 78561930)
