"""RUN/audit.csv: what each supernet state said of a fixed set of genotypes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from evonas.errors import AnalysisError

PROBES = ("", "uniform", "top", "population")


def read_audit(path: Path) -> pd.DataFrame:
    """The audit, one row a genotype and state.

    Columns: state (from 0), genotype and canonical (tuples of ints), error (percent), loss (nats), params, flops
    (multiply-adds), and probe where the file has it: uniform, top (of the truth), population, or empty for a genotype
    of no probe group.
    error and loss may be inf or nan, as those of a supernet that diverged are.
    Raises AnalysisError with the row and column of what is no such value, or stands there twice.
    """
    records = _records(path)
    columns = {name: kind for name, kind in KINDS.items() if name != "probe" or "probe" in records[0]}
    frame = pd.DataFrame({name: _values(path, records, name, *kind) for name, kind in columns.items()})
    twice = frame.duplicated(["state", "genotype"])
    if twice.any():
        row = int(twice.to_numpy().argmax())
        raise AnalysisError(
            f"{path}: row {row + 1}, column 'genotype' is {records[row]['genotype']} a second time for state "
            f"{frame['state'][row]}; expected each genotype once a state"
        )
    return frame


def _records(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or ())
            records = list(reader)
    except OSError as error:
        raise AnalysisError(f"cannot read {path}: {error.strerror}; `evonas correlate RUN` writes it") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise AnalysisError(f"cannot read {path}: it is not CSV in UTF-8 ({error})") from None
    for name in KINDS:
        if name not in header and name != "probe":
            raise AnalysisError(
                f"{path} has no column {name!r}; expected the columns {', '.join(KINDS)} (probe may lack)"
            )
    if not records:
        raise AnalysisError(f"{path} has no rows; expected one for each genotype and state")
    for row, record in enumerate(records):
        missing = [name for name in header if record[name] is None]
        if missing or None in record:
            what = f"column {missing[0]!r} is missing" if missing else f"too many cells after column {header[-1]!r}"
            raise AnalysisError(f"{path}: row {row + 1}: {what}; expected {len(header)} cells, as in the header")
    return records


def _values(
    path: Path, records: list[dict[str, str]], column: str, parse: Callable[[str], object], expected: str
) -> list[object]:
    values = []
    for row, record in enumerate(records):
        try:
            values.append(parse(record[column]))
        except ValueError:
            raise AnalysisError(
                f"{path}: row {row + 1}, column {column!r} is {record[column]!r}; expected {expected}"
            ) from None
    return values


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _genotype(text: str) -> tuple[int, ...]:
    value = json.loads(text)
    if not isinstance(value, list) or not value or not all(type(gene) is int and gene >= 0 for gene in value):
        raise ValueError(text)
    return tuple(value)


def _probe(text: str) -> str:
    if text not in PROBES:
        raise ValueError(text)
    return text


KINDS: dict[str, tuple[Callable[[str], object], str]] = {
    "state": (_count, "a whole number from 0"),
    "genotype": (_genotype, "a list like [0, 2, 1]"),
    "canonical": (_genotype, "a list like [0, 2, 1]"),
    "error": (float, "a number (percent)"),
    "loss": (float, "a number (nats)"),
    "params": (_finite, "a finite number"),
    "flops": (_finite, "a finite number"),
    "probe": (_probe, "uniform, top, population or nothing"),
}
