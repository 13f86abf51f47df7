"""Algorithms in code of the user's own: pymoo's, driven by our rules, or one of `evonas.search.base.Algorithm`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pymoo.algorithms.base.genetic import GeneticAlgorithm as PymooAlgorithm

from evonas.config import SearchSettings
from evonas.errors import ConfigError, EvonasError, StaleFitnessError
from evonas.own_code import loaded, reason
from evonas.search.base import Algorithm, Candidate
from evonas.search.fitness import Measurement
from evonas.search.nsga2 import ParetoSearch
from evonas.seeding import Seeds
from evonas.spaces.base import Space


def own_algorithm(settings: SearchSettings) -> type[Algorithm]:
    """The kind of algorithm that the settings name; its file is run.

    A class derived from Algorithm is taken as it is. Anything else is called for a pymoo algorithm, with pop_size,
    sampling, crossover, mutation, repair and eliminate_duplicates, and with the number of objectives where it takes
    `objectives`. Raises ConfigError where the code must not be run, or fails.
    """
    name = settings.algorithm
    found = loaded(name, settings.sha256, "evonas.algorithms", "evonas trust")
    if isinstance(found, type) and issubclass(found, Algorithm):
        return found
    if not callable(found):
        raise ConfigError(f"{name} is no algorithm; expected a function or class that makes one of pymoo's")
    return type("OwnParetoSearch", (OwnParetoSearch,), {"name": name, "make": staticmethod(found)})


class OwnParetoSearch(ParetoSearch):
    """A pymoo algorithm that the user makes. Of it we take mating and survival, as of pymoo's that we ship.

    So parents and children are measured together on one supernet state, whatever its own loop would do (I1), and
    nothing that it remembers of an older state is asked, since it is made anew for every selection.
    """

    name: str
    make: Callable[..., Any]

    def _made(self, objectives: int, **parts: Any) -> PymooAlgorithm:
        if "objectives" in inspect.signature(self.make).parameters:
            parts["objectives"] = objectives
        made = self.make(**parts)
        if not isinstance(made, PymooAlgorithm) or made.mating is None or made.survival is None:
            raise ConfigError(
                f"{self.name} gives a {type(made).__name__}; expected an algorithm of pymoo's with mating and survival "
                "(a GeneticAlgorithm)"
            )
        return made

    def ask(self) -> list[Candidate]:
        """Parents, to be measured again, and as many children. Raises ConfigError where the user's code fails."""
        candidates: list[Candidate] = self._told(super().ask)
        return candidates

    def tell(self, measured: Sequence[Measurement]) -> None:
        """The survivors of what was measured. Raises ConfigError where the user's code fails."""
        self._told(lambda: super(OwnParetoSearch, self).tell(measured))

    def _told(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except (EvonasError, StaleFitnessError):
            raise
        except Exception as error:
            raise ConfigError(f"{self.name} fails: {reason(error)}") from None


def rehearse(kind: type[Algorithm], space: Space, settings: SearchSettings, objectives: int) -> None:
    """Two rounds on made-up figures, thrown away, so that a mistake is learnt of before anything is written."""
    made = kind(space, settings, Seeds(0))
    for state in range(2):
        asked = made.ask()
        figures = [
            tuple(float((index * prime) % 11) for prime in (3, 5, 7, 2)[:objectives]) for index in range(len(asked))
        ]
        made.tell([Measurement(c.genotype, f, state, "rehearsal") for c, f in zip(asked, figures, strict=True)])
    made.load_state_dict(made.state_dict())
    made.ask()
