"""A space within limits: operators stay inside, repair is bounded, and what cannot be kept is refused."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.config import build
from evonas.errors import ConfigError
from evonas.plan import algorithm, complete
from evonas.seeding import Seeds
from evonas.spaces import Genotype, Space, build_space
from evonas.spaces.limited import LimitedSpace

IMAGE, CLASSES = (3, 32, 32), 10


def whole(name: str) -> Space:
    return build_space(build({"space": {"name": name}}).space)


class Priced:
    """A problem's costs, by the closed form of a benchmark space."""

    def __init__(self, space: Space, **limits: float) -> None:
        self.space = space
        self.limits = limits

    def costs(self, genotype: Genotype) -> dict[str, float]:
        params, flops = self.space.cost(genotype, IMAGE, CLASSES) or (0, 0)
        return {"params": float(params), "flops": float(flops)}

    def lowest_costs(self) -> Mapping[str, float]:
        return self.costs(self.space.repair([0] * self.space.n_genes))


def limited(name: str, **limits: float) -> LimitedSpace:
    space = whole(name)
    return LimitedSpace(space, Priced(space).costs, limits)


@pytest.mark.parametrize("name", ["nb-macro", "nb201", "darts"])
@given(seed=st.integers(0, 10**6), share=st.floats(0.2, 0.9))
def test_operators_stay_within_the_limit(name: str, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    free = whole(name)
    sizes = [(free.cost(free.sample(rng), IMAGE, CLASSES) or (0, 0))[0] for _ in range(20)]
    space = limited(name, params=float(np.quantile(sizes, share)))
    first, second = space.sample(rng), space.sample(rng)
    for genotype in (first, second, space.crossover(first, second, rng), space.mutate(first, 0.3, rng)):
        assert space.is_valid(genotype)
        assert space.repair(genotype) == genotype
    repaired = space.repair([n - 1 for n in space.cardinalities])
    assert space.is_valid(repaired) and space.repair(repaired) == repaired


def test_a_limit_that_hardly_any_network_keeps_is_met_by_repair() -> None:
    free = whole("nb-macro")
    smallest, _ = free.cost((0,) * 8, IMAGE, CLASSES) or (0, 0)
    space = limited("nb-macro", params=smallest + 1000.0)
    rng = np.random.default_rng(0)
    assert all(space.is_valid(space.sample(rng)) for _ in range(5))


def test_operators_end_where_one_network_alone_keeps_the_limit() -> None:
    free = whole("nb-macro")
    smallest, _ = free.cost((0,) * 8, IMAGE, CLASSES) or (0, 0)
    space = limited("nb-macro", params=float(smallest))
    rng = np.random.default_rng(0)
    only = space.sample(rng)
    assert space.mutate(only, 0.5, rng) == space.neighbour(only, 1, rng) == only
    assert space.repairs > 0


def test_without_pressure_it_is_the_whole_space() -> None:
    space, free = limited("nb-macro", params=1e9), whole("nb-macro")
    assert [space.sample(np.random.default_rng(i)) for i in range(20)] == [
        free.sample(np.random.default_rng(i)) for i in range(20)
    ]


def test_a_limit_below_the_smallest_network_is_refused_with_its_size() -> None:
    settings = complete(build({"space": {"name": "nb-macro"}}))
    space = whole("nb-macro")
    with pytest.raises(ConfigError, match=r"problem.limits.params is 1000, and no network of nb-macro has less than"):
        algorithm(settings, space, Priced(space, params=1000.0), Seeds(0))
