"""Search spaces: what a genotype is, and the operators on it."""

from evonas.config import SinglePathSettings, SpaceSettings
from evonas.spaces.base import Genotype, Space
from evonas.spaces.single_path import SinglePathSpace

__all__ = ["SPACES", "Genotype", "SinglePathSpace", "Space", "build_space"]

SPACES: dict[str, type[Space]] = {"single-path": SinglePathSpace}


def build_space(settings: SpaceSettings) -> Space:
    """The space that the settings describe."""
    if isinstance(settings, SinglePathSettings):
        return SinglePathSpace(settings)
    raise AssertionError(f"settings of {settings.name} have no space")
