"""Supernet and subnet of NAS-Bench-201's cells, module for module the published network (arXiv 2001.00326)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from evonas.networks.base import Subnet, Supernet
from evonas.networks.blocks import conv_bn
from evonas.spaces.base import Genotype
from evonas.spaces.cell201 import EDGES, OPERATIONS, NB201Space, carrying


class Zero(nn.Module):
    """`none`: stands where an edge carries nothing."""

    def forward(self, images: Tensor) -> Tensor:
        """Zeros of the input's shape."""
        return torch.zeros_like(images)


def relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    """ReLU, convolution without bias, batch norm; "same" padding."""
    return nn.Sequential(
        nn.ReLU(),  # not in place: other edges read the same input
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def build_operation(name: str, width: int) -> nn.Module:
    """The module of an operation; each keeps the shape (N, width, H, W)."""
    match name:
        case "none":
            return Zero()
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return relu_conv_bn(width, width, 1)
        case "nor_conv_3x3":
            return relu_conv_bn(width, width, 3)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    raise AssertionError(f"no module for {name}")


class Reduction(nn.Module):
    """The residual block between two stages: (N, inputs, H, W) to (N, outputs, H/2, W/2), rounded up."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(relu_conv_bn(inputs, outputs, 3, stride=2), relu_conv_bn(outputs, outputs, 3))
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),  # rounded up as the convolution does; the same for even sizes
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """The sum of both, without a ReLU."""
        total: Tensor = self.shortcut(images) + self.body(images)
        return total


class Cell(nn.Module):
    """The cell of one genotype. Operations that lead nowhere are there, as in the benchmark, and do not run."""

    def __init__(self, genotype: Genotype, operations: Iterable[nn.Module]) -> None:
        super().__init__()
        self.genotype = genotype
        self.edges = nn.ModuleList(operations)

    def forward(self, images: Tensor) -> Tensor:
        """(N, width, H, W) to the same shape."""
        return run_cell(self.edges, self.genotype, images)


class ChoiceCell(nn.Module):
    """One cell of the supernet: every operation on every edge."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(nn.ModuleList(build_operation(name, width) for name in OPERATIONS) for _ in EDGES)

    def chosen(self, genotype: Genotype) -> list[nn.Module]:
        """The operation that a genotype has on each edge."""
        return [edge[gene] for edge, gene in zip(self.edges, genotype, strict=True)]  # type: ignore[index]

    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """(N, width, H, W) to the same shape."""
        return run_cell(self.chosen(genotype), genotype, images)


def run_cell(operations: Iterable[nn.Module], genotype: Genotype, images: Tensor) -> Tensor:
    """The output of a cell with these operations on its edges: each node is the sum of the edges into it.

    Only what the output depends on runs. A node without edges is zero, and what leads on from it runs nevertheless:
    batch norm turns zeros into its shift.
    """
    edges = list(operations)
    nodes = [images]
    for into in carrying(genotype):
        terms = [edges[edge](nodes[EDGES[edge][0]]) for edge in into]
        nodes.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(images))
    return nodes[-1]


def build_layers(space: NB201Space, build_cell: Callable[[int], nn.Module]) -> nn.ModuleList:
    """The cells of all stages, made by `build_cell` from their width, and the reductions between the stages."""
    layers = nn.ModuleList()
    for stage, width in enumerate(space.widths):
        if stage:
            layers.append(Reduction(space.widths[stage - 1], width))
        layers.extend(build_cell(width) for _ in range(space.cells))
    return layers


def build_head(inputs: int, classes: int) -> nn.Module:
    """Batch norm, ReLU, average over space, linear classifier: (N, inputs, H, W) to (N, classes)."""
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs, classes),
    )


class NB201Supernet(Supernet):
    """Stem, cells with every operation on every edge and reductions between the stages, head."""

    def __init__(self, space: NB201Space, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = conv_bn(channels, space.widths[0], 3, relu=False)
        self.layers = build_layers(space, ChoiceCell)
        self.head = build_head(space.widths[-1], classes)

    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """(N, C, H, W) to (N, classes) through one cell, repeated."""
        images = self.stem(images)
        for layer in self.layers:
            images = layer(images, genotype) if isinstance(layer, ChoiceCell) else layer(images)
        logits: Tensor = self.head(images)
        return logits

    def path(self, genotype: Genotype) -> Iterator[tuple[str, nn.Module]]:
        """Stem, the operation on each edge of each cell and the reductions, head.

        Operations that lead nowhere are among them: they are part of the stand-alone network.
        """
        yield "stem", self.stem
        for index, layer in enumerate(self.layers):
            if isinstance(layer, ChoiceCell):
                for edge, operation in enumerate(layer.chosen(genotype)):
                    yield f"layers.{index}.edges.{edge}", operation
            else:
                yield f"layers.{index}", layer
        yield "head", self.head


class NB201Subnet(Subnet):
    """The stand-alone network of one genotype: the same modules, and no others."""

    def __init__(self, space: NB201Space, genotype: Genotype, channels: int, classes: int) -> None:
        super().__init__()

        def cell(width: int) -> Cell:
            return Cell(genotype, [build_operation(OPERATIONS[gene], width) for gene in genotype])

        self.stem = conv_bn(channels, space.widths[0], 3, relu=False)
        self.layers = nn.Sequential(*build_layers(space, cell))
        self.head = build_head(space.widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        logits: Tensor = self.head(self.layers(self.stem(images)))
        return logits
