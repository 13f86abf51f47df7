"""Search spaces: what a genotype is, and the operators on it."""

from evonas.config import (
    DartsSettings,
    NB201Settings,
    NBMacroSettings,
    OwnSpaceSettings,
    SinglePathSettings,
    SpaceSettings,
)
from evonas.spaces.base import Genotype, Space
from evonas.spaces.cell201 import NB201Space
from evonas.spaces.chain import ChainSpace
from evonas.spaces.darts import DartsSpace
from evonas.spaces.nb_macro import NBMacroSpace
from evonas.spaces.own import build_own
from evonas.spaces.single_path import SinglePathSpace

__all__ = [
    "SPACES",
    "ChainSpace",
    "DartsSpace",
    "Genotype",
    "NB201Space",
    "NBMacroSpace",
    "SinglePathSpace",
    "Space",
    "build_space",
]

SPACES: dict[str, type[Space]] = {
    "single-path": SinglePathSpace,
    "nb-macro": NBMacroSpace,
    "nb201": NB201Space,
    "darts": DartsSpace,
}


def build_space(settings: SpaceSettings) -> Space:
    """The space that the settings describe. Raises ConfigError for code of one's own that must not run, or fails."""
    match settings:
        case SinglePathSettings():
            return SinglePathSpace(settings)
        case NBMacroSettings():
            return NBMacroSpace(settings)
        case NB201Settings():
            return NB201Space(settings)
        case DartsSettings():
            return DartsSpace(settings)
        case OwnSpaceSettings():
            return build_own(settings)
    raise AssertionError(f"settings of {settings.name} have no space")
