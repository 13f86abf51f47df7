"""How a search came to its result: the best and the median of each generation, and where the supernet changed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
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
    rows = run.generations.drop_duplicates("generation", keep="last").sort_values("generation")
    rows = rows[np.isfinite(rows[["best", "median"]].to_numpy(float)).all(axis=1)]
    if rows.empty:
        raise AnalysisError("generations.csv has no generation with a best and a median")
    made = figure(COLUMN, 2.5)
    axes = made.subplots()
    for name, colour, marker in (("median", VERMILION, "s"), ("best", BLUE, "o")):
        for number, (_, on_state) in enumerate(rows.groupby((rows["state"].diff() != 0).cumsum())):
            axes.plot(
                on_state["generation"],
                on_state[name],
                color=colour,
                marker=marker,
                markersize=2.5,
                markerfacecolor="white" if name == "median" else colour,
                label=name if number == 0 else None,
            )
    known = list(zip(rows["generation"], rows["state"], strict=True))
    changes = [(before + after) / 2 for (before, old), (after, new) in pairwise(known) if old != new]
    for number, place in enumerate(changes):
        label = "supernet state changes" if number == 0 else None
        height = 1 if len(changes) <= MANY else 0.04
        axes.axvline(place, ymax=height, color=GREY, linestyle=":", linewidth=0.6, zorder=0, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("generation")
    axes.set_ylabel(objective_label(run.objectives[0]) if run.objectives else "first objective")
    made.legend(loc="outside lower center", ncols=3, columnspacing=1.0)
    return made
