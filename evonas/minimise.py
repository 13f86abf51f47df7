"""Any pymoo problem of integer variables, searched by evonas' algorithms as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evonas.config import SearchSettings, build
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

    problem: integer variables within xl and xu, each (n_var,); its inequality constraints are kept by nsga2, nsga3 and
    sms-emoa alone. algorithm: a name of `evonas.plan.ALGORITHMS`, whose classes name their sources. seed: 0 or more.
    settings: those of `search`, such as population and generations. The variables of a result are its genotype + xl,
    and its objectives are in the problem's units. Empty where nothing was found that keeps the constraints. Raises
    ConfigError for an unknown algorithm or setting, a value that cannot be used, a problem without such bounds, or of
    one objective for sms-emoa.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"algorithm {algorithm!r} is unknown{nearest(algorithm, ALGORITHMS)}")
    unknown = [name for name in settings if name not in SearchSettings.model_fields]
    if unknown:
        raise ConfigError(f"setting {unknown[0]!r} is unknown{nearest(unknown[0], SearchSettings.model_fields)}")
    kind = ALGORITHMS[algorithm]
    made = build({"seed": int(seed), "search": {**settings, "algorithm": algorithm}})
    chosen = made.search.completed(budget=not kind.follows_supernet)
    space = IntegerSpace(_values(problem))
    shifted = _FromZero(problem)
    generations: list[list[Measurement]] = []

    def record(generation: int, population: Sequence[Candidate], measured: Sequence[Measurement], spent: int) -> None:
        generations.append(list(measured))

    search(
        kind(space, chosen, Seeds(made.seed)),
        shifted,
        generations=kind.rounds(chosen),
        evaluations=chosen.evaluations,
        record=record,
    )
    assert chosen.population is not None
    best = candidates(space, generations, chosen.population)
    return ranked(evaluate(shifted, best)) if best else []


def _values(problem: Any) -> list[int]:
    """The number of values of each variable. Raises ConfigError where xl and xu do not say it."""
    if problem.xl is None or problem.xu is None:
        raise ConfigError("the problem has no bounds xl and xu; expected integer variables within both")
    if getattr(problem, "vtype", None) not in (int, bool, np.integer):
        raise ConfigError(f"the problem's variables have vtype {problem.vtype}; expected integers, vtype=int")
    low, high = (np.asarray(bound, dtype=float) for bound in (problem.xl, problem.xu))
    if not (np.isfinite([low, high]).all() and (low == low.round()).all() and (high >= low).all()):
        raise ConfigError(f"the problem has bounds xl {low} and xu {high}; expected whole numbers, xl at most xu")
    return [int(n) for n in high - low + 1]
