"""How the cells of DARTS make a network, and what that network costs. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from evonas.spaces.costs import Counts, convolution, linear, total

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NODES = 4
CELLS = ("normal", "reduce")
STEM = 3  # times the channels of the first cell

Edge = tuple[int, int]  # (input, operation)
Node = tuple[Edge, Edge]
Cell = tuple[Node, ...]


@dataclass(frozen=True)
class Place:
    """Where a cell stands. before, previous: channels of its inputs 0 and 1; width: of each of its nodes.

    reduction: it halves the resolution. after_reduction: the cell before does, so that input 0 has twice its size.
    """

    before: int
    previous: int
    width: int
    reduction: bool
    after_reduction: bool

    @property
    def outputs(self) -> int:
        """Channels of its output."""
        return NODES * self.width


@dataclass(frozen=True)
class Stack:
    """A network's size. width: channels of a node of the first cell. cells: number of cells, two of them reductions."""

    width: int
    cells: int

    @property
    def stem(self) -> int:
        """Channels of the stem."""
        return STEM * self.width

    @property
    def last(self) -> int:
        """Channels of the last cell's output."""
        return self.places()[-1].outputs

    @property
    def auxiliary(self) -> int:
        """The cell whose output the auxiliary head reads: that of the second reduction."""
        return 2 * self.cells // 3

    def places(self) -> list[Place]:
        """The places of the cells, in order."""
        reductions = (self.cells // 3, self.auxiliary)
        before, previous, width, reduced = self.stem, self.stem, self.width, False
        found = []
        for index in range(self.cells):
            reduction = index in reductions
            width *= 2 if reduction else 1
            found.append(Place(before, previous, width, reduction, reduced))
            before, previous, reduced = previous, found[-1].outputs, reduction
        return found


class CostTable:
    """The cost of each choice for one size of network, images and classes, summed over the cells it stands in."""

    def __init__(self, stack: Stack, image_shape: tuple[int, int, int], classes: int) -> None:
        channels, height, width = image_shape
        size = height, width
        fixed = [convolution(channels, stack.stem, 3, height * width), linear(stack.last, classes)]
        self._edges = np.zeros((len(CELLS), 2, len(OPERATIONS), 2), dtype=np.int64)  # cell, strided, operation, count
        for place in stack.places():
            source, size = size, halved(size) if place.reduction else size
            fixed += _entrance(place, source)
            for strided in range(2):
                shrinks = place.reduction and strided == 1
                counts = [_operation(name, place.width, _pixels(size), shrinks) for name in OPERATIONS]
                self._edges[int(place.reduction), strided] += np.array(counts)
        self._fixed = total(fixed)

    def of(self, cells: tuple[Cell, Cell]) -> Counts:
        """(parameters, multiply-adds) of a network of a normal and a reduction cell."""
        params, flops = self._fixed
        for table, cell in zip(self._edges, cells, strict=True):
            for source, operation in (edge for node in cell for edge in node):
                more = table[int(source < 2), operation]
                params, flops = params + int(more[0]), flops + int(more[1])
        return params, flops


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width at stride 2, rounded up."""
    return ceil(size[0] / 2), ceil(size[1] / 2)


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _entrance(place: Place, size: tuple[int, int]) -> list[Counts]:
    """The two convolutions that bring a cell's inputs to its width; `size`: height and width of input 1."""
    # Input 0 of a cell behind a reduction is halved on the way in; either way it comes out at the size of input 1.
    return [
        convolution(place.before, place.width, 1, _pixels(size)),
        convolution(place.previous, place.width, 1, _pixels(size)),
    ]


def _operation(name: str, width: int, pixels: int, strided: bool) -> Counts:
    """An operation on `width` channels, `pixels` of its output."""
    if name == "skip_connect":
        # Two halves of the channels by a strided convolution each: together one over all of them.
        return convolution(width, width, 1, pixels) if strided else (0, 0)
    kind, _, kernel = name.partition("_conv_")
    if not kernel:
        return 0, 0
    depthwise = convolution(width, width, int(kernel[0]), pixels, groups=width, norm=False)
    half = [depthwise, convolution(width, width, 1, pixels)]
    return total(half * 2 if kind == "sep" else half)
