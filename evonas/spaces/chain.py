"""A space of your own: a chain of blocks, some of which are choices between modules."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from evonas.spaces.base import Genotype, Space

Factory = Callable[[], Any]  # gives a fresh nn.Module; no torch is imported here
Block = Factory | Mapping[str, Factory]


class ChainSpace(Space):
    """Chains of choice blocks (SPOS, arXiv 1904.00420), described by `blocks` alone.

    A genotype has one gene a choice, the number of the module chosen. Encoding, operators, supernet, subnet and costs
    follow from the blocks. Where different genotypes mean the same network, override `canonical` and `multiplicity`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__name__

    @abstractmethod
    def blocks(self, channels: int, classes: int) -> Iterable[Block]:
        """The blocks in order, from images (N, channels, H, W) to logits (N, classes).

        A factory of a module is a block that every network has; a mapping of two names or more to factories is a choice
        between their modules. All modules of a choice give outputs of one shape, and none changes its input in place.
        Batch norms are nn.BatchNorm2d. Which choices there are does not depend on channels and classes.
        """

    @cached_property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """The names of the modules of each choice, in order."""
        return self.choices_for(3, 10)

    def choices_for(self, channels: int, classes: int) -> tuple[tuple[str, ...], ...]:
        """The same for images of `channels` channels in `classes` classes, where they ought to be no others.

        `blocks` is the user's code, and raises what it raises.
        """
        blocks = self.blocks(channels, classes)
        return tuple(tuple(block) for block in blocks if isinstance(block, Mapping) and len(block) > 1)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The number of modules of each choice."""
        return tuple(len(names) for names in self.choices)

    def canonical(self, genotype: Genotype) -> Genotype:
        """The genotype itself: each is held to be another network."""
        return genotype

    def describe(self, genotype: Genotype) -> list[str]:
        """The name of the module chosen, once a choice."""
        return [names[gene] for names, gene in zip(self.choices, genotype, strict=True)]
