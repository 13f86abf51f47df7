"""The files of a run folder, read as far as they can be: nothing here raises for a file that lacks or is broken."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evonas.config import read_yaml
from evonas.errors import ConfigError
from evonas.files import bounded_lines, read_json

TABLES = {  # columns that each has to have; others may be there
    "history.csv": ("generation", "state", "genotype", "canonical", "origin", "error", "params", "flops"),
    "generations.csv": ("generation", "state", "best", "median"),
    "pareto.csv": ("genotype", "error", "params", "flops"),
}
WHOLE = ("generation", "state")
TEXT = ("genotype", "canonical", "origin")
NUMBERS = ("error", "loss", "params", "flops", "latency_ms", "seconds", "best", "median", "hypervolume", "n", "repairs")


def read_settings(path: Path, problems: list[str]) -> dict[str, Any]:
    """RUN/config.yaml as plain data; empty where it is none, which is added to `problems`."""
    if not (path / "config.yaml").is_file():
        problems.append("config.yaml is not there")
        return {}
    try:
        settings = read_yaml(path / "config.yaml")
    except ConfigError:
        settings = {}
    if not settings:
        problems.append("config.yaml is damaged")
    return settings


def read_result(path: Path, problems: list[str]) -> dict[str, Any]:
    """RUN/result.json as plain data; empty where it is none, which is added to `problems`."""
    try:
        result = read_json(path / "result.json")
    except FileNotFoundError:
        problems.append("unfinished: result.json is not there")
        return {}
    except (OSError, ValueError):
        result = {}
    if not result:
        problems.append("result.json is damaged")
        return {}
    return result


def read_table(path: Path, name: str, problems: list[str]) -> pd.DataFrame:
    """The rows of a table that are whole; what is wrong with it is added to `problems`."""
    required = TABLES[name]
    none = pd.DataFrame(columns=list(required))
    if not (path / name).is_file():
        problems.append(f"{name} is not there")
        return none
    try:
        with (path / name).open(newline="", encoding="utf-8", errors="replace") as file:
            lines = list(bounded_lines(file))
        header, *rows = list(csv.reader(lines)) or [[]]
    except (OSError, csv.Error):
        problems.append(f"{name} is damaged")
        return none
    lacking = [column for column in required if column not in header]
    if lacking or len(set(header)) < len(header):
        problems.append(f"{name} has no column {', '.join(lacking)}" if lacking else f"{name} has a column twice")
        return none
    # A kill can cut the last line anywhere; what then looks like a number may be the half of one.
    kept = rows if lines[-1].endswith("\n") else rows[:-1]
    frame = pd.DataFrame([row for row in kept if len(row) == len(header)], columns=header, dtype=str)
    frame = _with_numbers(frame)
    if len(frame) < len(rows):
        problems.append(f"{name} has {len(rows) - len(frame)} damaged rows, left out")
    elif frame.empty:
        problems.append(f"{name} has no rows")
    return frame


def _with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers as such, without the rows in which one of those that every run has is none."""
    whole = pd.Series(True, index=frame.index)
    for column in frame.columns.difference(list(TEXT)):
        values = pd.to_numeric(frame[column], errors="coerce")
        blank = frame[column].str.lower().isin(["", "nan"])
        if column in WHOLE:
            whole &= np.isfinite(values) & (values == values.round())
        elif column in NUMBERS:
            whole &= values.notna() | blank
        elif not (values.notna() | blank).all():
            continue  # a column of text that a run of another version may have
        frame[column] = values
    frame = frame[whole].reset_index(drop=True)
    return frame.astype({column: int for column in WHOLE if column in frame})


def look(data: object, *keys: str) -> object:
    """What nested mappings hold under `keys`; None where one of them is not there."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def number(value: object) -> float:
    """A number as a float; nan for what is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return math.nan
    return float(value)
