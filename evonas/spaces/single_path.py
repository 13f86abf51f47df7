"""The single-path space: a chain of choice blocks in stages, after SPOS (arXiv 1904.00420).

A genotype has one gene a layer, the index of its operation. The first layer of a stage changes the shape, so `skip`
there is a 1x1 convolution; elsewhere it is the identity. Identities of a stage commute with its other layers: networks
that differ only in where they skip are the same, and the canonical form moves those skips to the stage's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import comb

from evonas.config import OPERATION, SinglePathSettings
from evonas.spaces.base import Genotype, Space


@dataclass(frozen=True)
class Operation:
    """One choice of a layer, as data: its kind, kernel in pixels and expansion (of an inverted bottleneck)."""

    name: str
    kind: str
    kernel: int = 1
    expansion: int = 1


@dataclass(frozen=True)
class Layer:
    """Where a searchable layer sits: channels in and out, and stride."""

    inputs: int
    outputs: int
    stride: int

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the input's shape, so that an identity can stand there."""
        return self.stride == 1 and self.inputs == self.outputs


def parse_operation(name: str) -> Operation:
    """The operation that a name of the settings means."""
    match = OPERATION.fullmatch(name)
    assert match is not None, f"settings let the operation {name!r} through"
    if match["kind"]:
        return Operation(name, match["kind"], int(match["kernel"]))
    if match["mb"]:
        return Operation(name, "mb", int(match["mbkernel"]), int(match["expansion"]))
    return Operation(name, "skip")


def _layers(channels: int, settings: SinglePathSettings) -> tuple[Layer, ...]:
    """Where the layers of the settings sit behind a stem of `channels` channels."""
    layers = []
    for stage, (count, stride) in enumerate(zip(settings.layers, settings.strides, strict=True)):
        width = settings.width * 2**stage
        for position in range(count):
            layers.append(Layer(channels, width, stride if position == 0 else 1))
            channels = width
    return tuple(layers)


class SinglePathSpace(Space):
    """Chains of choice blocks (SPOS, arXiv 1904.00420), described by `SinglePathSettings`; the blocks are ours."""

    name = "single-path"

    def __init__(self, settings: SinglePathSettings, stem: int | None = None) -> None:
        """stem: channels before the first layer; None: those of the first stage."""
        self.stem = stem or settings.width
        self.head = settings.head
        self.stages = settings.layers
        self.operations = tuple(parse_operation(name) for name in settings.operations)
        self.layers = _layers(self.stem, settings)
        self._skip = next((i for i, op in enumerate(self.operations) if op.kind == "skip"), None)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The number of operations, once a layer."""
        return (len(self.operations),) * len(self.layers)

    def canonical(self, genotype: Genotype) -> Genotype:
        """The genotype with the identities of each stage moved to its end."""
        result: list[int] = []
        bounds = [0, *accumulate(self.stages)]
        for start, end in pairwise(bounds):
            kept = [g for i, g in enumerate(genotype[start:end], start) if not self._is_identity(i, g)]
            result += kept + [self._skip or 0] * (end - start - len(kept))
        return tuple(result)

    def multiplicity(self, genotype: Genotype) -> int:
        """Number of ways to place the identities of each stage among its layers that keep the shape."""
        ways, start = 1, 0
        for count in self.stages:
            free = [layer for layer in range(start, start + count) if self.layers[layer].keeps_shape]
            ways *= comb(len(free), sum(self._is_identity(layer, genotype[layer]) for layer in free))
            start += count
        return ways

    def _is_identity(self, layer: int, gene: int) -> bool:
        return gene == self._skip and self.layers[layer].keeps_shape

    def describe(self, genotype: Genotype) -> list[str]:
        """One phrase a layer: operation, channels, and stride where it is not 1."""
        return [
            f"{self.operations[gene].name} {layer.inputs}->{layer.outputs}"
            + (f" /{layer.stride}" if layer.stride > 1 else "")
            for gene, layer in zip(genotype, self.layers, strict=True)
        ]
