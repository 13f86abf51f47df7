"""The networks of the single-path space, and the modes of a supernet."""

from typing import Any

import pytest
import torch

from evonas.networks import build_subnet
from evonas.supernet.statistics import batch_statistics, modes_kept, running_statistics


def batch(n: int = 16) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_only_the_paths_blocks_run(parts: Any) -> None:
    made = parts()
    ran: list[torch.nn.Module] = []
    for choices in made.supernet.layers:
        for block in choices:
            block.register_forward_hook(lambda module, inputs, output: ran.append(module))
    made.supernet(batch(), (3, 1, 4))
    assert ran == [made.supernet.layers[i][g] for i, g in enumerate((3, 1, 4))]


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
