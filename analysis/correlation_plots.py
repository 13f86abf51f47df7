"""Plots of scores against the truth, and of their rank correlation from state to state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures import BLACK, BLUE, GREEN, GREY, VERMILION, figure, save
from analysis.ranking import LARGE, REGIONS, ranking, top
from evonas.errors import AnalysisError

LineStyle = str | tuple[int, tuple[int, ...]]
TITLES = {"global": "all networks", "top10": "true top 10 %", "top5": "true top 5 %"}
# Colours and line styles: first of the scorers that change with the state, with their markers, then of the others.
LINES = {"supernet loss": (BLUE, "-", "o"), "supernet error": (VERMILION, "-.", "s")}
OTHER: tuple[str, LineStyle] = (GREY, (0, (5, 1, 1, 1, 1, 1)))  # scorers from elsewhere
LEVELS: dict[str, tuple[str, LineStyle]] = {"ceiling": (BLACK, "-"), "flops": (GREEN, "--"), "params": (GREY, ":")}


def plot_scatter(
    path: Path,
    scores: np.ndarray,
    truth: np.ndarray,
    *,
    score_label: str,
    truth_label: str = "test accuracy (%)",
    title: str = "",
) -> None:
    """Scores against truth, both (n,) and higher is better, the true top 10 % marked; SVG or PNG by the suffix.

    Raises AnalysisError for another suffix, and where no network has a finite score and truth.
    """
    finite = np.isfinite(scores) & np.isfinite(truth)
    scores, truth = scores[finite], truth[finite]
    if not len(truth):
        raise AnalysisError(f"nothing to draw in {path}: no network has a finite score and a finite truth")
    made = figure(5.5, 4.5)
    axes = made.subplots()
    best = top(truth, 10)
    groups: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("others", ~best, {"c": GREY, "marker": "o", "s": 8, "alpha": 0.4}),
        ("true top 10 %", best, {"c": VERMILION, "marker": "^", "s": 18, "edgecolors": BLACK, "linewidths": 0.3}),
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
    made.legend(loc="outside lower center", ncols=2, fontsize="small")
    save(made, path)


def plot_states(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Kendall's tau by supernet state, one panel a region, from the rows of `correlation.rows`; SVG or PNG.

    Bands are the 95 % intervals. What no state changes (ceiling, flops, params) is a horizontal line with its band.
    """
    frame = pd.DataFrame(list(rows))
    made = figure(4.0 * len(REGIONS), 3.8)
    panels = made.subplots(1, len(REGIONS), sharey=True, squeeze=False)[0]
    for region, axes in zip(REGIONS, panels, strict=True):
        of_region = frame[frame["region"] == region]
        for scorer, of_scorer in of_region.groupby("scorer", sort=False):
            _draw(axes, str(scorer), of_scorer.astype({"state": float}))
        axes.set_title(TITLES[region])
        axes.set_xlabel("supernet state")
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("Kendall's τ against the truth")
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5), fontsize="small")
    save(made, path)


def _draw(axes: Axes, scorer: str, rows: pd.DataFrame) -> None:
    """One scorer of one region: a line over the states, or a level."""
    rows = rows.sort_values("state")
    if scorer not in LINES:
        colour, style = LEVELS.get(scorer, OTHER)
        tau, low, high = (float(rows[name].iloc[0]) for name in ("kendall", "kendall_low", "kendall_high"))
        axes.axhline(tau, color=colour, linestyle=style, label=scorer, zorder=1.5 if scorer == "ceiling" else 2)
        axes.axhspan(low, high, color=colour, alpha=0.1, linewidth=0)
        return
    colour, style, marker = LINES[scorer]
    axes.plot(
        rows["state"],
        rows["kendall"],
        color=colour,
        linestyle=style,
        marker=marker,
        markersize=4,
        markerfacecolor="white",
        label=scorer,
    )
    axes.fill_between(rows["state"], rows["kendall_low"], rows["kendall_high"], color=colour, alpha=0.2, linewidth=0)
