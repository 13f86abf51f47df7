"""The one loop of evonas: ask, adapt, evaluate, tell, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from evonas.search.base import Algorithm, Candidate
from evonas.search.fitness import Measurement
from evonas.spaces.base import Genotype


class EvaluatesMatrix(Protocol):
    """What the loop asks of a problem: pymoo's `Problem.evaluate`.

    A problem whose fitness changes along the search also has `adapt(genotypes)`, `state` and `protocol`; one that
    remembers what it measured has `is_measured(genotype)`. A plain pymoo problem has none of these and needs none.
    """

    def evaluate(self, X: np.ndarray, *, return_as_dictionary: bool) -> Any:  # noqa: N803 - pymoo's name
        """A dictionary of arrays, one row a genotype; "F" holds the objectives, minimised."""


IDLE = 3  # such rounds in a row end a search whose limits leave nothing new to measure
Record = Callable[[int, Sequence[Candidate], Sequence[Measurement], int], None]


def search(
    algorithm: Algorithm,
    problem: EvaluatesMatrix,
    *,
    generations: int,
    record: Record,
    evaluations: int | None = None,
    first: int = 0,
    spent: int = 0,
) -> int:
    """Run generations `first` to `generations` - 1 and return the number of evaluations spent.

    evaluations: cap on measurements of genotypes not yet measured on their state; the last generation is cut to what
    is left. The search ends early where nothing new is left to measure on a state that never changes. record: called
    once a generation, with its number, candidates, measurements and evaluations spent so far.
    """
    idle = 0  # rounds in a row that cost nothing and could not be filled
    for generation in range(first, generations):
        if evaluations is not None and spent >= evaluations:
            break  # before anything is fine-tuned for a population that nobody will measure
        if idle == IDLE and not hasattr(problem, "adapt"):
            break
        population = algorithm.ask()  # every genotype that the next selection will compare
        adapt(problem, algorithm.region(population))  # fine-tune the supernet on its region: a new state
        population, cost = affordable(problem, population, None if evaluations is None else evaluations - spent)
        measured = evaluate(problem, [candidate.genotype for candidate in population])  # all on that one state
        algorithm.tell(measured)  # selection happens here and nowhere else
        spent += cost
        idle = idle + 1 if cost == 0 and algorithm.exhausted else 0
        record(generation, population, measured, spent)
    return spent


def adapt(problem: EvaluatesMatrix, region: Sequence[Genotype]) -> None:
    """Let the problem fit itself to the region of a population, where it can."""
    if hasattr(problem, "adapt"):
        problem.adapt(region)


def affordable(
    problem: EvaluatesMatrix, population: Sequence[Candidate], left: int | None
) -> tuple[list[Candidate], int]:
    """The members of the population, in order, that `left` evaluations pay for, and what they cost."""
    known = getattr(problem, "is_measured", lambda genotype: False)
    kept, cost = [], 0
    for candidate in population:
        price = 0 if known(candidate.genotype) else 1
        if left is None or cost + price <= left:
            kept.append(candidate)
            cost += price
    return kept, cost


def evaluate(problem: EvaluatesMatrix, genotypes: Sequence[Genotype]) -> list[Measurement]:
    """Measure genotypes through pymoo's interface, all on the problem's present state."""
    out = problem.evaluate(np.asarray(genotypes, dtype=int), return_as_dictionary=True)
    state, protocol = getattr(problem, "state", 0), getattr(problem, "protocol", type(problem).__name__)
    columns = {name: values for name, values in out.items() if name not in ("F", "G", "H")}
    return [
        Measurement(
            genotype,
            tuple(float(value) for value in out["F"][row]),
            state,
            protocol,
            {name: float(values[row]) for name, values in columns.items() if np.ndim(values) == 1},
            tuple(float(value) for value in out["G"][row]) if out.get("G") is not None else (),
        )
        for row, genotype in enumerate(genotypes)
    ]
