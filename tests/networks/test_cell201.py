"""The networks of NAS-Bench-201: the published modules, and nothing that the output does not depend on."""

from typing import Any

import pytest
import torch
from torch import nn

from evonas.config import NB201Settings
from evonas.networks import build_subnet
from evonas.networks.cell201 import Cell, Reduction
from evonas.spaces import NB201Space
from evonas.spaces.cell201 import EDGES
from evonas.supernet.statistics import batch_statistics, running_statistics

SMALL = "space={name: nb201, width: 4, cells: 1}"
GENOTYPES = [
    (3, 2, 1, 4, 3, 2),
    (0, 3, 3, 1, 2, 4),  # node 1 is zero
    (3, 3, 0, 2, 0, 0),  # nodes 1 and 2 lead nowhere
    (0, 0, 3, 1, 2, 1),  # nodes 1 and 2 are zero, and batch norms behind them
    (3, 1, 2, 0, 0, 0),  # nothing leads to the output
    (0, 0, 0, 0, 3, 3),  # nothing but batch norms behind zeros does
]


def images(channels: int = 1, size: int = 8) -> torch.Tensor:
    return torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(0))


def published(supernet: Any, genotype: tuple[int, ...], inputs: torch.Tensor) -> torch.Tensor:
    """The forward pass as the benchmark's authors write it: every edge runs, and `none` gives zeros."""
    parts = dict(supernet.path(genotype))
    outputs = parts["stem"](inputs)
    for index in range(len(supernet.layers)):
        if f"layers.{index}" in parts:
            outputs = parts[f"layers.{index}"](outputs)
            continue
        nodes = [outputs]
        for node in (1, 2, 3):
            nodes.append(
                sum(
                    parts[f"layers.{index}.edges.{edge}"](nodes[source])
                    for edge, (source, target) in enumerate(EDGES)
                    if target == node
                )
            )
        outputs = nodes[-1]
    return parts["head"](outputs)


@pytest.mark.parametrize("statistics", [batch_statistics, running_statistics])
@pytest.mark.parametrize("genotype", GENOTYPES)
def test_outputs_are_those_of_the_published_sums(parts: Any, genotype: tuple[int, ...], statistics: Any) -> None:
    made = parts(SMALL)
    with torch.no_grad(), statistics(made.supernet):
        assert torch.equal(made.supernet(images(), genotype), published(made.supernet, genotype, images()))


@pytest.mark.parametrize("genotype", GENOTYPES)
def test_only_edges_that_carry_something_to_the_output_run(parts: Any, genotype: tuple[int, ...]) -> None:
    made = parts(SMALL)
    ran = []
    for name, part in made.supernet.path(genotype):
        part.register_forward_hook(lambda module, inputs, output, name=name: ran.append(name))
    made.supernet(images(), genotype)
    carrying = {
        (3, 2, 1, 4, 3, 2): [0, 1, 2, 3, 4, 5],
        (0, 3, 3, 1, 2, 4): [1, 2, 3, 4, 5],
        (3, 3, 0, 2, 0, 0): [3],
        (0, 0, 3, 1, 2, 1): [2, 3, 4, 5],
        (3, 1, 2, 0, 0, 0): [],
        (0, 0, 0, 0, 3, 3): [4, 5],
    }[genotype]
    expected = [
        [f"layers.{index}"] if index % 2 else [f"layers.{index}.edges.{edge}" for edge in carrying]
        for index in range(5)
    ]
    assert ran == ["stem", *(name for names in expected for name in names), "head"]


def test_the_network_has_the_published_modules() -> None:
    network = build_subnet(NB201Space(NB201Settings()), (3, 2, 3, 4, 1, 0), 3, 10)  # type: ignore[call-arg]

    def count(kind: type[nn.Module]) -> int:
        return sum(isinstance(module, kind) for module in network.modules())

    assert [type(layer) for layer in network.layers] == [  # type: ignore[union-attr]
        *[Cell] * 5, Reduction, *[Cell] * 5, Reduction, *[Cell] * 5
    ]  # fmt: skip
    assert count(nn.Conv2d) == 1 + 15 * 3 + 2 * 3
    assert count(nn.BatchNorm2d) == 1 + 15 * 3 + 2 * 2 + 1
    assert count(nn.AvgPool2d) == 15 + 2
    assert all(module.bias is None for module in network.modules() if isinstance(module, nn.Conv2d))
    assert sum(parameter.numel() for parameter in network.parameters()) == 72656 + 650 + 28000 + 2 * 243040


def test_parameters_of_edges_that_lead_nowhere_are_part_of_the_network() -> None:
    space = NB201Space(NB201Settings())  # type: ignore[call-arg]
    sizes = [
        sum(parameter.numel() for parameter in build_subnet(space, genotype, 3, 10).parameters())
        for genotype in ((3, 0, 0, 1, 0, 0), (0, 0, 0, 1, 0, 0))
    ]
    assert sizes[0] - sizes[1] == 243040


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_images_of_any_size_pass(parts: Any, size: int) -> None:
    made = parts(SMALL)
    with torch.no_grad(), running_statistics(made.supernet):
        assert made.supernet(images(size=size), (3, 2, 1, 4, 3, 2)).shape == (4, 10)
