"""Which genotypes enter the final choice, where all of them are measured again on the last supernet state."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from evonas.search.fitness import Measurement, ranked
from evonas.spaces.base import Genotype, Space


def candidates(space: Space, generations: Sequence[Sequence[Measurement]], limit: int) -> list[Genotype]:
    """At most `limit` genotypes: the best of every generation, then the second best of every one, and so on.

    Each generation is ranked within itself, on its own state; between generations no order by fitness is formed, the
    later one comes first. Distinct in canonical form. A member of the last generation that `limit` leaves out could
    not have won: it lost on this very state to one that is in.
    """
    assert limit >= 1
    by_rank = zip_longest(*(ranked(generation) for generation in reversed(generations)))
    chosen: dict[Genotype, Genotype] = {}
    for same_rank in by_rank:
        for measurement in filter(None, same_rank):
            chosen.setdefault(space.canonical(measurement.genotype), measurement.genotype)
            if len(chosen) == limit:
                return list(chosen.values())
    return list(chosen.values())
