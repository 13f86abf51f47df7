"""Which paths a step takes: fairness of each sampler, counted."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.config import FinetuneSettings, NB201Settings, RegionWeights, SinglePathSettings
from evonas.spaces import SinglePathSpace
from evonas.spaces.cell201 import NB201Space
from evonas.supernet.sampling import deiso_paths, fair_paths, phase_steps, region_paths, uniform_paths

SPACE = SinglePathSpace(SinglePathSettings())


def population(n: int, seed: int = 0) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[int, ...], tuple[int, ...]] = {}
    while len(drawn) < n:
        genotype = SPACE.sample(rng)
        drawn.setdefault(SPACE.canonical(genotype), genotype)
    return list(drawn.values())


def settings(*shares: float) -> FinetuneSettings:
    names = ("population", "gene", "neighbour", "uniform")
    return FinetuneSettings(weights=RegionWeights(**dict(zip(names, shares, strict=True))))  # type: ignore[call-arg]


def test_uniform_takes_one_valid_path_a_step() -> None:
    paths = uniform_paths(SPACE, np.random.default_rng(0))
    steps = [next(paths) for _ in range(100)]
    assert all(len(step) == 1 and SPACE.is_valid(step[0]) for step in steps)


def test_fair_takes_every_operation_of_every_layer_once_a_step_in_a_new_order_each_time() -> None:
    paths = fair_paths(SPACE, np.random.default_rng(0))
    steps = [next(paths) for _ in range(20)]
    operations = len(SPACE.operations)
    for step in steps:
        assert len(step) == operations
        for layer in range(SPACE.n_genes):
            assert sorted(genotype[layer] for genotype in step) == list(range(operations))
    assert len({tuple(step) for step in steps}) == 20


def test_fair_goes_round_where_a_gene_has_fewer_values() -> None:
    class Uneven(SinglePathSpace):
        @property
        def cardinalities(self) -> tuple[int, ...]:
            return (2, 5)

    step = next(fair_paths(Uneven(SinglePathSettings()), np.random.default_rng(0)))
    assert sorted(genotype[1] for genotype in step) == [0, 1, 2, 3, 4]
    assert sorted(Counter(genotype[0] for genotype in step).values()) == [2, 3]


@given(st.integers(2, 30), st.integers(1, 200), st.integers(0, 1000))
def test_members_get_equal_direct_updates_at_any_time_of_a_phase(members: int, steps: int, seed: int) -> None:
    # Invariant I3. Other parts can draw a member by chance, so the direct updates are counted with them left out.
    region = population(members)
    steps = phase_steps(members, steps, 1.0)
    paths = region_paths(SPACE, region, settings(1, 0, 0, 0), steps, np.random.default_rng(seed))
    assert len(paths) == steps
    counts: Counter[Any] = Counter(dict.fromkeys(region, 0))
    for (genotype,) in paths:
        counts[genotype] += 1
        assert max(counts.values()) - min(counts.values()) <= 1
    assert len(counts) == members
    assert len(set(counts.values())) == 1, "a phase holds whole rounds"
    assert min(counts.values()) >= 1


@given(st.integers(2, 40), st.integers(1, 300))
def test_a_phase_holds_at_least_one_round_at_the_populations_share(members: int, steps: int) -> None:
    region = population(members)
    total = phase_steps(members, steps, 0.5)
    assert total >= max(steps, 2 * members)
    assert total == steps or total == 2 * members
    drawn = Counter(
        g for (g,) in region_paths(SPACE, region, settings(0.5, 0, 0, 0.5), total, np.random.default_rng(1))
    )
    assert min(drawn[member] for member in region) >= 1


def test_the_four_parts_have_their_shares() -> None:
    region = population(20)
    paths = [g for (g,) in region_paths(SPACE, region, settings(5, 3, 1, 1), 2000, np.random.default_rng(0))]
    assert len(paths) == 2000
    direct = sum(genotype in set(region) for genotype in paths)
    assert 1000 <= direct <= 1030  # half of the steps in whole rounds, and a few by chance

    def distance(genotype: tuple[int, ...]) -> int:
        return min(sum(a != b for a, b in zip(genotype, member, strict=True)) for member in region)

    assert 180 <= sum(distance(genotype) == 1 for genotype in paths) <= 260


def test_the_gene_part_follows_the_populations_frequencies() -> None:
    region = [(0,) * SPACE.n_genes, (1,) * SPACE.n_genes]
    paths = [g for (g,) in region_paths(SPACE, region, settings(0, 1, 0, 0), 3000, np.random.default_rng(0))]
    share = np.mean([[gene in (0, 1) for gene in genotype] for genotype in paths])
    assert share == pytest.approx((2 + 2 / 7) / 3, abs=0.01)


def test_the_neighbour_part_stays_within_the_distance() -> None:
    region = population(5)
    for (genotype,) in region_paths(SPACE, region, settings(0, 0, 1, 0), 200, np.random.default_rng(0)):
        assert min(sum(a != b for a, b in zip(genotype, member, strict=True)) for member in region) <= 1
        assert genotype not in region


def test_no_rank_enters_so_the_order_of_the_population_changes_no_share() -> None:
    region = population(10)
    counts = [
        Counter(g for (g,) in region_paths(SPACE, order, settings(1, 0, 0, 0), 100, np.random.default_rng(3)))
        for order in (region, region[::-1])
    ]
    assert counts[0] == counts[1]


def test_deiso_takes_every_network_equally_often_and_every_genotype_of_one() -> None:
    chain = SinglePathSpace(SinglePathSettings(layers=(3,), strides=(1,), operations=("conv3", "skip")))
    paths = deiso_paths(chain, np.random.default_rng(0))
    drawn = Counter(next(paths)[0] for _ in range(8000))
    assert len(drawn) == 8, "all genotypes are trained"
    networks = Counter[tuple[int, ...]]()
    for genotype, times in drawn.items():
        networks[chain.canonical(genotype)] += times
    assert len(networks) == 4
    assert all(abs(times - 2000) < 5 * (8000 * 0.25 * 0.75) ** 0.5 for times in networks.values())
    one_skip = [drawn[genotype] for genotype in ((0, 0, 1), (0, 1, 0), (1, 0, 0))]
    assert max(one_skip) - min(one_skip) < 5 * (2 * 2000 / 3) ** 0.5


def test_no_sampler_leaves_a_space_whose_genes_cannot_all_be_combined() -> None:
    cells = NB201Space(NB201Settings())
    for sampler in (uniform_paths, fair_paths, deiso_paths):
        paths = sampler(cells, np.random.default_rng(0))
        assert all(cells.is_valid(path) for _ in range(200) for path in next(paths))
