"""The front of a search as a picture for logs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.front_plots import front_figure
from evonas.search.fitness import Measurement, pareto_mask

DPI = 150


def front_picture(generations: Sequence[Sequence[Measurement]], objectives: Sequence[str]) -> Figure | None:
    """The non-dominated of each generation, by the first two objectives, or by one and params; None where all failed.

    generations: each measured on one state.
    """
    axes = (*objectives, "params")[:2]
    fronts = [(number, _front(measured, axes, objectives)) for number, measured in enumerate(generations)]
    drawn = [(number, values) for number, values in fronts if len(values)]
    if not drawn:
        return None
    made = front_figure(drawn, np.empty((0, 2)), axes)
    made.set_dpi(DPI)
    return made


def _front(measured: Sequence[Measurement], axes: Sequence[str], objectives: Sequence[str]) -> np.ndarray:
    """Non-dominated values by two axes, shape (n, 2)."""
    kept = [m for m in measured if m.feasible]
    known = [{**m.details, **dict(zip(objectives, m.objectives, strict=True))} for m in kept]
    values = np.array([[row[name] for name in axes] for row in known], float).reshape(len(kept), 2)
    return np.asarray(values[pareto_mask(values)])
