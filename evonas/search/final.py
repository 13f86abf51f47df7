"""Which genotypes enter the final choice, where all of them are measured again on the last supernet state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from math import inf
from operator import attrgetter
from statistics import fmean

from evonas.search.fitness import Measurement, pareto_front, ranked, require_comparable, spread
from evonas.spaces.base import Genotype, Space


def candidates(space: Space, generations: Sequence[Sequence[Measurement]], limit: int) -> list[Genotype]:
    """At most `limit` genotypes: the best of every generation, then the second best of every one, and so on.

    With several objectives, the non-dominated of the last generation, then those of the one before it, and so on.
    Each generation is ranked within itself, on its own state; between states no order by fitness is formed, the later
    one comes first. Generations that were measured on one state (a table, a frozen supernet) are ranked together.
    Those that break a limit of the problem are left out. Distinct in canonical form. A member of the last generation
    that `limit` leaves out could not have won: it lost on this very state to one that is in. Empty where all break a
    limit, or failed.
    """
    assert limit >= 1
    by_state: dict[tuple[int, str], list[Measurement]] = {}
    for measurement in filter(attrgetter("feasible"), chain.from_iterable(reversed(generations))):
        by_state.setdefault((measurement.state, measurement.protocol), []).append(measurement)
    pools = list(by_state.values())
    if not pools:
        return []
    in_order: Iterable[Measurement | None]
    if len(pools[0][0].objectives) > 1:
        in_order = chain.from_iterable(spread(pareto_front(pool), limit) for pool in pools)
    else:
        in_order = chain.from_iterable(zip_longest(*map(ranked, pools)))
    chosen: dict[Genotype, Genotype] = {}
    for measurement in filter(None, in_order):
        chosen.setdefault(space.canonical(measurement.genotype), measurement.genotype)
        if len(chosen) == limit:
            break
    return list(chosen.values())


def ties_settled(space: Space, final: Sequence[Measurement], known: Sequence[Measurement]) -> list[Measurement]:
    """`final` best first; of equals, first the one whose `known` neighbours are better on average.

    Figures of a table are coarse, and its best are often equal. Noise of one network says nothing of the next, while
    networks that differ in one unit are alike: what was measured around two equals says which is likelier to be good.
    Raises StaleFitnessError where not all of it was measured on one state by one protocol.
    """
    require_comparable([*final, *known])
    worth = {space.canonical(m.genotype): m.objectives[0] for m in known}

    def around(measurement: Measurement) -> float:
        near = [worth[network] for network in space.neighbours(measurement.genotype) if network in worth]
        return fmean(near) if near else inf

    order = ranked(final)
    best = [m for m in order if m.rank_key[:2] == order[0].rank_key[:2]]
    return [*sorted(best, key=around), *order[len(best) :]]  # a stable sort: by genotype where that is equal too


def by_stored_fitness(space: Space, generations: Sequence[Sequence[Measurement]], limit: int) -> list[Measurement]:
    """At most `limit` measurements, best first by the fitness that each was once given, whatever the state.

    The unfair choice, for comparison only. Distinct in canonical form.
    """
    chosen: dict[Genotype, Measurement] = {}
    feasible = filter(attrgetter("feasible"), chain.from_iterable(generations))
    for measurement in sorted(feasible, key=lambda m: m.rank_key):
        chosen.setdefault(space.canonical(measurement.genotype), measurement)
    return list(chosen.values())[:limit]
