"""RUN/audit.csv: what each supernet state said of a fixed set of genotypes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd

from analysis.schema import Kind, read_checked, require_unique

PROBES = ("", "uniform", "top", "population")


def read_audit(path: Path) -> pd.DataFrame:
    """The audit, one row a genotype and state.

    Columns: state (from 0), genotype and canonical (tuples of ints), error (percent), loss (nats), params, flops
    (multiply-adds), and probe where the file has it: uniform, top (of the truth), population, or empty for a genotype
    of no probe group.
    error and loss may be inf or nan, as those of a supernet that diverged are.
    Raises AnalysisError with the row and column of what is no such value, or stands there twice.
    """
    hint = "; `evonas correlate RUN` writes it"
    frame = read_checked(path, KINDS, rows="one for each genotype and state", optional=("probe",), hint=hint)
    require_unique(path, frame, ["genotype", "state"])
    return frame


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


KINDS: dict[str, Kind] = {
    "state": (_count, "a whole number from 0"),
    "genotype": (_genotype, "a list like [0, 2, 1]"),
    "canonical": (_genotype, "a list like [0, 2, 1]"),
    "error": (float, "a number (percent)"),
    "loss": (float, "a number (nats)"),
    "params": (_finite, "a finite number"),
    "flops": (_finite, "a finite number"),
    "probe": (_probe, "uniform, top, population or nothing"),
}
