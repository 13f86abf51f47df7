"""Which paths a training step takes: each sampler yields the genotypes of one step after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from evonas.config import FinetuneSettings
from evonas.spaces.base import Genotype, Space

Paths = list[Genotype]


def uniform_paths(space: Space, rng: np.random.Generator) -> Iterator[Paths]:
    """One uniform path a step (SPOS, arXiv 1904.00420)."""
    while True:
        yield [space.sample(rng)]


def fair_paths(space: Space, rng: np.random.Generator) -> Iterator[Paths]:
    """As many paths a step as there are operations, each operation of each gene in one of them (FairNAS, 1907.01845).

    The permutations are drawn anew for every step.
    """
    while True:
        yield space.fair(rng)


def deiso_paths(space: Space, rng: np.random.Generator) -> Iterator[Paths]:
    """One path a step, such that every network is equally likely, however many genotypes mean it (Ning et al. 2021).

    Uniform genotypes are accepted with probability 1 / (number of genotypes that mean the network), so that the
    genotypes of one network share its probability equally and all their weights are trained.
    """
    while True:
        genotype = space.sample(rng)
        if rng.random() * space.multiplicity(genotype) < 1.0:
            yield [genotype]


WARM_UP_SAMPLERS: dict[str, Callable[[Space, np.random.Generator], Iterator[Paths]]] = {
    "uniform": uniform_paths,
    "fair": fair_paths,
    "deiso": deiso_paths,
}


def phase_steps(members: int, steps: int, population_share: float) -> int:
    """Steps of a fine-tuning phase that was to have `steps`: more where those could not hold one round.

    A phase holds whole rounds over the population, at least one (invariant I3), at the share the population has.
    """
    if population_share <= 0:
        return steps
    if population_share >= 1:
        return members * max(1, round(steps / members))
    return max(steps, math.ceil(members / population_share))


def region_paths(
    space: Space,
    population: Sequence[Genotype],
    settings: FinetuneSettings,
    steps: int,
    rng: np.random.Generator,
) -> list[Paths]:
    """The paths of one fine-tuning phase, one a step, from the region of a population; length `steps`.

    A mixture of four parts in random order: members in whole shuffled rounds, so that each member is trained directly
    equally often; paths from the population's gene frequencies; neighbours of members; any path. The abstract of the
    paper says that paths are sampled in the search region; this mixture is our decision.
    """
    weights = np.array(settings.weights.shares()) / sum(settings.weights.shares())
    counts = _part_counts(weights, len(population), steps)
    frequencies = space.frequencies(population, settings.beta)

    def neighbour() -> Genotype:
        member = population[int(rng.integers(len(population)))]
        return space.neighbour(member, settings.distance, rng)

    members = [population[i] for _ in range(counts[0] // len(population)) for i in rng.permutation(len(population))]
    others: list[Callable[[], Genotype]] = (
        [lambda: space.sample_from(frequencies, rng)] * counts[1]
        + [neighbour] * counts[2]
        + [lambda: space.sample(rng)] * counts[3]
    )
    waiting = iter(members)
    # Members keep the order of their rounds wherever the shuffle puts them: any prefix treats them equally, +-1.
    parts: list[Callable[[], Genotype] | None] = [None] * len(members) + others
    return [[next(waiting) if part is None else part()] for part in (parts[i] for i in rng.permutation(steps))]


def _part_counts(weights: np.ndarray, members: int, steps: int) -> list[int]:
    """Steps of each part: the population's in whole rounds, the others by largest remainder of what is left."""
    rounds = max(1, round(weights[0] * steps / members)) if weights[0] > 0 else 0
    rounds = min(rounds, steps // members)
    first = rounds * members
    rest = weights[1:] / weights[1:].sum() if weights[1:].sum() > 0 else None
    if rest is None:
        assert first == steps, "phase_steps gives the population alone whole rounds"
        return [first, 0, 0, 0]
    exact = rest * (steps - first)
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: steps - first - int(counts.sum())]:
        counts[index] += 1
    return [first, *(int(count) for count in counts)]
