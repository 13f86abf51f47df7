"""Supernet and subnet of every space: one path, nothing stored, and the extracted network is the path."""

from typing import Any

import numpy as np
import pytest
import torch
from tests_support import SMALL_SPACES
from torch.nn import functional as F

from evonas.networks import build_subnet
from evonas.spaces import SPACES
from evonas.supernet.extract import extract
from evonas.supernet.statistics import batch_statistics, running_statistics


@pytest.fixture(params=SMALL_SPACES)
def space(request: pytest.FixtureRequest) -> str:
    return SMALL_SPACES[request.param]


def test_every_space_is_here() -> None:
    assert set(SMALL_SPACES) == set(SPACES)


def batch(n: int = 16) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def alike(made: Any, gene: int) -> tuple[int, ...]:
    """The same gene everywhere, as far as the space allows it."""
    genotype = (gene,) * made.space.n_genes
    return genotype if made.space.name == "nb201" else made.space.repair(genotype)  # its cells of `none` run too


def genotypes(made: Any, count: int = 12) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(0)
    every = [alike(made, gene) for gene in range(max(made.space.cardinalities))]
    return every + [made.space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("statistics", [batch_statistics, running_statistics])
def test_the_extracted_subnet_gives_the_supernets_outputs_bit_for_bit(
    parts: Any, space: str, statistics: Any, memory_format: str
) -> None:
    made = parts(f"memory_format={memory_format}", space)
    images = made.arithmetic.laid_out(batch())
    for genotype in genotypes(made):
        subnet = made.arithmetic.placed(extract(made.space, made.supernet, genotype, made.data))
        with torch.no_grad(), statistics(made.supernet), statistics(subnet):
            outputs = subnet(images)
            assert outputs.shape == (16, 10)
            assert torch.equal(made.supernet(images, genotype), outputs)


def test_the_path_holds_the_subnets_parameters_by_name(parts: Any, space: str) -> None:
    made = parts(space)
    for genotype in genotypes(made):
        used = {
            f"{name}.{key}": value.shape
            for name, part in made.supernet.path(genotype)
            for key, value in part.named_parameters()
        }
        subnet = build_subnet(made.space, genotype, 1, 10, shared=True)
        assert used == {name: parameter.shape for name, parameter in subnet.named_parameters()}


def test_the_subnet_shares_no_memory_with_the_supernet(parts: Any, space: str) -> None:
    made = parts(space)
    subnet = extract(made.space, made.supernet, alike(made, 1), made.data)
    before = {name: tensor.clone() for name, tensor in made.supernet.state_dict().items()}
    with torch.no_grad():
        for parameter in subnet.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in made.supernet.state_dict().items())


def test_only_the_paths_weights_get_gradients(parts: Any, space: str) -> None:
    made = parts(space)
    for genotype in genotypes(made):
        made.supernet.zero_grad(set_to_none=True)
        F.cross_entropy(made.supernet(batch(), genotype), torch.arange(16) % 10).backward()
        used = {id(parameter) for parameter in made.supernet.path_parameters(genotype)}
        moved = {id(parameter) for parameter in made.supernet.parameters() if parameter.grad is not None}
        assert moved <= used
        if made.space.name != "nb201" or 0 not in genotype:  # with `none` some edges lead nowhere
            assert moved == used


def test_a_call_leaves_no_path_behind(parts: Any, space: str) -> None:
    made = parts(space)
    first, second = alike(made, 1), alike(made, 2)
    with torch.no_grad(), running_statistics(made.supernet):
        outputs = made.supernet(batch(), first)
        made.supernet(batch(), second)
        assert torch.equal(made.supernet(batch(), first), outputs)
