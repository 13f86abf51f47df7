"""Parameters and multiply-adds of a genotype: the space's own closed form, else counted on the meta device.

Multiply-adds are half of what `torch.utils.flop_counter` returns, the convention of the architecture-search tables
(which call them FLOPs). Batch norm, activations and pooling are not counted, as there. A benchmark's closed form keeps
to its table in all else: NAS-Bench-201 counts the additions of the classifier's bias, which torch does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evonas.networks import Supernet, build_subnet, build_supernet
from evonas.spaces.base import Genotype, Space


@dataclass(frozen=True)
class Cost:
    """params: trainable parameters. flops: multiply-adds for one image."""

    params: int
    flops: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.params + other.params, self.flops + other.flops)


def count(module: nn.Module, shape: tuple[int, ...]) -> tuple[Cost, tuple[int, ...]]:
    """Cost of a module on the meta device for one input of `shape` (without the batch), and its output's shape."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = module.eval()(torch.empty(1, *shape, device="meta"))
    params = sum(parameter.numel() for parameter in module.parameters())
    return Cost(params, counter.get_total_flops() // 2), tuple(output.shape[1:])


class Complexity:
    """Costs of the genotypes of a space for images of one shape; each part is counted at most once.

    image_shape: (C, H, W). Parts are those of the supernet's path, whose output shape does not depend on the choice
    made, so that the cost of a genotype is the sum of the costs of its parts.
    """

    def __init__(self, space: Space, image_shape: tuple[int, int, int], classes: int) -> None:
        self.space = space
        self._shape = image_shape
        self.classes = classes
        with torch.device("meta"):
            self._supernet: Supernet = build_supernet(space, image_shape[0], classes)
        self._parts: dict[tuple[int, tuple[int, ...]], tuple[Cost, tuple[int, ...]]] = {}

    def of(self, genotype: Genotype) -> Cost:
        """Parameters and multiply-adds of the genotype's stand-alone network."""
        known = self.space.cost(genotype, self._shape, self.classes)
        return self.counted(genotype) if known is None else Cost(*known)

    def counted(self, genotype: Genotype) -> Cost:
        """The same by running the network on the meta device: its parts one by one where they are a chain."""
        if not self._supernet.additive:
            with torch.device("meta"):
                return count(build_subnet(self.space, genotype, self._shape[0], self.classes), self._shape)[0]
        total, shape = Cost(0, 0), tuple(self._shape)
        for _, part in self._supernet.path(genotype):
            if (id(part), shape) not in self._parts:
                self._parts[id(part), shape] = count(part, shape)
            cost, shape = self._parts[id(part), shape]
            total += cost
        return total

    def largest(self) -> Genotype:
        """The genotype with the most parameters (then multiply-adds), gene by gene: exact where costs add up."""
        return self.space.extreme(lambda genotype: (self.of(genotype).params, self.of(genotype).flops))

    def bounds(self) -> tuple[Cost, Cost]:
        """Fewest and most parameters and multiply-adds of a network of the space, gene by gene as in `largest`."""
        keys: tuple[Callable[[Genotype], int], ...] = (
            lambda genotype: -self.of(genotype).params,
            lambda genotype: -self.of(genotype).flops,
            lambda genotype: self.of(genotype).params,
            lambda genotype: self.of(genotype).flops,
        )
        fewest, cheapest, most, dearest = (self.of(self.space.extreme(key)) for key in keys)
        return Cost(fewest.params, cheapest.flops), Cost(most.params, dearest.flops)
