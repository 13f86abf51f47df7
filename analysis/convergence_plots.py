"""How a search came to its result: the best and the median of each generation, and where the supernet changed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures import BLUE, COLUMN, GREY, VERMILION, figure, styled
from analysis.front_plots import objective_label
from analysis.runs import Run
from evonas.errors import AnalysisError

MANY = 40  # changes of the state that are lines through the whole plot; more would cover it


@styled
def convergence_figure(run: Run) -> Figure:
    """Best and median of the first objective by generation, on the supernet state of each.

    Dotted lines mark where the state changes; values are joined only within a state, since those of different states
    do not compare. Raises AnalysisError where no generation is known.
    """
    rows = generations(run)
    made = figure(COLUMN, 2.5)
    axes = made.subplots()
    for name, colour, marker in (("median", VERMILION, "s"), ("best", BLUE, "o")):
        for number, on_state in enumerate(by_state(rows)):
            axes.plot(
                on_state["generation"],
                on_state[name],
                color=colour,
                marker=marker,
                markersize=2.5,
                markerfacecolor="white" if name == "median" else colour,
                label=name if number == 0 else None,
            )
    changes = state_changes(rows)
    for number, place in enumerate(changes):
        label = "supernet state changes" if number == 0 else None
        height = 1 if len(changes) <= MANY else 0.04
        axes.axvline(place, ymax=height, color=GREY, linestyle=":", linewidth=0.6, zorder=0, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("generation")
    axes.set_ylabel(objective_label(run.objectives[0]) if run.objectives else "first objective")
    made.legend(loc="outside lower center", ncols=3, columnspacing=1.0)
    return made


def generations(run: Run) -> pd.DataFrame:
    """The rows of generations.csv whose best and median are numbers, each generation once, in order.

    Raises AnalysisError where there is none.
    """
    rows = run.generations.drop_duplicates("generation", keep="last").sort_values("generation")
    known: pd.DataFrame = rows[np.isfinite(rows[["best", "median"]].to_numpy(float)).all(axis=1)]
    if known.empty:
        raise AnalysisError("generations.csv has no generation with a best and a median")
    return known


def by_state(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of generations in pieces that were measured on one supernet state each, in order."""
    return [piece for _, piece in rows.groupby((rows["state"].diff() != 0).cumsum())]


def state_changes(rows: pd.DataFrame) -> list[float]:
    """Where the supernet's state changes, between two generations."""
    return [
        (before["generation"].iloc[-1] + after["generation"].iloc[0]) / 2 for before, after in pairwise(by_state(rows))
    ]
