"""The final choice by an additive model: what each operation at each place is worth on one supernet state.

What a supernet says of one network has an error of that network's own, since its weights were trained on other paths,
and a search for the best picks these errors out: among its final candidates the scores rank hardly at all
(docs/results.md). The error of an operation is averaged over all networks that have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.search.fitness import Measurement, require_comparable
from evonas.spaces.base import Genotype, Space

PENALTY = 1.0  # of the ridge regression: as one more network in which every operation is worth nothing


def predicted(space: Space, known: Sequence[Measurement], genotypes: Sequence[Genotype]) -> np.ndarray:
    """First objective of `genotypes` by a ridge regression on the values of the genes, shape (n,).

    known: what it is fitted to, each network once or more; figures that are not finite are left out. Raises
    StaleFitnessError where they are not of one state and protocol.
    """
    require_comparable(known)
    kept = [m for m in known if np.isfinite(m.objectives[0])]
    if not kept:
        return np.zeros(len(genotypes))
    values = np.array([m.objectives[0] for m in kept])
    design = _one_hot(space, [m.genotype for m in kept])
    centre = values.mean()
    normal = design.T @ design + PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(normal, design.T @ (values - centre))
    return np.asarray(_one_hot(space, genotypes) @ weights + centre)


def by_model(space: Space, final: Sequence[Measurement], known: Sequence[Measurement]) -> list[Measurement]:
    """`final` in order of what the model fitted to `known` says of them, best first; its equals as they are ranked."""
    require_comparable([*final, *known])
    predictions = predicted(space, known, [m.genotype for m in final])
    order = sorted(range(len(final)), key=lambda i: (predictions[i], final[i].rank_key))
    return [final[i] for i in order]


def _one_hot(space: Space, genotypes: Sequence[Genotype]) -> np.ndarray:
    genes = np.array(genotypes)
    columns = [genes[:, i, None] == np.arange(n) for i, n in enumerate(space.cardinalities)]
    return np.concatenate(columns, axis=1).astype(float)
