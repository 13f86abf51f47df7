"""NAS-Bench-201's space (arXiv 2001.00326): one cell of four nodes, repeated in three stages.

A genotype has one gene an edge of the cell, in the order of `EDGES`; its value is the index of the operation in
`OPERATIONS`, the coding of the benchmark's table. A node is the sum of the edges into it; node 0 is the cell's input
and node 3 its output. In 341 of the 15,625 genotypes no edges that carry anything connect the two; they are not valid,
though all but the operators take them, since the benchmark has trained them too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, product
from math import ceil

from evonas.config import NB201Settings
from evonas.spaces.base import Genotype, Space
from evonas.spaces.costs import Counts, convolution, linear, total

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP = 0, 1
KERNELS = {2: 1, 3: 3}  # pixels a side, of the operations that are convolutions
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source, target), sources of a target in order
NODES = 4
SHORTCUT = EDGES.index((0, NODES - 1))
STAGES = 3  # each at twice the channels and half the resolution of the one before


class NB201Space(Space):
    """The cells of NAS-Bench-201 (arXiv 2001.00326): four nodes, one of five operations on each of six edges."""

    name = "nb201"

    def __init__(self, settings: NB201Settings) -> None:
        self.cells = settings.cells
        self.widths = tuple(settings.width * 2**stage for stage in range(STAGES))

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The number of operations, once an edge."""
        return (len(OPERATIONS),) * len(EDGES)

    def is_valid(self, genotype: Sequence[int]) -> bool:
        """Whether it is a cell whose output depends on its input."""
        return super().is_valid(genotype) and 0 in _leading(genotype)

    def repair(self, genotype: Sequence[int]) -> Genotype:
        """The base's repair; where output and input are not connected, the edge between them becomes a skip."""
        clipped = super().repair(genotype)
        if self.is_valid(clipped):
            return clipped
        return (*clipped[:SHORTCUT], SKIP, *clipped[SHORTCUT + 1 :])

    def canonical(self, genotype: Genotype) -> Genotype:
        """The smallest genotype, compared gene by gene, whose cell is the same by the benchmark's own rules."""
        return _smallest()[genotype]

    def multiplicity(self, genotype: Genotype) -> int:
        """Number of genotypes in the class of this one, up to 275."""
        return _sizes()[_smallest()[genotype]]

    def describe(self, genotype: Genotype) -> list[str]:
        """One phrase an edge: source, target, operation."""
        return [f"{source}>{target} {OPERATIONS[gene]}" for gene, (source, target) in zip(genotype, EDGES, strict=True)]

    def cost(self, genotype: Genotype, image_shape: tuple[int, int, int], classes: int) -> Counts:
        """(parameters, multiply-adds for one image), as the benchmark counts them; image_shape: (C, H, W).

        Convolutions that lead nowhere count, and so do the additions of the classifier's bias.
        """
        channels, height, width = image_shape
        pixels = [ceil(height / 2**stage) * ceil(width / 2**stage) for stage in range(STAGES)]
        parts = [convolution(channels, self.widths[0], 3, pixels[0])]
        kernels = [KERNELS[gene] for gene in genotype if gene in KERNELS]
        for outputs, size in zip(self.widths, pixels, strict=True):
            parts += self.cells * [convolution(outputs, outputs, kernel, size) for kernel in kernels]
        for (inputs, outputs), size in zip(pairwise(self.widths), pixels[1:], strict=True):
            parts += [convolution(inputs, outputs, 3, size), convolution(outputs, outputs, 3, size)]
            parts.append(convolution(inputs, outputs, 1, size, norm=False))
        return total([*parts, (2 * self.widths[-1], 0), linear(self.widths[-1], classes), (0, classes)])


def carrying(genotype: Sequence[int]) -> list[list[int]]:
    """For nodes 1 to 3, the edges into each that carry something towards the output, in order.

    A node that is zero still counts as a source: a batch norm behind it adds its shift.
    """
    leading = _leading(genotype)
    return [
        [
            edge
            for edge, (_, target) in enumerate(EDGES)
            if target == node and node in leading and genotype[edge] != NONE
        ]
        for node in range(1, NODES)
    ]


def _leading(genotype: Sequence[int]) -> set[int]:
    """The nodes from which some edges that are not `none` lead to the output."""
    nodes = {NODES - 1}
    # Backwards, so that all edges out of a node come before those into it.
    for gene, (source, target) in zip(reversed(genotype), reversed(EDGES), strict=True):
        if gene != NONE and target in nodes:
            nodes.add(source)
    return nodes


@cache
def _smallest() -> dict[Genotype, Genotype]:
    """The smallest genotype of the class of each; 6,466 classes, none with connected and disconnected cells in it."""
    first: dict[str, Genotype] = {}
    genotypes = product(range(len(OPERATIONS)), repeat=len(EDGES))  # from the smallest on
    return {genotype: first.setdefault(_expression(genotype), genotype) for genotype in genotypes}


@cache
def _sizes() -> Counter[Genotype]:
    return Counter(_smallest().values())


def _expression(genotype: Genotype) -> str:
    """What the output is, as a formula of the input "0".

    Source: `to_unique_str(consider_zero=True)` of the benchmark's authors. Their rules decide what is the same cell:
    "#" is nothing, but a sum of nothings is not simplified.
    """
    nodes = ["0"]
    for node in range(1, NODES):
        into = [(gene, source) for gene, (source, target) in zip(genotype, EDGES, strict=True) if target == node]
        nodes.append("+".join(sorted(_term(gene, nodes[source]) for gene, source in into)))
    return nodes[-1]


def _term(gene: int, source: str) -> str:
    if gene == NONE or source == "#":
        return "#"
    # The operation's name and not its number: sums are sorted as text, on which it depends which of them meet.
    return source if gene == SKIP else f"({source})@{OPERATIONS[gene]}"
