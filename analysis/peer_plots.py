"""The comparison with published methods as plots: error against what the search cost, and against size."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.figures import BLACK, BLUE, COLUMN, GREEN, GREY, SMALL, VERMILION, figure, shortened, styled
from analysis.labels import place_labels
from analysis.peers import CATEGORIES, DATASETS, load_peers
from analysis.runs import RunGroup
from analysis.tables import comparison
from problems.fronts import non_dominated


class Cost(NamedTuple):
    """A horizontal axis: its column of a comparison, its label, and what it shows in a word."""

    column: str
    label: str
    word: str


COSTS = {
    "gpu-days": Cost("gpu_days", "GPU-days, as printed, on different hardware", "GPU-days"),
    "params": Cost("params_m", "parameters (millions)", "parameters"),
}
# By group of a comparison: name, marker, colour and size. The markers tell the groups apart where the colours do not.
LOOKS = {
    "hand-crafted": ("hand-crafted", "s", GREY, 11),
    "semi-automatic": ("semi-automatic", "o", BLUE, 11),
    "automatic": ("automatic", "^", GREEN, 14),
    "target": ("target paper", "*", VERMILION, 60),
    "evonas": ("evonas", "D", VERMILION, 16),
}
TICKS = ((1.0, (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)), (2.5, (1, 2, 5)), (math.inf, (1,)))  # for up to so many decades
DETAIL = re.compile(r"( \([^()]*\)| \+ cutout)+$")  # of a name, that a label has no room for
WRAP = 68  # letters of a line of the caption
LABEL = 28  # letters, at most


@styled
def error_figure(dataset: str, cost: str, groups: Sequence[RunGroup] = (), peers: pd.DataFrame | None = None) -> Figure:
    """Test error against `cost`, on logarithmic axes, with the Pareto front of the comparison set.

    dataset: cifar10 or cifar100. cost: gpu-days or params. groups and peers: as for `tables.comparison`. Methods
    without the figure are left out; the target paper and runs without it are a line at their error. Rows that are not
    in the set are dots without a name. Raises AnalysisError for another data set.
    """
    known = load_peers() if peers is None else peers
    axis = COSTS[cost]
    table = comparison(dataset, groups, known)
    others = known[(known["dataset"] == dataset) & ~known["in_comparison"] & known["verified"]]
    xy = [axis.column, "error_pct"]
    placed, unplaced = table[table[axis.column].notna()], table[table[axis.column].isna()]
    of_set = placed[placed["group"].isin(CATEGORIES)]
    made = figure(COLUMN, 4.4)
    axes = made.subplots()
    _scale(axes.xaxis, pd.concat([placed, others])[axis.column])
    _scale(axes.yaxis, pd.concat([table, others])["error_pct"])
    _draw_points(axes, placed, axis)
    axes.scatter(others[axis.column], others["error_pct"], s=4, color=GREY, linewidths=0, label="not in the set")
    lines = [_draw_front(axes, of_set[xy].to_numpy(float))] if len(of_set) else []
    lines += [_draw_level(axes, row, axis) for _, row in unplaced.iterrows() if row["group"] not in CATEGORIES]
    axes.set_xlabel(axis.label)
    axes.set_ylabel(f"test error on {DATASETS[dataset]} (%)")
    made.suptitle(_caption(known, len(of_set), dataset, axis), x=0.01, ha="left", fontsize=SMALL)
    entries = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each once
    made.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=2)
    radii = np.sqrt([LOOKS[group][-1] for group in placed["group"]]) / 2
    dots = list(others[xy].dropna().to_numpy(float)[:, None])
    named = place_labels(axes, placed[xy].to_numpy(float), _labels(placed), radii, avoid=[*lines, *dots])
    if len(named) < len(placed):
        axes.set_xlabel(f"{axis.label} ({len(placed) - len(named)} without room for a name)")
    return made


def _caption(peers: pd.DataFrame, shown: int, dataset: str, cost: Cost) -> str:
    size = peers.loc[peers["in_comparison"], "key"].nunique()
    text = (
        f"Of the {size} methods of the comparison set, the {shown} with known {cost.word} and error on "
        f"{DATASETS[dataset]}. The set is a reconstruction in the style of the target paper, whose own choice could "
        "not be read."
    )
    return textwrap.fill(text, WRAP)


def _scale(axis: Axis, values: pd.Series[float]) -> None:
    """A logarithmic axis around the values, with plain numbers; a linear one where a value is 0, or none is known."""
    values = values.dropna()
    if values.empty or values.min() <= 0:
        return
    low, high = math.log10(values.min()), math.log10(values.max())
    margin = 0.05 * (high - low) + 0.02
    axes = axis.axes
    limits = 10 ** (low - margin), 10 ** (high + margin)
    if axis is axes.xaxis:
        axes.set_xscale("log")
        axes.set_xlim(limits)
    else:
        axes.set_yscale("log")
        axes.set_ylim(limits)
    ticks = next(ticks for decades, ticks in TICKS if high - low <= decades)
    axis.set_major_locator(LogLocator(subs=ticks, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def _draw_points(axes: Axes, rows: pd.DataFrame, cost: Cost) -> None:
    """A marker a row, by group, hollow for reduced runs; and the deviation over seeds."""
    for group, (name, marker, colour, size) in LOOKS.items():
        for reduced in (False, True):
            chosen = rows[(rows["group"] == group) & ((rows["reduced"] != "") == reduced)]
            if chosen.empty:
                continue
            axes.scatter(
                chosen[cost.column],
                chosen["error_pct"],
                s=size,
                marker=marker,
                facecolors="white" if reduced else colour,
                edgecolors=colour if reduced else BLACK,
                linewidths=0.8 if reduced else 0.4,
                zorder=3,
                label=f"{name}, reduced run" if reduced else name,
            )
    ours = rows[rows["group"] == "evonas"]
    axes.errorbar(ours[cost.column], ours["error_pct"], ours["error_std"], fmt="none", ecolor=BLACK, elinewidth=0.6)


def _draw_front(axes: Axes, values: np.ndarray) -> np.ndarray:
    """Draw the non-dominated of (n, 2) values, as the border of what they dominate; its corners, (m, 2)."""
    x, y = np.unique(values[non_dominated(values)], axis=0).T
    corners = np.column_stack([np.append(x.repeat(2)[1:], axes.get_xlim()[1]), y.repeat(2)])
    axes.plot(*corners.T, color=BLACK, linestyle="--", linewidth=0.7, zorder=2, label="Pareto front of the set")
    return corners


def _draw_level(axes: Axes, row: pd.Series[float], cost: Cost) -> np.ndarray:
    """Draw a result without a place on the horizontal axis as a line at its error, (2, 2)."""
    name, _, colour, _ = LOOKS[str(row["group"])]
    label = f"{name} ({cost.word} not known)"
    axes.axhline(row["error_pct"], color=colour, linestyle="-.", linewidth=0.8, label=label)
    return np.array([[limit, row["error_pct"]] for limit in axes.get_xlim()])


def _labels(rows: pd.DataFrame) -> list[str]:
    """Names short enough for a plot, whole where two would be one."""
    whole = rows["name"]
    short = whole.str.replace(DETAIL, "", regex=True).where(rows["group"].isin(CATEGORIES), whole)
    short = short.mask(rows["group"] == "target", "target paper").where(~short.duplicated(keep=False), whole)
    return [shortened(name, LABEL) for name in short]
