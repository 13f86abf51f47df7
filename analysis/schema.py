"""CSV files that have to be right: every cell is checked, and an error names its row and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pandas as pd

from evonas.errors import AnalysisError
from evonas.files import bounded_lines

Kind = tuple[Callable[[str], object], str]  # reads a cell, raising ValueError; and in words, what it expects


def read_checked(
    path: Path, kinds: Mapping[str, Kind], *, rows: str, optional: Collection[str] = (), hint: str = ""
) -> pd.DataFrame:
    """The columns `kinds` of a CSV file in UTF-8, in this order; other columns are left out.

    rows: in words, what its rows are. optional: columns that may lack, and are not in the frame then. hint: the way out
    where the file cannot be read. Raises AnalysisError with the row (from 1, the header not counted) and column of a
    cell that its kind does not read.
    """
    records = _records(path, kinds, rows, optional, hint)
    present = [name for name in kinds if name in records[0]]
    return pd.DataFrame({name: _values(path, records, name, kinds[name]) for name in present})


def require_unique(path: Path, frame: pd.DataFrame, columns: list[str]) -> None:
    """Raise AnalysisError where two rows have the same values in all of `columns`."""
    twice = frame.duplicated(columns).to_numpy()
    if twice.any():
        row = int(twice.argmax())
        first, *others = ((name, frame[name].iloc[row]) for name in columns)
        within = " and ".join(f"{name} {value}" for name, value in others)
        raise AnalysisError(
            f"{path}: row {row + 1}, column {first[0]!r} is {_shown(first[1])} a second time for {within}; "
            f"expected each {first[0]} once a {others[0][0]}"
        )


def _shown(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value  # a genotype as files have it


def _records(
    path: Path, kinds: Mapping[str, Kind], rows: str, optional: Collection[str], hint: str
) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(bounded_lines(file), strict=True)
            header = list(reader.fieldnames or ())
            records = list(reader)
    except OSError as error:
        raise AnalysisError(f"cannot read {path}: {error.strerror}{hint}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise AnalysisError(f"cannot read {path}: it is not CSV in UTF-8 ({error})") from None
    for name in kinds:
        if name not in header and name not in optional:
            may = f" ({', '.join(optional)} may lack)" if optional else ""
            raise AnalysisError(f"{path} has no column {name!r}; expected the columns {', '.join(kinds)}{may}")
        if header.count(name) > 1:
            raise AnalysisError(f"{path} has the column {name!r} {header.count(name)} times; expected it once")
    if not records:
        raise AnalysisError(f"{path} has no rows; expected {rows}")
    for row, record in enumerate(records):
        missing = [name for name in header if record[name] is None]
        if missing or None in record:
            what = f"column {missing[0]!r} is missing" if missing else f"too many cells after column {header[-1]!r}"
            raise AnalysisError(f"{path}: row {row + 1}: {what}; expected {len(header)} cells, as in the header")
    return records


def _values(path: Path, records: list[dict[str, str]], column: str, kind: Kind) -> list[object]:
    parse, expected = kind
    values = []
    for row, record in enumerate(records):
        try:
            values.append(parse(record[column]))
        except ValueError:
            raise AnalysisError(
                f"{path}: row {row + 1}, column {column!r} is {record[column]!r}; expected {expected}"
            ) from None
    return values
