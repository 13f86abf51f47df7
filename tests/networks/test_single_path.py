"""Supernet and subnet: one path, nothing stored, and the extracted network is the path."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from evonas.networks import build_subnet
from evonas.supernet.extract import extract
from evonas.supernet.statistics import batch_statistics, modes_kept, running_statistics


def batch(n: int = 16) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def genotypes(parts: Any, count: int = 12) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(0)
    every = [tuple([op] * parts.space.n_genes) for op in range(len(parts.space.operations))]
    return every + [parts.space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("statistics", [batch_statistics, running_statistics])
def test_the_extracted_subnet_gives_the_supernets_outputs_bit_for_bit(
    parts: Any, statistics: Any, memory_format: str
) -> None:
    made = parts(f"memory_format={memory_format}")
    images = batch().contiguous(memory_format=made.memory_format)
    for genotype in genotypes(made):
        subnet = extract(made.space, made.supernet, genotype, made.data).to(memory_format=made.memory_format)
        with torch.no_grad(), statistics(made.supernet), statistics(subnet):
            assert torch.equal(made.supernet(images, genotype), subnet(images))


def test_the_subnet_shares_no_memory_with_the_supernet(parts: Any) -> None:
    made = parts()
    subnet = extract(made.space, made.supernet, (0, 1, 2), made.data)
    before = {name: tensor.clone() for name, tensor in made.supernet.state_dict().items()}
    with torch.no_grad():
        for parameter in subnet.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in made.supernet.state_dict().items())


def test_only_the_paths_weights_get_gradients(parts: Any) -> None:
    made = parts()
    genotype = (0, 2, 1)
    F.cross_entropy(made.supernet(batch(), genotype), torch.arange(16) % 10).backward()
    used = {id(parameter) for parameter in made.supernet.path_parameters(genotype)}
    for parameter in made.supernet.parameters():
        assert (parameter.grad is not None) == (id(parameter) in used)


def test_only_the_paths_blocks_run(parts: Any) -> None:
    made = parts()
    ran: list[torch.nn.Module] = []
    for choices in made.supernet.layers:
        for block in choices:
            block.register_forward_hook(lambda module, inputs, output: ran.append(module))
    made.supernet(batch(), (3, 1, 4))
    assert ran == [made.supernet.layers[i][g] for i, g in enumerate((3, 1, 4))]


def test_a_call_leaves_no_path_behind(parts: Any) -> None:
    made = parts()
    with torch.no_grad(), running_statistics(made.supernet):
        first = made.supernet(batch(), (0, 0, 0))
        made.supernet(batch(), (1, 2, 3))
        assert torch.equal(made.supernet(batch(), (0, 0, 0)), first)


def test_modes_come_back_even_after_an_error(parts: Any) -> None:
    made = parts()
    made.supernet.train()
    made.supernet.stem.eval()
    before = [module.training for module in made.supernet.modules()]
    for context in (modes_kept, batch_statistics, running_statistics):
        with pytest.raises(RuntimeError, match="planted"), context(made.supernet):
            raise RuntimeError("planted")
        assert [module.training for module in made.supernet.modules()] == before


def test_isomorphic_genotypes_give_networks_of_one_shape(parts: Any) -> None:
    made = parts("space.layers=[1,3]")
    first, second = (0, 1, 4, 2), (0, 1, 2, 4)
    assert made.space.canonical(first) == made.space.canonical(second)
    shapes = [
        sorted(tuple(p.shape) for p in build_subnet(made.space, genotype, 1, 10).parameters())
        for genotype in (first, second)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("operation", ["conv1", "conv5", "sep7", "mb3x1", "mb9x6", "maxpool5", "avgpool3", "skip"])
@pytest.mark.parametrize("size", [7, 8])
def test_every_operation_keeps_the_shapes_of_its_layer(parts: Any, operation: str, size: int) -> None:
    made = parts(f"space.operations=[{operation},conv3]", "space.layers=[2,2]")
    images = torch.randn(2, 1, size, size)
    with torch.no_grad(), batch_statistics(made.supernet):
        assert made.supernet(images, (0, 0, 0, 0)).shape == (2, 10)
