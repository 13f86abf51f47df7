"""What a front is worth, by pymoo's indicators, in a box that is fixed by the space and never by what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymoo.indicators.hv import HV
from pymoo.indicators.igd import IGD
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evonas.search.fitness import Measurement, require_comparable


def hypervolume(values: np.ndarray, bounds: Sequence[tuple[float, float]]) -> float:
    """Share of the box of `bounds` that `values` (n, k), minimised, dominate; 0 to 1, 0 where n is 0.

    bounds: lowest and highest value of each objective, k of them; the reference point is the highest of each. What lies
    above it adds nothing, what lies below the lowest counts as the lowest. Source: Zitzler and Thiele 1999, computed by
    pymoo; that the box is the space's is ours. Raises ValueError where there are not k bounds.
    """
    if not len(values):
        return 0.0
    return float(HV(ref_point=np.ones(len(bounds)))(np.maximum(_scaled(values, bounds), 0.0)))


def inverted_distance(values: np.ndarray, true: np.ndarray, bounds: Sequence[tuple[float, float]]) -> float:
    """Inverted generational distance: mean distance of the points of the `true` front to the nearest of `values`.

    values (n, k), n at least 1, and true (m, k), minimised, are scaled so that the box of `bounds`, k of them, has
    sides of 1; 0 is perfect. Source: Coello Coello and Reyes Sierra 2004, computed by pymoo. Raises ValueError where
    there are not k bounds.
    """
    return float(IGD(_scaled(true, bounds))(_scaled(values, bounds)))


def non_dominated(values: np.ndarray) -> np.ndarray:
    """Row numbers, rising, of those of (n, k) minimised values that no other row dominates; shape (m,), n may be 0.

    Source: the non-dominated sorting of NSGA-II (Deb et al. 2002), computed by pymoo.
    """
    return np.sort(NonDominatedSorting().do(values, only_non_dominated_front=True))


def _scaled(values: np.ndarray, bounds: Sequence[tuple[float, float]]) -> np.ndarray:
    low, high = np.array(bounds, dtype=float).T
    return np.asarray((values - low) / np.where(high > low, high - low, 1.0))


def measured_hypervolume(measured: Sequence[Measurement], bounds: Sequence[tuple[float, float]]) -> float | None:
    """The `hypervolume` of the measurements that keep the limits, 0 to 1; None where there is one objective.

    bounds: as for `hypervolume`. Raises StaleFitnessError for measurements of several states or protocols.
    """
    require_comparable(measured)
    if len(bounds) < 2:
        return None
    kept = [m.objectives for m in measured if m.feasible]
    return hypervolume(np.array(kept, dtype=float), bounds)
