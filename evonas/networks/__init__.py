"""Networks: what a genotype means. One supernet and one stand-alone subnet a space."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from evonas.networks import darts_parts
from evonas.networks.base import Part, Subnet, Supernet
from evonas.networks.cell201 import NB201Subnet, NB201Supernet
from evonas.networks.chain import ChainSubnet, ChainSupernet
from evonas.networks.darts import DartsSubnet, DartsSupernet
from evonas.networks.single_path import SinglePathSubnet, SinglePathSupernet
from evonas.spaces import ChainSpace, DartsSpace, NB201Space, SinglePathSpace
from evonas.spaces.base import Genotype, Space

__all__ = ["Subnet", "Supernet", "build_subnet", "build_supernet", "initialised", "parts"]


def build_supernet(space: Space, channels: int, classes: int) -> Supernet:
    """The supernet of a space for images of `channels` channels."""
    if isinstance(space, SinglePathSpace):
        return SinglePathSupernet(space, channels, classes)
    if isinstance(space, NB201Space):
        return NB201Supernet(space, channels, classes)
    if isinstance(space, DartsSpace):
        return DartsSupernet(space, channels, classes)
    if isinstance(space, ChainSpace):
        return ChainSupernet(space, channels, classes)
    raise AssertionError(f"no supernet for the space {space.name}")


def build_subnet(
    space: Space, genotype: Genotype, channels: int, classes: int, *, shared: bool = False, auxiliary: bool = False
) -> Subnet:
    """The stand-alone network of a genotype, with fresh weights.

    shared: of the supernet's size and module for module its path, so that it can take the supernet's weights; else of
    the size that is retrained. auxiliary: with a second classifier for training, where the space has one.
    """
    if isinstance(space, SinglePathSpace):
        return SinglePathSubnet(space, genotype, channels, classes)
    if isinstance(space, NB201Space):
        return NB201Subnet(space, genotype, channels, classes)
    if isinstance(space, DartsSpace):
        stack = space.searched if shared else space.retrained
        return DartsSubnet(stack, genotype, channels, classes, shared=shared, auxiliary=auxiliary)
    if isinstance(space, ChainSpace):
        return ChainSubnet(space, genotype, channels, classes)
    raise AssertionError(f"no subnet for the space {space.name}")


def parts(space: Space, genotype: Genotype, image_shape: tuple[int, int, int], classes: int) -> Iterator[Part]:
    """The pieces of a genotype's stand-alone network, for a space whose supernet is no chain."""
    assert isinstance(space, DartsSpace)
    return darts_parts.parts(space.retrained, genotype, image_shape, classes)


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Within it, fresh weights are drawn from `seed` alone, and torch's global stream is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
