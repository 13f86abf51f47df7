"""Networks: what a genotype means. One supernet and one stand-alone subnet a space."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from evonas.networks.base import Supernet
from evonas.networks.cell201 import NB201Subnet, NB201Supernet
from evonas.networks.single_path import SinglePathSubnet, SinglePathSupernet
from evonas.spaces import NB201Space, SinglePathSpace
from evonas.spaces.base import Genotype, Space

__all__ = ["Supernet", "build_subnet", "build_supernet", "initialised"]


def build_supernet(space: Space, channels: int, classes: int) -> Supernet:
    """The supernet of a space for images of `channels` channels."""
    if isinstance(space, SinglePathSpace):
        return SinglePathSupernet(space, channels, classes)
    if isinstance(space, NB201Space):
        return NB201Supernet(space, channels, classes)
    raise AssertionError(f"no supernet for the space {space.name}")


def build_subnet(space: Space, genotype: Genotype, channels: int, classes: int) -> nn.Module:
    """The stand-alone network of a genotype, with fresh weights."""
    if isinstance(space, SinglePathSpace):
        return SinglePathSubnet(space, genotype, channels, classes)
    if isinstance(space, NB201Space):
        return NB201Subnet(space, genotype, channels, classes)
    raise AssertionError(f"no subnet for the space {space.name}")


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Within it, fresh weights are drawn from `seed` alone, and torch's global stream is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
