"""The comparison with published methods as files: CSV, and tables for print in Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

from analysis.peers import CATEGORIES, DATASETS, load_peers
from analysis.runs import RunGroup
from analysis.table_formats import FORMATS, PrintTable, Row
from analysis.tables import GROUPS, comparison, left_out, lower_errors, names, source_keys, summary
from evonas.errors import AnalysisError

HEADINGS = {"target": "The target paper", "evonas": "evonas runs: mean and deviation over seeds"}
RECONSTRUCTION = (
    "The comparison set is a reconstruction in the style of the target paper (Yuan, Xue and Zhang, GECCO 2023), since "
    "the methods that it compares with could not be read."
)
NAMED = 20  # rows that a note names, at most
NONE = "–"


def write_tables(out: Path, groups: Sequence[RunGroup] = (), peers: pd.DataFrame | None = None) -> list[Path]:
    """Write cifar10, cifar100 and summary to the folder `out`, each as CSV, Markdown, LaTeX and HTML.

    Returns the files. groups and peers: as for `comparison`. The same input gives the same bytes. Raises AnalysisError
    where `out` cannot be written.
    """
    known = load_peers() if peers is None else peers
    frames = {dataset: comparison(dataset, groups, known) for dataset in DATASETS}
    counts = summary(groups, known)
    remarks = [f"Left out: {line}" for line in left_out(groups)]
    tables = [comparison_table(dataset, frame, known, remarks) for dataset, frame in frames.items()]
    tables.append(summary_table(counts, lower_errors(groups, known), known, remarks))
    texts = {f"{name}.csv": _csv(frame) for name, frame in {**frames, "summary": counts}.items()}
    texts |= {table.name + suffix: write(table) for table in tables for suffix, write in FORMATS.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise AnalysisError(f"cannot write to {out}: {error.strerror}; choose another --out") from None
    return [out / name for name in texts]


def comparison_table(dataset: str, frame: pd.DataFrame, peers: pd.DataFrame, remarks: Sequence[str] = ()) -> PrintTable:
    """A frame of `comparison` for print. remarks: sentences below it."""
    title = DATASETS[dataset]
    published = frame[frame["group"].isin(CATEGORIES)]
    size = peers.loc[peers["in_comparison"], "key"].nunique()
    share = f"all {size}" if len(published) == size else f"{len(published)} of the {size}"
    caption = (
        f"Test error on {title} of {share} methods of the comparison set. {RECONSTRUCTION}{_changed(published)}"
        " GPU-days are as printed, on different hardware; training recipes differ; ± is the standard deviation, where "
        "it is known."
    )
    columns = ("Method", "Error (%)", "±", "Params (M)", "GPU-days", "Search", "Source")
    notes = [_note(row) for _, row in frame.iterrows()]
    marks = _letters(notes)
    rows = [Row(_cells(row), mark) for (_, row), mark in zip(frame.iterrows(), marks, strict=True)]
    groups = [
        (HEADINGS.get(group, group.capitalize()), [rows[place] for place in places])
        for group in GROUPS
        if len(places := np.flatnonzero(frame["group"] == group))
    ]
    sources = frame.drop_duplicates("source_key")[["source_key", "source", "source_url"]]
    return PrintTable(
        name=dataset,
        title=f"Comparison on {title}",
        caption=caption,
        columns=columns,
        right=frozenset({1, 2, 3, 4}),
        groups=groups,
        notes=[(mark, note) for mark, note in zip(marks, notes, strict=True) if mark],
        remarks=remarks,
        sources=[(str(key), source, url) for key, source, url in sources.itertuples(index=False)],
    )


def summary_table(
    counts: pd.DataFrame, lower: pd.DataFrame, peers: pd.DataFrame, remarks: Sequence[str] = ()
) -> PrintTable:
    """A frame of `summary` for print, its notes naming rows of `lower_errors`. remarks: sentences below it."""
    size = peers.loc[peers["in_comparison"], "key"].nunique()
    caption = (
        f"How many of the {size} methods of the comparison set are beaten, of those with a figure to compare. "
        f"{RECONSTRUCTION}{_changed(peers[peers['in_comparison']])} Dominated: no better in error or GPU-days, and "
        "worse in one. Methods with a lower error, outside the set too, are in the notes. The GPU-days of reduced runs "
        "are not compared."
    )
    better = [
        [chosen[chosen["in_comparison"] == inside] for inside in (True, False)]
        for _, row in counts.iterrows()
        for chosen in [lower[(lower["dataset"] == row["dataset"]) & (lower["than"] == row["name"])]]
    ]
    keys = source_keys(pd.concat([lower.iloc[:0], *(rows for pair in better for rows in pair if len(rows) <= NAMED)]))
    notes = [
        f"Lower errors in the set: {_listed(inside, keys)}; outside it: {_listed(outside, keys)}"
        + (f"; reduced run: {row['reduced']}" if row["reduced"] else "")
        + (f"; {row['note']}" if row["group"] == "evonas" and row["note"] else "")
        for (_, row), (inside, outside) in zip(counts.iterrows(), better, strict=True)
    ]
    rows = [Row(_counts(row), mark) for (_, row), mark in zip(counts.iterrows(), _letters(notes), strict=True)]
    return PrintTable(
        name="summary",
        title="Published methods that are beaten",
        caption=caption,
        columns=("Result", "Error (%)", "GPU-days", "Lower error than", "Lower cost than", "Dominates"),
        right=frozenset({1, 2}),
        groups=[
            (title, [rows[place] for place in np.flatnonzero(counts["dataset"] == dataset)])
            for dataset, title in DATASETS.items()
        ],
        notes=list(zip(_letters(notes), notes, strict=True)),
        remarks=remarks,
        sources=[(str(key), source, url) for (source, url), key in keys.items()],
    )


def _cells(row: pd.Series[Any]) -> tuple[str, ...]:
    """A row of `comparison` as text."""
    return (
        _name(row),
        f"{row['error_pct']:.2f}",
        "" if math.isnan(row["error_std"]) else f"{row['error_std']:.2f}",
        _number(row["params_m"], row),
        _number(row["gpu_days"], row),
        row["search_method"],
        f"[{row['source_key']}]",
    )


def _counts(row: pd.Series[Any]) -> tuple[str, ...]:
    """A row of `summary` as text."""
    return (
        _name(row),
        f"{row['error_pct']:.2f}",
        _number(row["gpu_days"], row),
        _of(row["error_beaten"], row["error_n"], row["error_equal"]),
        _of(row["cost_beaten"], row["cost_n"], row["cost_equal"]),
        _of(row["dominated"], row["cost_n"]),
    )


def _name(row: pd.Series[Any]) -> str:
    return f"{row['name']}, reduced run" if row["reduced"] else str(row["name"])


def _number(value: float, row: pd.Series[Any]) -> str:
    """As it is published, or of runs three significant digits."""
    if math.isnan(value):
        return NONE
    digits = 3 if row["group"] == "evonas" else None
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def _of(count: int, n: int, equal: int = 0) -> str:
    if not n:
        return NONE
    return f"{count} of {n}" + (f", {equal} equal" if equal else "")


def _note(row: pd.Series[Any]) -> str:
    """What a row of a comparison needs said, or nothing."""
    parts = [
        f"{row['seeds']} seed{'s' if row['seeds'] > 1 else ''}, {row['hardware']}" if row["group"] == "evonas" else "",
        f"reduced run: {row['reduced']}" if row["reduced"] else "",
        row["note"] if row["group"] == "evonas" else "",
        f"elsewhere: {row['also_printed']}" if row["also_printed"] else "",
        "" if row["verified"] else "unverified",
        f"from {row['origin']}" if row["origin"] not in ("", "shipped") else "",
    ]
    return "; ".join(part for part in parts if part)


def _letters(notes: Sequence[str]) -> list[str]:
    """a, b, ... z, aa, ab, ... for the notes that there are, nothing for the others."""
    letters = (first + second for first in ("", *ascii_lowercase) for second in ascii_lowercase)
    return [next(letters) if note else "" for note in notes]


def _listed(rows: pd.DataFrame, keys: Mapping[tuple[str, str], int]) -> str:
    if rows.empty:
        return "none"
    return names(rows, keys) if len(rows) <= NAMED else f"{len(rows)} rows"


def _changed(rows: pd.DataFrame) -> str:
    """That rows of the comparison set are the user's own; nothing where none is."""
    own = rows["origin"][rows["origin"] != "shipped"]
    return f" {len(own)} of its rows are from {', '.join(dict.fromkeys(own))}." if len(own) else ""


def _csv(frame: pd.DataFrame) -> str:
    # A CSV file has no caption that could say it.
    text: str = frame.assign(comparison_set="a reconstruction").to_csv(index=False, lineterminator="\n")
    return text
