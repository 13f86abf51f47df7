"""What the rest of evonas asks of the networks of a space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch import Tensor, nn

from evonas.spaces.base import Genotype


class Supernet(nn.Module, ABC):
    """One module that holds the shared weights of every network of a space.

    `supernet(images, genotype)` runs the genotype's path alone; nothing is stored on the module, so that no call can
    leave a path behind for the next. Weights off the path get no gradient and cost no time.
    """

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
