"""The contract of a search algorithm: ask for everything that the next selection compares, tell all of it at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evonas.search.fitness import Measurement
from evonas.spaces.base import Genotype


@dataclass(frozen=True)
class Candidate:
    """A genotype that waits to be measured, and where it came from: initial, elite, parent, child or immigrant."""

    genotype: Genotype
    origin: str


class Algorithm(ABC):
    """An evolutionary algorithm behind ask and tell.

    `ask` returns the complete set of genotypes that the next selection will compare, so that all of them are measured
    on one supernet state and no fitness outlives the state that gave it.
    """

    default_objectives: tuple[str, ...] = ("error",)

    @abstractmethod
    def ask(self) -> list[Candidate]:
        """The next population, complete, canonically distinct."""

    @abstractmethod
    def tell(self, measured: Sequence[Measurement]) -> None:
        """Take the measurements of the last `ask`. Raises StaleFitnessError where they are of several states."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything the next `ask` depends on, as plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
