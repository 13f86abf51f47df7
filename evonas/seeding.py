"""One seed for a run, from which every random draw of the run comes through a named generator.

Generators are independent by construction (numpy's `SeedSequence` with the name as spawn key), so that drawing more
from one never moves another. Training takes a fresh generator for each epoch, named by its number: the epoch counter
in a checkpoint *is* their state. A generator that lives longer (that of the search) saves its state itself.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Seeds:
    """The source of a run's named generators."""

    seed: int

    def _sequence(self, name: str, index: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()), index))

    def number(self, name: str, index: int = 0) -> int:
        """A 63-bit seed for libraries that take a number."""
        return int(self._sequence(name, index).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def numpy(self, name: str, index: int = 0) -> np.random.Generator:
        """A numpy generator of its own."""
        return np.random.default_rng(self._sequence(name, index))

    def python(self, name: str, index: int = 0) -> random.Random:
        """A generator for code that draws through Python's `random`."""
        return random.Random(self.number(name, index))

    def torch(self, name: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
        """A torch generator of its own, on `device`."""
        import torch

        return torch.Generator(device=device).manual_seed(self.number(name, index))


def numpy_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a numpy generator as plain data."""
    return dict(generator.bit_generator.state)


def python_state(generator: random.Random) -> list[Any]:
    """The state of a Python generator as plain lists (JSON keeps no tuples)."""
    version, words, gauss = generator.getstate()
    return [version, list(words), gauss]


def restore_python(generator: random.Random, state: list[Any]) -> None:
    """Put back what `python_state` gave."""
    version, words, gauss = state
    generator.setstate((version, tuple(words), gauss))
