"""Plots of a search with several objectives: the front of each generation, and the hypervolume on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analysis.figures import BLACK, BLUE, COLUMN, GREY, VERMILION, figure, shortened, styled
from analysis.runs import Run
from analysis.schema import read_checked
from problems.fronts import non_dominated

SHOWN = 6  # generations that are drawn, evenly spread: more lie on each other
LABELS = {
    "error": "error (%)",
    "loss": "loss (nats)",
    "params": "parameters",
    "flops": "multiply-adds",
    "latency_ms": "latency (ms)",
}


@styled
def front_figure(
    fronts: Sequence[tuple[int, np.ndarray]],
    final: np.ndarray,
    objectives: Sequence[str],
    true: np.ndarray | None = None,
) -> Figure:
    """The non-dominated of each generation by two objectives, and the final front.

    fronts: (generation, values (n, k)), each on its own supernet state. final and true: (n, k). Of the k objectives the
    first is the vertical axis and the second the horizontal one; of more than two, no line joins the points, which
    are non-dominated in all of them. Later generations are darker.
    """
    joined = "-" if len(objectives) == 2 else "none"
    made = figure(COLUMN, 3.2)
    axes = made.subplots()
    places = np.unique(np.linspace(0, len(fronts) - 1, min(SHOWN, len(fronts))).round().astype(int))
    for place in places:
        generation, values = fronts[place]
        colour = colormaps["cividis_r"](0.1 + 0.8 * place / max(1, len(fronts) - 1))
        order = np.argsort(values[:, 1], kind="stable")
        axes.plot(
            values[order, 1],
            values[order, 0],
            color=colour,
            marker=".",
            linestyle=joined,
            linewidth=0.8,
            label=f"generation {generation}",
        )
    if true is not None and len(objectives) > 2:
        axes.scatter(true[:, 1], true[:, 0], s=6, marker="x", color=GREY, label="true front of the table")
    elif true is not None:
        order = np.argsort(true[:, 1], kind="stable")
        axes.step(
            true[order, 1], true[order, 0], where="post", color=GREY, linestyle="--", label="true front of the table"
        )
    if len(final):
        axes.scatter(
            final[:, 1],
            final[:, 0],
            s=14,
            marker="^",
            color=VERMILION,
            edgecolors=BLACK,
            linewidths=0.4,
            zorder=3,
            label="final",
        )
    axes.set_xlabel(objective_label(objectives[1]))
    axes.set_ylabel(objective_label(objectives[0]))
    _abbreviate(axes.xaxis, objectives[1])
    _abbreviate(axes.yaxis, objectives[0])
    title = None if len(objectives) == 2 else f"non-dominated in {len(objectives)} objectives, two of them shown"
    made.legend(loc="outside lower center", ncols=3, columnspacing=1.0, title=title)
    return made


@styled
def hypervolume_figure(evaluations: Sequence[int], volumes: Sequence[float], best: float | None = None) -> Figure:
    """Hypervolume by evaluations, as a share of the box that the space fixes, and that of the true front."""
    made = figure(COLUMN, 2.4)
    axes = made.subplots()
    axes.plot(
        evaluations, volumes, color=BLUE, marker="o", markersize=2.5, label="of each generation, on its own state"
    )
    if best is not None:
        axes.axhline(best, color=GREY, linestyle="--", label="true front of the table")
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume (share of box)")
    made.legend(loc="outside lower center", ncols=2, columnspacing=1.0)
    return made


def front_figures(run: Run) -> dict[str, Figure]:
    """`front` and `hypervolume` of a run with several objectives, as far as it came; empty for others.

    Raises AnalysisError where RUN/true_front.csv is there and damaged.
    """
    if len(run.objectives) < 2:
        return {}
    values = _values(run, run.history)
    searched = (run.history["origin"] != "final").to_numpy() & np.isfinite(values).all(axis=1)
    fronts = []
    for generation in np.unique(run.history["generation"][searched]):
        found = values[searched & (run.history["generation"] == generation).to_numpy()]
        fronts.append((int(generation), found[non_dominated(found)]))
    if not fronts:
        return {}
    final = _values(run, run.pareto)
    figures = {"front": front_figure(fronts, final[np.isfinite(final).all(axis=1)], run.objectives, true_front(run))}
    both = hypervolumes(run)
    if len(both):
        whole = run.figure("front", "true_hypervolume")
        best = whole if np.isfinite(whole) else None
        figures["hypervolume"] = hypervolume_figure(list(both["evaluations"]), list(both["volume"]), best)
    return figures


def hypervolumes(run: Run) -> pd.DataFrame:
    """Evaluations after each generation and its hypervolume, columns `evaluations` and `volume`, by generation."""
    rows = run.generations.reindex(columns=["generation", "hypervolume"]).drop_duplicates("generation", keep="last")
    volumes = rows.set_index("generation")["hypervolume"].dropna().rename("volume")
    return spent(run.history).rename("evaluations").to_frame().join(volumes, how="inner")


def spent(history: pd.DataFrame) -> pd.Series[int]:
    """Evaluations after each generation: networks not measured before on their state, by columns of history.csv."""
    searched = history[history["origin"] != "final"]
    first = searched.drop_duplicates(["state", "canonical"])
    counts = first.groupby("generation").size().reindex(sorted(searched["generation"].unique()), fill_value=0)
    return counts.cumsum()


def objective_label(name: str) -> str:
    """An objective with its unit, as an axis has it."""
    return LABELS.get(name, shortened(name, 40))


def _values(run: Run, rows: pd.DataFrame) -> np.ndarray:
    """The objectives of rows, (n, k); nan for what is no number."""
    numbers = rows.reindex(columns=list(run.objectives)).apply(pd.to_numeric, errors="coerce")
    return np.asarray(numbers, dtype=float)


def true_front(run: Run) -> np.ndarray | None:
    """RUN/true_front.csv, (n, k); None where there is none."""
    path = run.path / "true_front.csv"
    if not path.is_file():
        return None
    kinds = dict.fromkeys(run.objectives, (float, "a number"))
    return read_checked(path, kinds, rows="one for each network of the true front").to_numpy(float)


def _abbreviate(axis: Axis, objective: str) -> None:
    """Counts as 500k and 2M."""
    if objective in ("params", "flops"):
        axis.set_major_formatter(EngFormatter(sep=""))
