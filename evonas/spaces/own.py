"""Spaces in code of the user's own: `FILE.py:Class`, or an entry point of the group `evonas.spaces`."""

from __future__ import annotations

from inspect import isabstract

from evonas.config import OwnSpaceSettings
from evonas.errors import ConfigError
from evonas.own_code import loaded, reason
from evonas.own_code import settled as settled_code
from evonas.spaces.chain import ChainSpace


def settled(settings: OwnSpaceSettings) -> OwnSpaceSettings:
    """The settings with an absolute path and the SHA-256 of the file as it is, where they have none yet."""
    name, digest = settled_code(settings.name, settings.sha256)
    return settings.model_copy(update={"name": name, "sha256": digest})


def build_own(settings: OwnSpaceSettings) -> ChainSpace:
    """The space that the settings name; its file is run. Raises ConfigError where it must not be, or is no space."""
    kind = loaded(settings.name, settings.sha256, "evonas.spaces", "evonas check-space")
    if not isinstance(kind, type) or not issubclass(kind, ChainSpace):
        raise ConfigError(f"{settings.name} is no space; expected a class derived from evonas.spaces.ChainSpace")
    if isabstract(kind):
        raise ConfigError(f"{settings.name} has no method `blocks`; it gives the blocks of a network in order")
    try:
        space = kind()
        choices = space.choices
    except Exception as error:
        raise ConfigError(f"{settings.name} cannot be made: {reason(error)}") from None
    if not choices:
        raise ConfigError(f"{settings.name} has no choice; expected a block like {{'conv3': ..., 'conv5': ...}}")
    return space
