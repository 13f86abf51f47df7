"""Plots of scores against the truth, and of what fine-tuning does to their rank correlation from state to state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures import BLACK, BLUE, COLUMN, GREEN, GREY, VERMILION, figure, shortened, styled
from analysis.ranking import LARGE, REGIONS, ranking, top
from evonas.errors import AnalysisError

LineStyle = str | tuple[int, tuple[int, ...]]
TITLES = {"global": "all networks", "top10": "true top 10 %", "top5": "true top 5 %"}
# Colours and line styles: first of the scorers that change with the state, with their markers, then of the others.
LINES = {"supernet loss": (BLUE, "-", "o"), "supernet error": (VERMILION, "-.", "s")}
OTHER: tuple[str, LineStyle] = (GREY, (0, (5, 1, 1, 1, 1, 1)))  # scorers from elsewhere
PROBES = {  # groups of an audit, with their colours and markers
    "uniform": ("sample of the space", BLUE, "o"),
    "population": ("members of the population", VERMILION, "s"),
    "all": ("all audited networks", BLACK, "^"),
}
LEVELS: dict[str, tuple[str, LineStyle]] = {"ceiling": (BLACK, "-"), "flops": (GREEN, "--"), "params": (GREY, ":")}


@styled
def scatter_figure(
    scores: np.ndarray,
    truth: np.ndarray,
    *,
    score_label: str,
    truth_label: str = "test accuracy (%)",
    title: str = "",
) -> Figure:
    """Scores against truth, both (n,) and higher is better, the true top 10 % marked.

    Raises AnalysisError where no network has a finite score and truth.
    """
    finite = np.isfinite(scores) & np.isfinite(truth)
    scores, truth = scores[finite], truth[finite]
    if not len(truth):
        raise AnalysisError("nothing to draw: no network has a finite score and a finite truth")
    made = figure(COLUMN, 3.0)
    axes = made.subplots()
    best = top(truth, 10)
    groups: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("others", ~best, {"c": GREY, "marker": "o", "s": 5, "alpha": 0.4}),
        ("true top 10 %", best, {"c": VERMILION, "marker": "^", "s": 12, "edgecolors": BLACK, "linewidths": 0.3}),
    )
    for name, members, look in groups:
        whole = ranking(scores[members], truth[members])
        axes.scatter(
            scores[members],
            truth[members],
            label=f"{name}: τ = {whole.kendall:.3f}, n = {whole.n:,}",
            rasterized=len(truth) > LARGE,  # thousands of vector markers make a page that few programs open
            **look,
        )
    whole = ranking(scores, truth)
    axes.set_title(f"{title}{': ' if title else ''}τ = {whole.kendall:.3f}, n = {whole.n:,}")
    axes.set_xlabel(score_label)
    axes.set_ylabel(truth_label)
    made.legend(loc="outside lower center", ncols=2, columnspacing=1.0)
    return made


@styled
def states_figure(rows: Sequence[Mapping[str, object]]) -> Figure:
    """Kendall's tau by supernet state, one panel a region of REGIONS, from the rows of `correlation.rows`.

    Bands are the 95 % intervals. What no state changes (ceiling, flops, params) is a horizontal line with its band.
    Raises AnalysisError where no row is of such a region.
    """
    frame = pd.DataFrame(list(rows))
    if not frame["region"].isin(REGIONS).any():
        raise AnalysisError(f"nothing to draw: no row is of the region {', '.join(REGIONS)}")
    made = figure(COLUMN, 4.6)
    panels = made.subplots(len(REGIONS), 1, sharex=True, sharey=True)
    for region, axes in zip(REGIONS, panels, strict=True):
        of_region = frame[frame["region"] == region]
        for scorer, of_scorer in of_region.groupby("scorer", sort=False):
            _draw(axes, str(scorer), of_scorer.astype({"state": float}))
        axes.set_title(TITLES[region])
    panels[-1].set_xlabel("supernet state")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[1].set_ylabel("Kendall's τ against the truth")
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=2)
    return made


@styled
def drift_figure(rows: Sequence[Mapping[str, object]]) -> Figure:
    """What each fine-tuning phase changed of the loss (median), and of the ranking by it (Kendall's tau).

    rows: as `between_states` gives them. Raises AnalysisError where none of them is of the loss.
    """
    frame = pd.DataFrame(list(rows), columns=["state", "scorer", "probe", "drift", "self_consistency"])
    frame = frame[(frame["scorer"] == "supernet loss") & frame["probe"].isin(PROBES)]
    if (frame["probe"] != "all").any():
        frame = frame[frame["probe"] != "all"]
    if frame.empty:
        raise AnalysisError("nothing to draw: no pair of states has losses of the same networks")
    made = figure(COLUMN, 3.6)
    panels = made.subplots(2, 1, sharex=True)
    labels = {"drift": "change of loss (nats)", "self_consistency": "τ with the state before"}
    for axes, (column, label) in zip(panels, labels.items(), strict=True):
        for probe, (name, colour, marker) in PROBES.items():
            chosen = frame[frame["probe"] == probe].sort_values("state")
            if len(chosen):
                axes.plot(
                    chosen["state"], chosen[column], color=colour, marker=marker, markerfacecolor="white", label=name
                )
        axes.set_ylabel(label)
    panels[0].axhline(0, color=GREY, linestyle=":", linewidth=0.6)
    panels[1].set_xlabel("supernet state")
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    made.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return made


def _draw(axes: Axes, scorer: str, rows: pd.DataFrame) -> None:
    """One scorer of one region: a line over the states, or a level."""
    rows = rows.sort_values("state")
    if scorer not in LINES:
        colour, style = LEVELS.get(scorer, OTHER)
        tau, low, high = (float(rows[name].iloc[0]) for name in ("kendall", "kendall_low", "kendall_high"))
        label = shortened(scorer, 30)
        axes.axhline(tau, color=colour, linestyle=style, label=label, zorder=1.5 if scorer == "ceiling" else 2)
        axes.axhspan(low, high, color=colour, alpha=0.1, linewidth=0)
        return
    colour, style, marker = LINES[scorer]
    axes.plot(
        rows["state"],
        rows["kendall"],
        color=colour,
        linestyle=style,
        marker=marker,
        markersize=3,
        markerfacecolor="white",
        label=scorer,
    )
    axes.fill_between(rows["state"], rows["kendall_low"], rows["kendall_high"], color=colour, alpha=0.2, linewidth=0)
