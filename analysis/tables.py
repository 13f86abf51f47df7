"""The comparison with published methods as data frames: one a data set, and what is beaten of it.

The comparison set is a reconstruction (see analysis.peers); figures of different papers come from different hardware
and training recipes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.peers import CATEGORIES, DATASETS, load_peers, load_target
from analysis.runs import RunGroup
from evonas.errors import AnalysisError, nearest

GROUPS = (*CATEGORIES, "target", "evonas")  # of the rows of a comparison, in this order
COLUMNS = (
    "group",
    "key",
    "name",
    "error_pct",
    "error_std",
    "seeds",
    "params_m",
    "gpu_days",
    "search_method",
    "cutout",
    "hardware",
    "reduced",
    "source_key",
    "source",
    "source_url",
    "note",
    "also_printed",
    "verified",
    "origin",
)


def comparison(dataset: str, groups: Sequence[RunGroup] = (), peers: pd.DataFrame | None = None) -> pd.DataFrame:
    """The comparison set on one data set, then the target paper, then one row a group of runs that has a test error.

    dataset: cifar10 or cifar100. groups: as `read_runs` gives them; those that `left_out` names have no row. peers: as
    `load_peers` gives them, None for the shipped ones; within a category by error, highest first.
    Columns: group (of GROUPS), key, name, error_pct and error_std (percent; of runs the mean and the deviation over
    seeds, n - 1), seeds (number of runs, 0 for published rows), params_m (millions), gpu_days of the search,
    search_method, cutout, hardware (of runs), reduced (why a run does not compare with published ones, see
    Run.reductions; empty where it does), source_key (a number from 1 in the order of the rows), source, source_url,
    note, also_printed, verified and origin (see `load_peers`). Raises AnalysisError for another data set.
    """
    if dataset not in DATASETS:
        raise AnalysisError(f"no published results on {dataset!r}{nearest(dataset, DATASETS)}")
    known = load_peers() if peers is None else peers
    chosen = known[known["in_comparison"] & (known["dataset"] == dataset)]
    chosen = chosen.sort_values(["error_pct", "key"], ascending=[False, True])
    chosen = pd.concat([chosen[chosen["category"] == category] for category in CATEGORIES])
    target = load_target()
    published = pd.concat(
        [chosen.assign(group=chosen["category"]), target[target["dataset"] == dataset].assign(group="target")]
    ).assign(seeds=0, hardware="", reduced="")
    runs = pd.DataFrame(
        [_row(group) for group in groups if group.dataset == dataset and group.finished and _reason(group) is None]
    )
    rows = published if runs.empty else pd.concat([published, runs])
    numbers = source_keys(rows)
    keys = [numbers[source] for source in zip(rows["source"], rows["source_url"], strict=True)]
    found: pd.DataFrame = rows.assign(source_key=keys)[list(COLUMNS)].reset_index(drop=True)
    return found


def summary(groups: Sequence[RunGroup] = (), peers: pd.DataFrame | None = None) -> pd.DataFrame:
    """How many methods of the comparison set are beaten, by the target paper and by each group of runs.

    One row a data set and result. Columns: dataset, group, name, error_pct (percent), gpu_days, reduced and note; then,
    over the methods of the set that have the figure: error_n, error_beaten (theirs is higher) and error_equal; cost_n,
    cost_beaten (theirs takes more GPU-days) and cost_equal; dominated (no better in either and worse in one, of the
    cost_n); and better_inside and better_outside of the set: those with a lower error, as text. The GPU-days of reduced
    runs compare with no others: their cost_n is 0.
    """
    known = load_peers() if peers is None else peers
    lower = lower_errors(groups, known)
    rows = []
    for dataset in DATASETS:
        table = comparison(dataset, groups, known)
        published = table["group"].isin(CATEGORIES)
        for _, result in table[~published].iterrows():
            better = lower[(lower["dataset"] == dataset) & (lower["than"] == result["name"])]
            rows.append(
                {
                    "dataset": dataset,
                    **{name: result[name] for name in ("group", "name", "error_pct", "gpu_days", "reduced", "note")},
                    **_beaten(result, table[published]),
                    "better_inside": names(better[better["in_comparison"]]),
                    "better_outside": names(better[~better["in_comparison"]]),
                }
            )
    return pd.DataFrame(rows)


def lower_errors(groups: Sequence[RunGroup] = (), peers: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every published row with a lower error than the target paper or a group of runs, in the comparison set or not.

    The columns of `load_peers`, and `than`: the name of the result whose error is higher; lowest error first.
    """
    known = load_peers() if peers is None else peers
    found = []
    for dataset in DATASETS:
        table = comparison(dataset, groups, known)
        rows = known[known["dataset"] == dataset].sort_values(["error_pct", "key"])
        for _, result in table[~table["group"].isin(CATEGORIES)].iterrows():
            found.append(rows[rows["error_pct"] < result["error_pct"]].assign(than=result["name"]))
    lower: pd.DataFrame = pd.concat(found, ignore_index=True)
    return lower


def source_keys(rows: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Numbers from 1 for the sources of rows, by text and address, in the order of the rows."""
    distinct = dict.fromkeys(zip(rows["source"], rows["source_url"], strict=True))
    return {source: number for number, source in enumerate(distinct, start=1)}


def names(rows: pd.DataFrame, keys: Mapping[tuple[str, str], int] | None = None) -> str:
    """Published rows in a line: names, errors, and which of them were read in no document.

    keys: numbers of the sources, by their text and address, to be put behind.
    """
    return ", ".join(
        f"{row['name']} {row['error_pct']:.2f}"
        + ("" if row["verified"] else " (unverified)")
        + ("" if keys is None else f" [{keys[row['source'], row['source_url']]}]")
        for _, row in rows.iterrows()
    )


def left_out(groups: Sequence[RunGroup]) -> list[str]:
    """One line for each run and group of runs that is not in the comparison, with the reason."""
    lines = []
    for group in groups:
        lines += [f"{run.path}: {', '.join(run.problems)}" for run in group.runs if not run.finished]
        reason = _reason(group)
        if reason is not None:
            lines.append(f"{group.label}: {reason}")
    return lines


def _reason(group: RunGroup) -> str | None:
    """Why the finished runs of a group do not belong in a comparison; None where they do, or none is finished."""
    if not group.finished:
        return None
    if group.runs[0].table:
        return f"searched the table {group.runs[0].table}, and trained no network"
    if group.dataset not in DATASETS:
        return (
            f"ran on {group.dataset or 'an unknown data set'}; published results are on {', '.join(DATASETS.values())}"
        )
    if not group.figure("best", "test_error").n:
        return "has no test error: its network was not retrained, or result.json is damaged"
    return None


def _row(group: RunGroup) -> dict[str, object]:
    """A group of runs as a row of `comparison`."""
    error = group.figure("best", "test_error")
    tested = [run for run in group.finished if math.isfinite(run.figure("best", "test_error"))]
    unfair = list(dict.fromkeys(reason for run in tested for reason in run.unfair))
    return {
        "group": "evonas",
        "name": group.label,
        "error_pct": error.mean,
        "error_std": error.std,
        "seeds": error.n,
        "params_m": group.figure("best", "params").mean / 1e6,
        "gpu_days": group.figure("search_gpu_days").mean,
        "search_method": group.runs[0].algorithm,
        "hardware": ", ".join(group.devices),
        "reduced": "; ".join(group.reductions),
        "source": "run " + ", ".join(f"{run.name} (seed {run.seed})" for run in tested),
        "note": f"unfair, fitness of different supernet states was compared: {', '.join(unfair)}" if unfair else "",
        "verified": True,
        **dict.fromkeys(("key", "cutout", "source_url", "also_printed", "origin"), ""),
    }


def _beaten(result: pd.Series[Any], against: pd.DataFrame) -> dict[str, int]:
    """Counts of `summary` for one result, against the rows of the comparison set."""
    comparable = against if not result["reduced"] and math.isfinite(result["gpu_days"]) else against.iloc[:0]
    comparable = comparable[comparable["gpu_days"].notna()]
    error, cost = comparable["error_pct"] - result["error_pct"], comparable["gpu_days"] - result["gpu_days"]
    return {
        "error_n": len(against),
        "error_beaten": int((against["error_pct"] > result["error_pct"]).sum()),
        "error_equal": int((against["error_pct"] == result["error_pct"]).sum()),
        "cost_n": len(comparable),
        "cost_beaten": int((cost > 0).sum()),
        "cost_equal": int((cost == 0).sum()),
        "dominated": int(((error >= 0) & (cost >= 0) & ((error > 0) | (cost > 0))).sum()),
    }
