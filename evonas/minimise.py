"""Any pymoo problem of integer variables, searched by evonas' algorithms as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evonas.config import SearchSettings
from evonas.errors import ConfigError, nearest
from evonas.plan import ALGORITHMS
from evonas.search.base import Candidate
from evonas.search.final import candidates
from evonas.search.fitness import Measurement, ranked
from evonas.search.loop import evaluate, search
from evonas.seeding import Seeds
from evonas.spaces.integers import IntegerSpace


class _FromZero:
    """A problem whose variables are counted from 0."""

    def __init__(self, problem: Any) -> None:
        self._problem = problem
        self._low = np.asarray(problem.xl, dtype=int)

    def evaluate(self, X: np.ndarray, *, return_as_dictionary: bool) -> dict[str, Any]:  # noqa: N803 - pymoo's name
        found: dict[str, Any] = self._problem.evaluate(X + self._low, return_as_dictionary=return_as_dictionary)
        return found


def minimise(problem: Any, algorithm: str = "ga", *, seed: int = 0, **settings: Any) -> list[Measurement]:
    """Search a pymoo problem; returns the best found, best first, or the front where there are several objectives.

    problem: integer variables within xl and xu; its inequality constraints are kept by nsga2, nsga3 and sms-emoa alone.
    settings: those of `search`, such as population and generations. The variables of a result are its genotype + xl.
    Raises ConfigError for an unknown algorithm or setting.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"algorithm {algorithm!r} is unknown{nearest(algorithm, ALGORITHMS)}")
    unknown = [name for name in settings if name not in SearchSettings.model_fields]
    if unknown:
        raise ConfigError(f"setting {unknown[0]!r} is unknown{nearest(unknown[0], SearchSettings.model_fields)}")
    kind = ALGORITHMS[algorithm]
    chosen = SearchSettings(**settings, algorithm=algorithm).completed(budget=not kind.follows_supernet)
    sizes = np.asarray(problem.xu, dtype=int) - np.asarray(problem.xl, dtype=int) + 1
    space = IntegerSpace(sizes.tolist())
    shifted = _FromZero(problem)
    generations: list[list[Measurement]] = []

    def record(generation: int, population: Sequence[Candidate], measured: Sequence[Measurement], spent: int) -> None:
        generations.append(list(measured))

    search(
        kind(space, chosen, Seeds(seed)),
        shifted,
        generations=kind.rounds(chosen),
        evaluations=chosen.evaluations,
        record=record,
    )
    assert chosen.population is not None
    return ranked(evaluate(shifted, candidates(space, generations, chosen.population)))
