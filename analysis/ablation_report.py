"""The comparison of a grid's arms as files: CSV, Markdown and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.ablation import SEED_OF_ONE, SUPERNET, compare, units
from analysis.figures import BLACK, BLUE, GREY, figure, save
from analysis.paired import SMALLEST, mean_interval


def markdown(table: pd.DataFrame, metric: str) -> str:
    """The rows of `compare` for people: the statistics, then each supernet's mean difference, where it has several."""
    reference, unit, n = (table[name].iloc[0] for name in ("arm", "unit", "units"))
    lines = [f"# {metric}: arms against {reference}", "", _basis(str(unit), int(n), int(table["runs"].iloc[0])), ""]
    head = (
        "arm",
        "runs",
        "median",
        "mean [95 %]",
        "median difference",
        "mean difference [95 %]",
        "p",
        "p Holm",
        "effect",
    )
    cells = [
        [
            str(row["arm"]),
            str(row["runs"]),
            _number(row["median"]),
            _with_interval(row, "mean"),
            _number(row["median_difference"]),
            _with_interval(row, "mean_difference"),
            _number(row["p"], 4),
            _number(row["p_holm"], 4),
            _number(row["effect"], 2),
        ]
        for _, row in table.iterrows()
    ]
    lines += _table(head, cells)
    supernets = [name for name in map(str, table.columns) if name.startswith("difference_supernet_")]
    if supernets:
        lines += ["", "Mean paired difference by supernet:", ""]
        names = [name.removeprefix("difference_").replace("_", " ") for name in supernets]
        shown = [[str(row["arm"]), *(_number(row[name]) for name in supernets)] for _, row in table.iloc[1:].iterrows()]
        lines += _table(["arm", *names], shown)
    return "\n".join([*lines, ""])


def plot_ablation(path: Path, grid: pd.DataFrame, metric: str, reference: str, *, label: str | None = None) -> None:
    """Paired differences by arm: a point a unit, their mean with its 95 % interval; SVG or PNG by the suffix.

    label: of the axis, with the unit of the metric. Raises AnalysisError as `units` does, and for another suffix.
    """
    import seaborn as sns  # here, since it imports pyplot, whose state is the user's

    paired = units(grid, metric, reference)
    differences = pd.DataFrame({arm: paired.differences(arm) for arm in paired.arms[1:]})
    made = figure(6.0, 1.4 + 0.45 * differences.shape[1])
    axes = made.subplots()
    axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
    sns.stripplot(differences, orient="y", jitter=False, size=6, color=BLUE, alpha=0.5, ax=axes)
    sns.pointplot(
        differences,
        orient="y",
        errorbar=lambda values: mean_interval(values.to_numpy()),
        linestyle="none",
        color=BLACK,
        marker="D",
        markersize=5,
        capsize=0.2,
        err_kws={"linewidth": 1.5},
        ax=axes,
    )
    axes.set_xlabel(f"{label or metric}: difference from {reference}")
    shown = {paired.name: axes.collections[0], "mean, 95 % interval": axes.lines[1]}
    made.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, fontsize="small")
    save(made, path)


def write_ablation(
    folder: Path,
    grid: pd.DataFrame,
    metric: str,
    reference: str,
    *,
    higher_is_better: bool = False,
    label: str | None = None,
) -> pd.DataFrame:
    """Write ablation.csv, .md, .svg and .png into a folder, made where it is not there; the table of `compare`."""
    table = compare(grid, metric, reference, higher_is_better=higher_is_better)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "ablation.csv", index=False)
    (folder / "ablation.md").write_text(markdown(table, label or metric), encoding="utf-8")
    for suffix in ("svg", "png"):
        plot_ablation(folder / f"ablation.{suffix}", grid, metric, reference, label=label)
    return table


def _basis(unit: str, n: int, runs: int) -> str:
    """What the figures rest on, in a few sentences."""
    counted = "supernets" if unit == SUPERNET else "seeds"
    text = f"Medians, means and differences (arm less reference) are over {n} {counted}"
    text += f", each the mean of its seeds ({runs} runs an arm)." if unit == SUPERNET else "."
    text += " An effect above zero favours the arm."
    if unit == SEED_OF_ONE:
        return f"{text} No p values: all seeds share one supernet, and say nothing of another one."
    if n < SMALLEST:
        text += f" No p values: the signed-rank test cannot be below 0.05 with fewer than {SMALLEST} {unit}s."
    return text


def _with_interval(row: pd.Series[Any], name: str) -> str:
    value, low, high = (_number(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]" if low else value


def _number(value: float, decimals: int = 3) -> str:
    return "" if np.isnan(value) else f"{value:.{decimals}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, numbers right-aligned."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
