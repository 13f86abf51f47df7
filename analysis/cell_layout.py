"""Where the edges of a cell run and where their labels stand, beside a column of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from analysis.architecture import Edge

# Inches.
ROW = 0.42  # from node to node
NODE = 0.09  # radius of a node
LEVELS = (0.8, 1.08, 1.36)  # how far to the side an edge swings
LETTER, LINE = 0.055, 0.13  # of a label: width of a letter, height
ALONG = (0.5, 0.36, 0.64)  # where a label may stand on its edge
ROUNDS = 10


class Place(NamedTuple):
    """The path of an edge, (x, y) each, and the middle of its label; x from the column of nodes, y down from node 0."""

    path: list[tuple[float, float]]
    label: tuple[float, float]


class _Option(NamedTuple):
    path: np.ndarray  # (m, 2)
    label: tuple[float, float]
    box: np.ndarray  # x0, y0, x1, y1 of the label
    cost: float


def placed(edges: Sequence[Edge]) -> list[Place]:
    """A place for each edge: straight down between neighbours, else in a bow to one side.

    Local search, one edge after the other: labels lie on no other label, then edges run through few labels, then few
    edges cross.
    """
    options = [_options(edge) for edge in edges]
    chosen = [0] * len(edges)
    for _ in range(ROUNDS):
        before = list(chosen)
        for index in sorted(range(len(edges)), key=lambda i: (edges[i].target - edges[i].source, edges[i])):
            others = [options[i][chosen[i]] for i in range(len(edges)) if i != index]
            costs = [option.cost + sum(_conflict(option, other) for other in others) for option in options[index]]
            chosen[index] = int(np.argmin(costs))
        if chosen == before:
            break
    return [
        Place([(float(x), float(y)) for x, y in of_edge[place].path], of_edge[place].label)
        for of_edge, place in zip(options, chosen, strict=True)
    ]


def _options(edge: Edge) -> list[_Option]:
    start, end = ROW * edge.source, ROW * edge.target
    half = np.array([LETTER * len(edge.operation) / 2, LINE / 2])
    found = []
    if edge.target - edge.source == 1:
        path = np.column_stack([np.zeros(10), np.linspace(start + NODE, end - NODE, 10)])
        for side in (1, -1):
            label = side * (half[0] + 0.05), (start + end) / 2
            found.append(_option(path, label, half, 0.0))
    for side, (level, reach), along in product((1, -1), enumerate(LEVELS), ALONG):
        # A cubic Bézier curve that leaves and enters sideways; its middle is `reach` away.
        t = np.linspace(0, 1, 40)
        x = NODE + 3 * t * (1 - t) * (reach - NODE) * 4 / 3
        y = start + (3 * t**2 - 2 * t**3) * (end - start)
        middle = int(np.abs(y - start - along * (end - start)).argmin())
        path = np.column_stack([side * x, y])
        cost = 0.2 * level + (along != 0.5) * 0.1 + (edge.target - edge.source == 1) * 3
        found.append(_option(path, (float(path[middle, 0]), float(y[middle])), half, cost))
    return found


def _option(path: np.ndarray, label: tuple[float, float], half: np.ndarray, cost: float) -> _Option:
    return _Option(path, label, np.concatenate([np.array(label) - half, np.array(label) + half]), cost)


def _conflict(one: _Option, other: _Option) -> float:
    """What two places beside each other cost."""
    cost = 1000.0 * bool((one.box[:2] < other.box[2:]).all() and (other.box[:2] < one.box[2:]).all())
    cost += 10.0 * bool(_crosses(one.path, other.box)) + 10.0 * bool(_crosses(other.path, one.box))
    distances = np.hypot(*(one.path[:, None] - other.path[None]).transpose(2, 0, 1))
    return cost + 0.1 * int((distances.min(axis=1) < 0.03).sum())


def _crosses(path: np.ndarray, box: np.ndarray) -> bool:
    return bool(((path > box[:2]) & (path < box[2:])).all(axis=1).any())
