"""A population of chains as a tree of common prefixes: what several members compute alike runs once.

Two paths that begin with the same modules have the same activations up to the first module that differs. The tree is
walked depth first, so that few activations are held at a time: those from which a later path goes another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise, takewhile

from torch import Tensor, nn

from evonas.errors import TrainingError

Run = Callable[[int, nn.Module, Tensor], Tensor]  # number of the tree node, its module, the module's input


class PrefixTree:
    """Paths as sequences of modules of one length, the same module wherever two paths share it.

    order: the paths' positions as they are walked. nodes: of each path in that order, the numbers of its tree nodes.
    """

    def __init__(self, paths: Sequence[Sequence[nn.Module]]) -> None:
        ranks: dict[int, int] = {}
        ranked = [[ranks.setdefault(id(module), len(ranks)) for module in path] for path in paths]
        self.order = sorted(range(len(paths)), key=ranked.__getitem__)
        self._paths = [paths[position] for position in self.order]
        self._shared = _shared([ranked[position] for position in self.order])
        self._branches = _branches(self._shared)
        self.nodes = _numbered([len(path) for path in paths], self._shared)

    def walk(self, images: Tensor, run: Run, budget: int) -> Iterator[tuple[int, Tensor]]:
        """(position of the path, its output) for one batch; a node runs once, and again where memory was short.

        budget: bytes of activations held for paths to come, the batch itself not counted. Raises TrainingError where a
        module writes into its input, which others share.
        """
        held = [_Held(0, images)]
        for place, (path, nodes) in enumerate(zip(self._paths, self.nodes, strict=True)):
            while held[-1].depth > self._shared[place]:
                held.pop()
            start, output = held[-1].depth, held[-1].output()
            for depth in range(start, len(path)):
                if depth > start and depth in self._branches[place]:
                    room = budget - sum(entry.bytes for entry in held[1:])
                    held += [_Held(depth, output)] if output.nbytes <= room else []
                output = run(nodes[depth], path[depth], output)
            yield self.order[place], output


class _Held:
    """An activation that later paths go on from."""

    def __init__(self, depth: int, activation: Tensor) -> None:
        self.depth = depth
        self.bytes = activation.nbytes
        self._activation = activation
        self._version = activation._version

    def output(self) -> Tensor:
        if self._activation._version != self._version:
            raise TrainingError(
                f"an operation behind part {self.depth} of the supernet writes into its input, which other networks of "
                "the population share; build it without inplace=True, or set measure.shared_mib=0"
            )
        return self._activation


def _shared(paths: Sequence[Sequence[int]]) -> list[int]:
    """How many modules each path has in common with the one before it; the last module is never among them."""
    common = [
        sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(*both, strict=True))) for both in pairwise(paths)
    ]
    return [0] + [min(number, len(path) - 1) for number, path in zip(common, paths[1:], strict=True)]


def _branches(shared: Sequence[int]) -> list[set[int]]:
    """The depths of each path from which a later one goes on, before any that leaves it earlier."""
    branches: list[set[int]] = [set()]
    for depth in reversed(shared[1:]):
        branches.append({depth} | {other for other in branches[-1] if other < depth})
    return branches[::-1]


def _numbered(lengths: Sequence[int], shared: Sequence[int]) -> list[list[int]]:
    """Numbers of the nodes of each path: those of the path before as far as they share them, then new ones."""
    fresh = count()
    numbered: list[list[int]] = [[]]
    for length, common in zip(lengths, shared, strict=True):
        numbered.append(numbered[-1][:common] + [next(fresh) for _ in range(length - common)])
    return numbered[1:]
