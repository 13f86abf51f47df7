"""Reading files that strangers may have made: whatever they hold, memory stays bounded and a reader raises ValueError.

A settings file has kilobytes, a result too, and a table of trained networks megabytes. What is far beyond that is no
such file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

SETTINGS_BYTES = 256 * 1024
JSON_BYTES = 16 * 1024**2
TABLE_BYTES = 256 * 1024**2
LINE_CHARACTERS = 1024**2


def read_text(path: Path, most: int) -> str:
    """A file in UTF-8 of at most `most` bytes. Raises OSError, or ValueError for what is larger or no UTF-8."""
    with path.open("rb") as file:
        data = file.read(most + 1)  # and no look at its size: a device has none
    if len(data) > most:
        raise ValueError(f"it is larger than {most // 1024} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises OSError, or ValueError for what is none."""
    try:
        data = json.loads(read_text(path, JSON_BYTES))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"it holds a {type(data).__name__}")
    return data


def bounded_lines(file: TextIO) -> Iterator[str]:
    """The lines of an open CSV file, for csv.reader. Raises csv.Error for a line or a file beyond all measure."""
    total = number = 0
    while line := file.readline(LINE_CHARACTERS):
        number += 1
        total += len(line)
        if len(line) == LINE_CHARACTERS and not line.endswith("\n"):
            raise csv.Error(f"line {number} is longer than {LINE_CHARACTERS // 1024} KiB")
        if total > TABLE_BYTES:
            raise csv.Error(f"it is larger than {TABLE_BYTES // 1024**2} MiB")
        yield line
