"""The cells of DARTS (arXiv 1806.09055): a normal and a reduction cell, stacked into a network.

A cell has four nodes, numbered 2 to 5; 0 and 1 are the outputs of the two cells before. A node is the sum of two edges
from different earlier ones, each with one of seven operations, and the cell's output is all nodes, concatenated. A
third and two thirds of the way up, reduction cells halve the resolution and double the channels.

A genotype has 16 genes a cell, the normal one first: for each node the input and operation of one edge, then of the
other, the smaller input first. The operation `none`, which the paper's relaxation needs, does not occur.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from evonas.config import DartsSettings
from evonas.spaces.base import Genotype, Space
from evonas.spaces.costs import Counts
from evonas.spaces.darts_stack import CELLS, NODES, OPERATIONS, Cell, CostTable, Edge, Stack


class DartsSpace(Space):
    """The cells of DARTS (arXiv 1806.09055): two of four nodes, each node with two inputs and an operation on each."""

    name = "darts"

    def __init__(self, settings: DartsSettings) -> None:
        self.searched = Stack(settings.width, settings.cells)
        self.retrained = Stack(settings.retrain_width, settings.retrain_cells)
        self._costs: dict[tuple[tuple[int, int, int], int], CostTable] = {}

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """(inputs, operations) twice a node, for the nodes of both cells."""
        cell = tuple(n for node in range(NODES) for n in 2 * (2 + node, len(OPERATIONS)))
        return len(CELLS) * cell

    @property
    def size(self) -> int:
        """Number of valid genotypes: pairs of inputs and two operations for each node."""
        return math.prod(math.comb(inputs, 2) * len(OPERATIONS) ** 2 for inputs in self.cardinalities[::4])

    @property
    def units(self) -> tuple[slice, ...]:
        """The nodes: their two edges move together, so that every child is valid."""
        return tuple(slice(i, i + 4) for i in range(0, self.n_genes, 4))

    def is_valid(self, genotype: Sequence[int]) -> bool:
        """Whether all genes are in range and each node has two inputs, the smaller first."""
        return super().is_valid(genotype) and all(genotype[u.start] < genotype[u.start + 2] for u in self.units)

    def repair(self, genotype: Sequence[int]) -> Genotype:
        """The base's repair; the second of two equal inputs moves to the nearest other one; edges are put in order."""
        genes = list(super().repair(genotype))
        for unit, inputs in zip(self.units, self.cardinalities[::4], strict=True):
            first, a, second, b = genes[unit]
            if first == second:
                second += 1 if second + 1 < inputs else -1
            genes[unit] = _node_genes([(first, a), (second, b)])
        return tuple(genes)

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A genotype drawn uniformly from the valid ones."""
        genes: list[int] = []
        for inputs in self.cardinalities[::4]:
            pair = rng.choice(inputs, size=2, replace=False)
            genes += _node_genes([(int(i), int(rng.integers(len(OPERATIONS)))) for i in pair])
        return tuple(genes)

    def fair(self, rng: np.random.Generator) -> list[Genotype]:
        """Seven genotypes in which each edge of each node has every operation once; inputs are drawn uniformly."""
        paths: list[list[int]] = [[] for _ in OPERATIONS]
        for inputs in self.cardinalities[::4]:
            operations = [rng.permutation(len(OPERATIONS)) for _ in range(2)]
            for index, path in enumerate(paths):
                pair = sorted(int(i) for i in rng.choice(inputs, size=2, replace=False))
                path += _node_genes([(i, int(o[index])) for i, o in zip(pair, operations, strict=True)])
        return [tuple(path) for path in paths]

    def canonical(self, genotype: Genotype) -> Genotype:
        """The smallest genotype, compared gene by gene, whose cells differ from these in the order of nodes alone.

        Nodes that trade places permute the channels of the cell's output and nothing else. In the reduction cell a skip
        from inputs 0 and 1 is a convolution, so that no operation is ever folded away.
        """
        return tuple(gene for cell in cells_of(genotype) for gene in _genes(_orders(cell)[0]))

    def multiplicity(self, genotype: Genotype) -> int:
        """Number of genotypes in the class of this one: the product over its cells, each up to 24."""
        normal, reduction = (len(_orders(cell)) for cell in cells_of(genotype))
        return normal * reduction

    def describe(self, genotype: Genotype) -> list[str]:
        """One phrase a node: cell, number, and what is summed, as in `normal 2: sep_conv_3x3(0) + skip_connect(1)`."""
        return [
            f"{name} {number}: " + " + ".join(f"{OPERATIONS[operation]}({source})" for source, operation in node)
            for name, cell in zip(CELLS, cells_of(genotype), strict=True)
            for number, node in enumerate(cell, start=2)
        ]

    def neighbours(self, genotype: Genotype) -> set[Genotype]:
        """Canonical forms of all other networks with one edge rewired, or with another operation on one edge."""
        found = {
            self.canonical((*genotype[: unit.start], *node, *genotype[unit.stop :]))
            for unit, inputs in zip(self.units, self.cardinalities[::4], strict=True)
            for edge in range(2)
            for kind in _edits(genotype[unit], edge, inputs)
            for node in kind
        }
        return found - {self.canonical(genotype)}

    def _redrawn(self, genotype: Genotype, chosen: np.ndarray, rng: np.random.Generator) -> Genotype:
        """One edge of each chosen node either rewired to an input that the node does not use, or given another
        operation, with equal probability where it has such an input."""
        mutant = list(genotype)
        for index in chosen:
            unit = self.units[index]
            kinds = [
                kind for kind in _edits(mutant[unit], int(rng.integers(2)), self.cardinalities[unit.start]) if kind
            ]
            options = kinds[int(rng.integers(len(kinds)))]
            mutant[unit] = options[int(rng.integers(len(options)))]
        return tuple(mutant)

    def frequencies(self, population: Sequence[Genotype], beta: float) -> list[np.ndarray]:
        """For each node the probabilities of its pairs of inputs, (pairs,), then of the operations by input,
        (inputs, operations); 16 arrays, smoothed by the uniform prior of weight `beta`.

        A gene alone means nothing, so pairs are counted as pairs, and operations where their input is used: NAT's
        categoricals (arXiv 2005.05859), made conditional.
        """
        found = []
        for unit, inputs in zip(self.units, self.cardinalities[::4], strict=True):
            pairs = {pair: place for place, pair in enumerate(combinations(range(inputs), 2))}
            by_pair, by_input = np.zeros(len(pairs)), np.zeros((inputs, len(OPERATIONS)))
            for first, a, second, b in (genotype[unit] for genotype in population):
                by_pair[pairs[first, second]] += 1
                by_input[first, a] += 1
                by_input[second, b] += 1
            found += [_smoothed(by_pair, beta), _smoothed(by_input, beta)]
        return found

    def sample_from(self, frequencies: Sequence[np.ndarray], rng: np.random.Generator) -> Genotype:
        """A genotype drawn node by node: its pair of inputs, then an operation for each."""
        genes: list[int] = []
        for inputs, by_pair, by_input in zip(self.cardinalities[::4], frequencies[::2], frequencies[1::2], strict=True):
            pair = list(combinations(range(inputs), 2))[int(rng.choice(len(by_pair), p=by_pair))]
            genes += _node_genes([(i, int(rng.choice(len(OPERATIONS), p=by_input[i]))) for i in pair])
        return tuple(genes)

    def cost(self, genotype: Genotype, image_shape: tuple[int, int, int], classes: int) -> Counts:
        """(parameters, multiply-adds for one image) of the network that is retrained, without its auxiliary head.

        image_shape: (C, H, W). Parameters are counted as DARTS does, whose auxiliary head is not deployed either.
        """
        key = image_shape, classes
        if key not in self._costs:
            self._costs[key] = CostTable(self.retrained, image_shape, classes)
        return self._costs[key].of(cells_of(genotype))


def cells_of(genotype: Sequence[int]) -> tuple[Cell, Cell]:
    """The normal and the reduction cell: four nodes of two (input, operation) edges each."""
    nodes = [((a, b), (c, d)) for a, b, c, d in zip(*(genotype[i::4] for i in range(4)), strict=True)]
    return tuple(nodes[:NODES]), tuple(nodes[NODES:])


def genotype_of(normal: Sequence[tuple[str, int]], reduce: Sequence[tuple[str, int]]) -> Genotype:
    """The genotype of cells as DARTS writes them: eight (operation, input) a cell, two for each node in any order."""
    edges = [(source, OPERATIONS.index(name)) for name, source in (*normal, *reduce)]
    return tuple(gene for pair in zip(edges[::2], edges[1::2], strict=True) for gene in _node_genes(pair))


def _node_genes(edges: Sequence[Edge]) -> list[int]:
    return [gene for edge in sorted(edges) for gene in edge]


def _genes(cell: Cell) -> Iterator[int]:
    return (gene for node in cell for edge in node for gene in edge)


def _edits(node: Sequence[int], edge: int, inputs: int) -> tuple[list[list[int]], list[list[int]]]:
    """The genes of a node with one edge rewired, and those with another operation on it."""
    edges = [(node[0], node[1]), (node[2], node[3])]
    kept, (source, operation) = edges[1 - edge], edges[edge]
    rewired = [(i, operation) for i in range(inputs) if i not in (source, kept[0])]
    changed = [(source, o) for o in range(len(OPERATIONS)) if o != operation]
    return [_node_genes([kept, new]) for new in rewired], [_node_genes([kept, new]) for new in changed]


def _smoothed(counts: np.ndarray, beta: float) -> np.ndarray:
    """Probabilities along the last axis: (count + beta / n) / (total + beta); uniform where nothing was counted."""
    n = counts.shape[-1]
    sums = counts.sum(axis=-1, keepdims=True) + beta
    probabilities = np.full_like(counts, 1 / n)
    np.divide(counts + beta / n, sums, out=probabilities, where=sums > 0)
    return probabilities


@lru_cache(maxsize=100_000)
def _orders(cell: Cell) -> tuple[Cell, ...]:
    """The different cells that a cell becomes by reordering its nodes, each after its inputs; the smallest first."""
    found: set[Cell] = set()

    def place(placed: dict[int, int], nodes: Cell) -> None:
        """placed: new number by old one. nodes: those placed so far, under their new numbers."""
        if len(nodes) == NODES:
            found.add(nodes)
        for index, node in enumerate(cell):
            if index + 2 not in placed and all(source in placed for source, _ in node):
                first, second = sorted((placed[source], operation) for source, operation in node)
                place({**placed, index + 2: len(placed)}, (*nodes, (first, second)))

    place({0: 0, 1: 1}, ())
    return tuple(sorted(found))
