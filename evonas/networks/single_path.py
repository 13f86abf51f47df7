"""Supernet and subnet of the single-path space."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from evonas.networks.base import ChainedSupernet, Subnet
from evonas.networks.blocks import build_block, build_head, build_stem
from evonas.spaces.base import Genotype
from evonas.spaces.single_path import SinglePathSpace


class SinglePathSupernet(ChainedSupernet):
    """Stem, one list of candidate blocks a layer, head."""

    def __init__(self, space: SinglePathSpace, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = build_stem(channels, space.stem)
        self.layers = nn.ModuleList(
            nn.ModuleList(build_block(operation, layer) for operation in space.operations) for layer in space.layers
        )
        self.head = build_head(space.layers[-1].outputs, space.head, classes)

    def path(self, genotype: Genotype) -> Iterator[tuple[str, nn.Module]]:
        """Stem, the chosen block of each layer, head."""
        yield "stem", self.stem
        for index, (choices, gene) in enumerate(zip(self.layers, genotype, strict=True)):
            assert isinstance(choices, nn.ModuleList)
            yield f"layers.{index}", choices[gene]
        yield "head", self.head


class SinglePathSubnet(Subnet):
    """The stand-alone network of one genotype: the same blocks, and no others."""

    def __init__(self, space: SinglePathSpace, genotype: Genotype, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = build_stem(channels, space.stem)
        self.layers = nn.Sequential(
            *(build_block(space.operations[gene], layer) for gene, layer in zip(genotype, space.layers, strict=True))
        )
        self.head = build_head(space.layers[-1].outputs, space.head, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        logits: Tensor = self.head(self.layers(self.stem(images)))
        return logits
