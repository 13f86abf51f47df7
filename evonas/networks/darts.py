"""Supernet and subnet of DARTS's cells, module for module the published networks (arXiv 1806.09055).

The supernet has batch norms without scale and shift, and one behind each pooling, as the paper's search network; the
network that is retrained has them with both, and none behind pooling, as the paper's evaluation network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evonas.networks.base import Subnet, Supernet
from evonas.networks.blocks import conv_bn
from evonas.networks.depthwise import DepthwiseConv2d
from evonas.spaces.base import Genotype
from evonas.spaces.darts import DartsSpace, cells_of
from evonas.spaces.darts_stack import NODES, OPERATIONS, Cell, Place, Stack

EDGES = 2 * NODES  # of a cell


def relu_conv_bn(inputs: int, outputs: int, affine: bool) -> nn.Module:
    """ReLU, 1x1 convolution, batch norm."""
    return nn.Sequential(
        nn.ReLU(),  # not in place: two cells and several edges read the same input
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs, affine=affine),
    )


def depthwise_separable(width: int, kernel: int, stride: int, dilation: int, affine: bool) -> list[nn.Module]:
    """Depthwise convolution, 1x1 convolution, batch norm; "same" padding."""
    return [
        DepthwiseConv2d(width, kernel, stride, dilation),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width, affine=affine),
    ]


class FactorizedReduce(nn.Module):
    """Half the resolution by two strided 1x1 convolutions, the second one pixel on; odd sizes are rounded up."""

    def __init__(self, inputs: int, outputs: int, affine: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.second = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, images: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2)."""
        images = F.relu(images)
        height, width = images.shape[2:]
        shifted = images[:, :, 1:, 1:]
        if height % 2 or width % 2:
            shifted = F.pad(shifted, (0, width % 2, 0, height % 2))
        reduced: Tensor = self.norm(torch.cat([self.first(images), self.second(shifted)], dim=1))
        return reduced


def build_operation(name: str, width: int, stride: int, shared: bool) -> nn.Module:
    """The module of an operation, (N, width, H, W) to (N, width, H/stride, W/stride); shared: it is the supernet's."""
    affine = not shared
    kind, _, kernel = name.partition("_conv_")
    match kind:
        case "sep":
            second = depthwise_separable(width, int(kernel[0]), 1, 1, affine)
            first = depthwise_separable(width, int(kernel[0]), stride, 1, affine)
            return nn.Sequential(nn.ReLU(), *first, nn.ReLU(inplace=True), *second)
        case "dil":
            return nn.Sequential(nn.ReLU(), *depthwise_separable(width, int(kernel[0]), stride, 2, affine))
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(width, width, affine)
        case "max_pool_3x3":
            pool: nn.Module = nn.MaxPool2d(3, stride, padding=1)
        case "avg_pool_3x3":
            pool = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        case _:
            raise AssertionError(f"no module for {name}")
    return nn.Sequential(pool, nn.BatchNorm2d(width, affine=False)) if shared else pool


def entrances(place: Place, affine: bool) -> nn.ModuleList:
    """What brings the outputs of the two cells before to the cell's width, and to the size of the later one."""
    before = FactorizedReduce if place.after_reduction else relu_conv_bn
    return nn.ModuleList([before(place.before, place.width, affine), relu_conv_bn(place.previous, place.width, affine)])


def stride(place: Place, source: int) -> int:
    """Of the edges from a node: a reduction cell halves its two inputs."""
    return 2 if place.reduction and source < 2 else 1


def run_cell(
    entering: nn.ModuleList,
    operations: Sequence[nn.Module],
    cell: Cell,
    before: Tensor,
    previous: Tensor,
    kept: Tensor | None = None,
) -> Tensor:
    """The output of a cell, (N, 4 width, H, W): its nodes, concatenated, each the sum of its two edges.

    operations: eight, two for each node. before, previous: outputs of the two cells before. kept: (8, N), by which the
    outputs of edges that are not the identity are multiplied, image by image (drop-path).
    """
    nodes = [entering[0](before), entering[1](previous)]
    for number, node in enumerate(cell):
        terms = []
        for edge, (source, _) in enumerate(node, start=2 * number):
            term = operations[edge](nodes[source])
            if kept is not None and not isinstance(operations[edge], nn.Identity):
                term = term * kept[edge].to(term.dtype).view(-1, 1, 1, 1)
            terms.append(term)
        nodes.append(terms[0] + terms[1])
    return torch.cat(nodes[2:], dim=1)


class ChoiceCell(nn.Module):
    """One cell of the supernet: every operation on every edge that a node can have."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.reduction = place.reduction
        self.entrances = entrances(place, affine=False)
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(
                    build_operation(name, place.width, stride(place, source), shared=True) for name in OPERATIONS
                )
                for source in range(2 + node)
            )
            for node in range(NODES)
        )

    def chosen(self, cell: Cell) -> list[nn.Module]:
        """The eight operations of a cell."""
        return [
            self.nodes[number][source][operation]  # type: ignore[index]
            for number, node in enumerate(cell)
            for source, operation in node
        ]


class DartsSupernet(Supernet):
    """Stem, cells with every operation on every edge, linear classifier."""

    additive = False

    def __init__(self, space: DartsSpace, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = conv_bn(channels, space.searched.stem, 3, relu=False)
        self.cells = nn.ModuleList(ChoiceCell(place) for place in space.searched.places())
        self.classifier = build_classifier(space.searched.last, classes)

    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """(N, C, H, W) to (N, classes) through the cells of a genotype alone."""
        both = cells_of(genotype)
        before = previous = self.stem(images)
        for place in self._cells():
            cell = both[place.reduction]
            output = run_cell(place.entrances, place.chosen(cell), cell, before, previous)
            before, previous = previous, output
        logits: Tensor = self.classifier(previous)
        return logits

    def path(self, genotype: Genotype) -> Iterator[tuple[str, nn.Module]]:
        """Stem, the entrances and operations of each cell, classifier."""
        both = cells_of(genotype)
        yield "stem", self.stem
        for index, place in enumerate(self._cells()):
            yield f"cells.{index}.entrances", place.entrances
            for edge, operation in enumerate(place.chosen(both[place.reduction])):
                yield f"cells.{index}.operations.{edge}", operation
        yield "classifier", self.classifier

    def _cells(self) -> Iterator[ChoiceCell]:
        for cell in self.cells:
            assert isinstance(cell, ChoiceCell)
            yield cell


class FixedCell(nn.Module):
    """One cell of a stand-alone network."""

    def __init__(self, place: Place, cell: Cell, shared: bool) -> None:
        super().__init__()
        self.cell = cell
        self.entrances = entrances(place, affine=not shared)
        self.operations = nn.ModuleList(
            build_operation(OPERATIONS[operation], place.width, stride(place, source), shared)
            for node in cell
            for source, operation in node
        )

    def forward(self, before: Tensor, previous: Tensor, kept: Tensor | None = None) -> Tensor:
        """The cell's output from those of the two before; kept: (8, N)."""
        return run_cell(self.entrances, list(self.operations), self.cell, before, previous, kept)


class AuxiliaryHead(nn.Module):
    """A second classifier two thirds of the way up; for training alone.

    DARTS averages 8x8 outputs in windows of 5 pixels, 3 apart, to 2x2; other sizes likewise, in proportion.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(inputs, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, classes); H and W at least 2."""
        height, width = images.shape[2:]
        apart = max(1, 3 * height // 8), max(1, 3 * width // 8)
        window = height - apart[0], width - apart[1]
        pooled = F.avg_pool2d(F.relu(images), window, apart, count_include_pad=False)
        logits: Tensor = self.classifier(self.features(pooled).flatten(1))
        return logits


class DartsSubnet(Subnet):
    """The stand-alone network of one genotype: a normal and a reduction cell, stacked."""

    def __init__(
        self, stack: Stack, genotype: Genotype, channels: int, classes: int, *, shared: bool, auxiliary: bool
    ) -> None:
        """shared: module for module a path of the supernet. auxiliary: with the auxiliary head."""
        super().__init__()
        both = cells_of(genotype)
        places = stack.places()
        self.stem = conv_bn(channels, stack.stem, 3, relu=False)
        self.cells = nn.ModuleList(FixedCell(place, both[place.reduction], shared) for place in places)
        self.classifier = build_classifier(stack.last, classes)
        self.drop_sites = len(places), EDGES
        self._tapped, self._has_auxiliary = stack.auxiliary, auxiliary
        if auxiliary:
            self.auxiliary = AuxiliaryHead(places[stack.auxiliary].outputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        logits: Tensor = self.classifier(self._run(images, None)[0])
        return logits

    def training_outputs(self, images: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Logits of the network, and of its auxiliary head where it has one; kept: (cells, 8, N)."""
        last, tapped = self._run(images, kept)
        return self.classifier(last), self.auxiliary(tapped) if self._has_auxiliary else None

    def _run(self, images: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The last cell's output, and that which the auxiliary head reads; no other is held longer than needed."""
        before = previous = self.stem(images)
        tapped = None
        for index, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous, None if kept is None else kept[index])
            if self._has_auxiliary and index == self._tapped:
                tapped = previous
        return previous, tapped


def build_classifier(inputs: int, classes: int) -> nn.Module:
    """Average over space, linear classifier: (N, inputs, H, W) to (N, classes)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
