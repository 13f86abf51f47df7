"""What the rest of evonas asks of the networks of a space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from evonas.spaces.base import Genotype


class Supernet(nn.Module, ABC):
    """One module that holds the shared weights of every network of a space.

    `supernet(images, genotype)` runs the genotype's path alone; nothing is stored on the module, so that no call can
    leave a path behind for the next. Weights off the path get no gradient and cost no time.

    additive: the shape that leaves a part does not depend on the choice made there, so that costs add up part by part.
    chained: forward is nothing but the parts of the path, as many for every genotype, each on the output of the one
    before. Networks that begin alike then compute alike, and are measured together.
    """

    additive: ClassVar[bool] = True
    chained: ClassVar[bool] = False

    @abstractmethod
    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """(N, C, H, W) float images to (N, classes) logits through one path."""

    @abstractmethod
    def path(self, genotype: Genotype) -> Iterator[tuple[str, nn.Module]]:
        """The parts a genotype uses, in order, each with its name in the stand-alone subnet."""

    def path_parameters(self, genotype: Genotype) -> list[nn.Parameter]:
        """The parameters a genotype uses."""
        return [parameter for _, part in self.path(genotype) for parameter in part.parameters()]

    def path_norms(self, genotype: Genotype) -> list[nn.BatchNorm2d]:
        """The batch norms a genotype uses."""
        return [m for _, part in self.path(genotype) for m in part.modules() if isinstance(m, nn.BatchNorm2d)]


class ChainedSupernet(Supernet):
    """A supernet whose forward is its path, part by part."""

    chained = True

    def forward(self, images: Tensor, genotype: Genotype) -> Tensor:
        """(N, C, H, W) to (N, classes) along one path."""
        for _, part in self.path(genotype):
            images = part(images)
        return images


class Part(NamedTuple):
    """A piece of a network whose time can be taken by itself.

    key: what decides its time. build: makes it. shape: of its input, without the batch.
    """

    key: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


class Subnet(nn.Module, ABC):
    """The stand-alone network of one genotype: (N, C, H, W) float images to (N, classes) logits.

    drop_sites: where drop-path can act, as a shape; empty where nowhere.
    """

    drop_sites: tuple[int, ...] = ()

    def training_outputs(self, images: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Logits, and those of the auxiliary head where there is one, each (N, classes).

        kept: (*drop_sites, N), by which the outputs there are multiplied, image by image; None: drop nothing.
        """
        return self(images), None
