"""Times of the parts of networks, as one device has them, in a file that a search on another reads."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evonas.errors import ConfigError
from evonas.files import bounded_lines


@dataclass(frozen=True)
class DeviceTimes:
    """milliseconds: by what was timed, of a batch of `batch` images. device: in words."""

    milliseconds: Mapping[str, float]
    batch: int
    device: str

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]]) -> DeviceTimes:
        """Of the rows of a file. Raises ValueError, KeyError or TypeError where they are no times of one device."""
        times = {row["what"]: float(row["milliseconds"]) for row in rows}
        ((batch, device),) = {(int(row["batch"]), row["device"]) for row in rows}
        if not all(math.isfinite(value) and value > 0 for value in times.values()):
            raise ValueError("a time is no positive number")
        return cls(times, batch, device)

    def rows(self) -> list[dict[str, object]]:
        """As of() reads them."""
        return [
            {"what": what, "milliseconds": repr(value), "batch": self.batch, "device": self.device}
            for what, value in self.milliseconds.items()
        ]


def read_times(path: Path, batch: int) -> DeviceTimes:
    """The times of a file. Raises ConfigError where it cannot be read, is no such file, or is of another batch."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = DeviceTimes.of(list(csv.DictReader(bounded_lines(file), strict=True)))
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the times of a device, {path}: {reason}") from None
    except (KeyError, TypeError, ValueError):  # UnicodeDecodeError is one
        raise ConfigError(
            f"{path} holds no times of one device; expected the columns what, milliseconds, batch and device, as "
            "`evonas latency` writes them"
        ) from None
    if found.batch != batch:
        raise ConfigError(
            f"{path} holds times of batches of {found.batch}, and problem.latency_batch is {batch}; make them the same"
        )
    return found


def write_times(path: Path, times: DeviceTimes) -> None:
    """Write a new file. Raises ConfigError where there is one."""
    rows = times.rows()
    try:
        with path.open("x", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except FileExistsError:
        raise ConfigError(f"{path} exists; choose another --out") from None
