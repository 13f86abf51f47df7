"""NAS-Bench-Macro's space (arXiv 2103.11922): the single-path space with eight layers of three operations each.

Genes are in the coding of its table: 0 identity, 1 MB3_K3, 2 MB6_K5. 6,561 genotypes are 3,969 different networks.
"""

from __future__ import annotations

from math import ceil

from evonas.config import NBMacroSettings, SinglePathSettings
from evonas.spaces.base import Genotype
from evonas.spaces.costs import Counts, convolution, linear, total
from evonas.spaces.single_path import Layer, Operation, SinglePathSpace


class NBMacroSpace(SinglePathSpace):
    """The chains of NAS-Bench-Macro (arXiv 2103.11922): identity and two inverted bottlenecks a layer.

    Each stage has half the resolution of the one before.
    """

    name = "nb-macro"

    def __init__(self, settings: NBMacroSettings) -> None:
        chain = SinglePathSettings(
            width=2 * settings.width,
            layers=(2, 3, 3),
            strides=(2, 2, 2),
            head=settings.head,
            operations=("skip", "mb3x3", "mb5x6"),
        )
        super().__init__(chain, stem=settings.width)

    def cost(self, genotype: Genotype, image_shape: tuple[int, int, int], classes: int) -> Counts:
        """(parameters, multiply-adds for one image), as the benchmark counts them; image_shape: (C, H, W)."""
        channels, height, width = image_shape
        parts = [convolution(channels, self.stem, 3, height * width)]
        for gene, layer in zip(genotype, self.layers, strict=True):
            before = height * width
            height, width = ceil(height / layer.stride), ceil(width / layer.stride)
            parts += _block(self.operations[gene], layer, before, height * width)
        outputs = self.layers[-1].outputs
        if self.head:
            parts.append(convolution(outputs, self.head, 1, height * width))
        return total([*parts, linear(self.head or outputs, classes)])


def _block(operation: Operation, layer: Layer, before: int, after: int) -> list[Counts]:
    """The convolutions of an operation at a layer. before, after: pixels of its input and output."""
    if operation.kind == "skip":
        return [] if layer.keeps_shape else [convolution(layer.inputs, layer.outputs, 1, after)]
    hidden = layer.inputs * operation.expansion
    return [
        convolution(layer.inputs, hidden, 1, before),
        convolution(hidden, hidden, operation.kernel, after, groups=hidden),
        convolution(hidden, layer.outputs, 1, after),
    ]
