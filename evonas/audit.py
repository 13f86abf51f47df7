"""Scores of a fixed set of networks at every supernet state, for rank correlation with a ground-truth table.

An audit belongs to the study of a search and not to the search: it draws from generators of its own, counts no
evaluations, and what it measures no algorithm sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from evonas.complexity import Complexity
from evonas.config import AuditSettings
from evonas.history import Row
from evonas.search.base import random_networks
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.supernet.measuring import Measurer

TOP_SHARE = 0.1  # of the networks of a table: its true top


class Audit:
    """Rows of audit.csv: networks that stay the same, and members of the population as a probe of the region.

    The networks are a uniform sample of the space, and with `audit.top` a sample of its true top, which a uniform one
    hardly meets. Members are scored on the state of their generation and on the next one, so that drift can be seen.
    """

    def __init__(
        self,
        space: Space,
        measurer: Measurer,
        complexity: Complexity,
        settings: AuditSettings,
        truth: Mapping[Genotype, float] | None = None,
    ) -> None:
        """truth: true accuracy of every genotype of the space, for `audit.top`."""
        self._space = space
        self._measurer = measurer
        self._complexity = complexity
        self._probe = settings.probe
        self.genotypes = random_networks(space, settings.genotypes, Seeds(settings.seed).numpy("audit"))
        self._top: list[Genotype] = []
        if settings.top and truth is not None:
            uniform = set(self.genotypes)
            found = top_sample(space, truth, settings.top, settings.seed)
            self._top = [genotype for genotype in found if genotype not in uniform]

    def rows(self, state: int, population: Sequence[Genotype], previous: Sequence[Genotype]) -> list[Row]:
        """What every audited genotype scores on the present state."""
        known = {*self.genotypes, *self._top}
        probed = dict.fromkeys([*previous[: self._probe], *population[: self._probe]])
        members = [genotype for genotype in probed if genotype not in known]
        groups = {"uniform": self.genotypes, "top": self._top, "population": members}
        probes = [(probe, genotype) for probe, genotypes in groups.items() for genotype in genotypes]
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


def top_sample(space: Space, truth: Mapping[Genotype, float], count: int, seed: int) -> list[Genotype]:
    """`count` networks drawn uniformly from the best tenth of the distinct networks of a table."""
    distinct = {space.canonical(genotype): genotype for genotype in truth}
    ranked = sorted(distinct.values(), key=lambda genotype: (-truth[genotype], genotype))
    best = ranked[: max(1, round(TOP_SHARE * len(ranked)))]
    drawn = Seeds(seed).numpy("audit.top").choice(len(best), size=min(count, len(best)), replace=False)
    return [best[index] for index in sorted(drawn)]
