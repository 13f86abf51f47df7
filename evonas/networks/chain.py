"""Supernet and subnet of a user's own chain of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from evonas.errors import ConfigError
from evonas.networks.base import ChainedSupernet, Subnet
from evonas.spaces.base import Genotype
from evonas.spaces.chain import ChainSpace


class ChainSupernet(ChainedSupernet):
    """One list of modules a block: all of a choice, or the one that every network has."""

    def __init__(self, space: ChainSpace, channels: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList(_built(space, index, name, factory) for name, factory in options.items())
            for index, options in enumerate(_options(space, channels, classes))
        )

    def path(self, genotype: Genotype) -> Iterator[tuple[str, nn.Module]]:
        """The blocks in order, of a choice the module chosen."""
        genes = iter(genotype)
        for index, options in enumerate(self.blocks):
            assert isinstance(options, nn.ModuleList)
            yield f"blocks.{index}", options[next(genes) if len(options) > 1 else 0]


class ChainSubnet(Subnet):
    """The stand-alone network of one genotype: the same modules, and no others."""

    def __init__(self, space: ChainSpace, genotype: Genotype, channels: int, classes: int) -> None:
        super().__init__()
        genes = iter(genotype)
        chosen = []
        for index, options in enumerate(_options(space, channels, classes)):
            name, factory = list(options.items())[next(genes) if len(options) > 1 else 0]
            chosen.append(_built(space, index, name, factory))
        self.blocks = nn.Sequential(*chosen)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        logits: Tensor = self.blocks(images)
        return logits


def _options(space: ChainSpace, channels: int, classes: int) -> Iterator[Mapping[str, Callable[[], Any]]]:
    """The modules of each block by name; of one that is no choice, the only one."""
    for block in space.blocks(channels, classes):
        yield block if isinstance(block, Mapping) else {"": block}


def _built(space: ChainSpace, index: int, name: str, factory: Callable[[], Any]) -> nn.Module:
    """What a factory of the user makes. Raises ConfigError where that is no module."""
    where = f"{space.name}: block {index}" + (f", {name!r}," if name else "")
    if isinstance(factory, nn.Module):  # which can be called too
        raise ConfigError(
            f"{where} is a module; expected a factory of one, such as functools.partial(nn.Conv2d, 3, 8, 3)"
        )
    try:
        module = factory()
    except Exception as error:
        raise ConfigError(f"{where} cannot be built: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{where} is a factory of {type(module).__name__}; expected one of an nn.Module")
    return module
