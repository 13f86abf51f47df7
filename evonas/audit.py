"""Scores of a fixed set of networks at every supernet state, for rank correlation with a ground-truth table.

An audit belongs to the study of a search and not to the search: it draws from generators of its own, counts no
evaluations, and what it measures no algorithm sees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from evonas.complexity import Complexity
from evonas.config import AuditSettings
from evonas.history import Row
from evonas.search.base import Candidate, fill
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.supernet.measuring import Measurer


class Audit:
    """Rows of audit.csv: a uniform sample that stays the same, and members of the population as a probe of the region.

    Members are scored on the state of their generation and on the next one, so that their drift can be seen.
    """

    def __init__(self, space: Space, measurer: Measurer, complexity: Complexity, settings: AuditSettings) -> None:
        self._space = space
        self._measurer = measurer
        self._complexity = complexity
        self._probe = settings.probe
        self.genotypes = sample(space, settings.genotypes, settings.seed)

    def rows(self, state: int, population: Sequence[Genotype], previous: Sequence[Genotype]) -> list[Row]:
        """What every audited genotype scores on the present state."""
        known = set(self.genotypes)
        probed = dict.fromkeys([*previous[: self._probe], *population[: self._probe]])
        members = [genotype for genotype in probed if genotype not in known]
        probes = [("uniform", genotype) for genotype in self.genotypes] + [("population", g) for g in members]
        scores = self._measurer.measure([genotype for _, genotype in probes])
        return [
            self._row(state, probe, genotype, error, loss)
            for (probe, genotype), (error, loss) in zip(probes, scores, strict=True)
        ]

    def _row(self, state: int, probe: str, genotype: Genotype, error: float, loss: float) -> Row:
        cost = self._complexity.of(genotype)
        return {
            "state": state,
            "genotype": json.dumps(genotype),
            "canonical": json.dumps(self._space.canonical(genotype)),
            "probe": probe,
            "error": repr(error),
            "loss": repr(loss),
            "params": cost.params,
            "flops": cost.flops,
        }


def sample(space: Space, count: int, seed: int) -> list[Genotype]:
    """`count` networks drawn uniformly among the genotypes, distinct in canonical form; fewer where there are fewer."""
    rng = Seeds(seed).numpy("audit")
    chosen: dict[Genotype, Candidate] = {}
    fill(chosen, space, count, "audit", lambda: space.sample(rng))
    return [candidate.genotype for candidate in chosen.values()]
