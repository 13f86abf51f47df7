"""RUN/log.jsonl: what a run does, one JSON object a line, for tools that read logs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evonas.config import Settings, short_name
from evonas.logs.base import Log, final_figures
from evonas.run import LOG


class JsonLines(Log):
    """Lines with `time` (ISO 8601, UTC), `event`, and what belongs to the event.

    The run folder cuts the file with its tables to what it was at the checkpoint that a run goes on from.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._file = (folder / LOG).open("a", encoding="utf-8")
        self._write(
            "begin", algorithm=short_name(settings.search.algorithm), dataset=settings.dataset.name, seed=settings.seed
        )

    def _write(self, event: str, **fields: Any) -> None:
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        self._file.write(json.dumps(told, allow_nan=False) + "\n")
        self._file.flush()

    def figures(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        """A line of event `series`; a number that JSON has no word for is null."""
        finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        self._write(series, step=step, **finite)

    def line(self, text: str) -> None:
        """A line of event `line`."""
        self._write("line", text=text)

    def end(self, result: Mapping[str, Any]) -> None:
        """A line of event `end`."""
        best = result["best"]
        self._write("end", genotype=best["genotype"], architecture=best["architecture"], **final_figures(result))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
