"""Plots of a search with several objectives: the front of each generation, and the hypervolume on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps

from analysis.figures import BLACK, BLUE, GREY, VERMILION, figure, save

SHOWN = 6  # generations that are drawn, evenly spread: more lie on each other
LABELS = {
    "error": "error (%)",
    "loss": "loss (nats)",
    "params": "parameters",
    "flops": "multiply-adds",
    "latency_ms": "latency (ms)",
}


def plot_fronts(
    path: Path,
    fronts: Sequence[tuple[int, np.ndarray]],
    final: np.ndarray,
    objectives: Sequence[str],
    true: np.ndarray | None = None,
) -> None:
    """The non-dominated of each generation by two objectives, and the final front; SVG or PNG by the suffix.

    fronts: (generation, values (n, k)), each on its own supernet state. final and true: (n, k). Of the k objectives the
    first is the vertical axis and the second the horizontal one. Later generations are darker.
    """
    made = figure(5.5, 4.5)
    axes = made.subplots()
    places = np.unique(np.linspace(0, len(fronts) - 1, SHOWN).round().astype(int))
    for place in places:
        generation, values = fronts[place]
        colour = colormaps["cividis_r"](0.1 + 0.8 * place / max(1, len(fronts) - 1))
        order = np.argsort(values[:, 1], kind="stable")
        axes.plot(
            values[order, 1],
            values[order, 0],
            color=colour,
            marker=".",
            linewidth=0.8,
            label=f"generation {generation}",
        )
    if true is not None:
        order = np.argsort(true[:, 1], kind="stable")
        axes.step(
            true[order, 1], true[order, 0], where="post", color=GREY, linestyle="--", label="true front of the table"
        )
    axes.scatter(
        final[:, 1], final[:, 0], marker="^", color=VERMILION, edgecolors=BLACK, linewidths=0.4, zorder=3, label="final"
    )
    axes.set_xlabel(LABELS.get(objectives[1], objectives[1]))
    axes.set_ylabel(LABELS.get(objectives[0], objectives[0]))
    made.legend(loc="outside lower center", ncols=3, fontsize="small")
    save(made, path)


def plot_hypervolume(
    path: Path, evaluations: Sequence[int], volumes: Sequence[float], best: float | None = None
) -> None:
    """Hypervolume by evaluations, and that of the true front where it is known; SVG or PNG by the suffix."""
    made = figure(5.5, 3.8)
    axes = made.subplots()
    axes.plot(evaluations, volumes, color=BLUE, marker="o", markersize=3, label="of each generation, on its own state")
    if best is not None:
        axes.axhline(best, color=GREY, linestyle="--", label="true front of the table")
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume (share of the space's box)")
    made.legend(loc="outside lower center", ncols=2, fontsize="small")
    save(made, path)


def spent(history: pd.DataFrame) -> list[int]:
    """Evaluations after each generation: networks not measured before on their state, by columns of history.csv."""
    searched = history[history["origin"] != "final"]
    first = searched.drop_duplicates(["state", "canonical"])
    counts = first.groupby("generation").size().reindex(sorted(searched["generation"].unique()), fill_value=0)
    return [int(count) for count in counts.cumsum()]
