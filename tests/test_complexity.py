import itertools

import numpy as np
import torch

from evonas.complexity import Complexity, count
from evonas.config import SinglePathSettings
from evonas.networks import build_subnet
from evonas.spaces import SinglePathSpace

SMALL = SinglePathSpace(
    SinglePathSettings(width=4, layers=(1, 2), strides=(1, 2), operations=("conv3", "mb3x6", "skip", "avgpool3"))
)


def test_the_cost_of_a_genotype_is_that_of_the_network_built() -> None:
    complexity = Complexity(SMALL, (3, 9, 9), 7)
    rng = np.random.default_rng(0)
    for _ in range(20):
        genotype = SMALL.sample(rng)
        with torch.device("meta"):
            network = build_subnet(SMALL, genotype, 3, 7)
        assert complexity.of(genotype) == count(network, (3, 9, 9))[0]


def test_flops_are_multiply_adds() -> None:
    cost, shape = count(torch.nn.Conv2d(3, 8, 3, padding=1, bias=False, device="meta"), (3, 10, 10))
    assert cost.params == 3 * 8 * 9
    assert cost.flops == 3 * 8 * 9 * 100
    assert shape == (8, 10, 10)


def test_the_largest_network_is_the_largest_of_all() -> None:
    complexity = Complexity(SMALL, (3, 8, 8), 10)
    most = max(complexity.of(g).params for g in itertools.product(range(4), repeat=3))
    assert complexity.of(complexity.largest()).params == most
