"""Hypervolume by pymoo, with a reference point that is fixed by the space and never by what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymoo.indicators.hv import HV

from evonas.search.fitness import Measurement, require_comparable


def hypervolume(values: np.ndarray, bounds: Sequence[tuple[float, float]]) -> float:
    """Share of the box of `bounds` that `values` (n, k), minimised, dominate; 0 to 1, 0 where n is 0.

    bounds: lowest and highest value of each objective, k of them; the reference point is the highest of each. What lies
    above it adds nothing, what lies below the lowest counts as the lowest.
    """
    if not len(values):
        return 0.0
    low, high = np.array(bounds, dtype=float).T
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    return float(HV(ref_point=np.ones(len(low)))(np.maximum(scaled, 0.0)))


def measured_hypervolume(measured: Sequence[Measurement], bounds: Sequence[tuple[float, float]]) -> float | None:
    """That of the measurements that keep the limits; None where there is one objective. One state, one protocol."""
    require_comparable(measured)
    if len(bounds) < 2:
        return None
    kept = [m.objectives for m in measured if m.feasible]
    return hypervolume(np.array(kept, dtype=float), bounds)
