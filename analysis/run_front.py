"""What a run measured as points of two axes, and its front among them, in whatever state the run is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.runs import Run
from evonas.errors import AnalysisError
from problems.fronts import non_dominated


def axes_of(run: Run) -> tuple[str, str]:
    """(horizontal, vertical): the second objective, or where there is none size, and the first objective."""
    first, *others = run.objectives or ("error",)
    return next(name for name in (*others, "params", "flops") if name != first), first


def measured(run: Run) -> pd.DataFrame:
    """The rows of history.csv with a number on both axes. Raises AnalysisError where there is none."""
    rows = _with_numbers(run, run.history)
    if rows.empty:
        raise AnalysisError(f"history.csv has no network with {' and '.join(axes_of(run))}")
    return rows


def front(run: Run) -> pd.DataFrame:
    """The front by the two axes, the smallest first: rows of history.csv, all measured on one supernet state.

    Of several objectives it is pareto.csv. Otherwise, and for a run that has none yet, it is the non-dominated of all
    that was measured on the last state within the limits. Raises AnalysisError as `measured` does.
    """
    x, y = axes_of(run)
    known = _with_numbers(run, run.pareto)
    if len(run.objectives) < 2 or known.empty:
        rows = measured(run)
        rows = _within_limits(run, rows[rows["state"] == rows["state"].max()])
        values = rows[list(dict.fromkeys([y, x, *run.objectives]))]
        rows = rows[~values.duplicated()]
        known = rows.iloc[non_dominated(values.loc[rows.index].to_numpy(float))] if len(rows) else rows
    return known.sort_values([x, y], kind="stable")


def _with_numbers(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a finite number for each axis and objective."""
    names = list(dict.fromkeys([*axes_of(run), *run.objectives]))
    numbers = rows.reindex(columns=names).apply(pd.to_numeric, errors="coerce").astype(float)
    rows = rows.assign(**{name: numbers[name] for name in names})
    whole: pd.DataFrame = rows[np.isfinite(numbers.to_numpy()).all(axis=1)]
    return whole


def _within_limits(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    for name in ("params", "flops", "latency_ms"):
        limit = run.setting("problem", "limits", name)
        if np.isfinite(limit) and name in rows:
            rows = rows[rows[name] <= limit]
    return rows
