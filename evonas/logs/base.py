"""What a log is told, and how a run tells all of its logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from evonas.errors import printable
from evonas.progress import Reporter, Task
from evonas.search.fitness import Measurement
from evonas.stopwatch import Stopwatch

LOGGER = logging.getLogger(__name__)


class Log:
    """Is told what happens in a run, and overrides what it has a use for.

    A run that goes on from a checkpoint tells again what it does again; a log sees to it that nothing is there twice.
    """

    def figures(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        """Numbers by name. series: warmup, search or a training, such as `retrain best`. step: of it, from 0."""

    def front(self, step: int, generations: Sequence[Sequence[Measurement]], objectives: Sequence[str]) -> None:
        """All generations so far, each measured on one state. step: number of the last, which may be the final one."""

    def line(self, text: str) -> None:
        """What people are told in words."""

    def end(self, result: Mapping[str, Any]) -> None:
        """The run is done. result: what result.json holds."""

    def close(self) -> None:
        """This process tells no more."""


class Logs:
    """Several logs as one. What fails in one of them is told in a line, and ends that log and nothing else."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._logs: dict[str, Log] = {}
        self._stopwatch = stopwatch

    def add(self, name: str, make: Callable[[], Log]) -> None:
        """One more."""

        def added() -> None:
            self._logs[name] = make()

        self._guarded(name, added)

    def figures(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        """Numbers by name, of one step of a series."""
        self._each(lambda log: log.figures(series, step, figures))

    def front(self, step: int, generations: Sequence[Sequence[Measurement]], objectives: Sequence[str]) -> None:
        """What was measured so far."""
        self._each(lambda log: log.front(step, generations, objectives))

    def line(self, text: str) -> None:
        """What people are told in words."""
        self._each(lambda log: log.line(text))

    def end(self, result: Mapping[str, Any]) -> None:
        """The run is done."""
        self._each(lambda log: log.end(result))

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *reason: object) -> None:
        self._each(lambda log: log.close())

    def _each(self, tell: Callable[[Log], None]) -> None:
        for name, log in list(self._logs.items()):
            self._guarded(name, partial(tell, log))

    def _guarded(self, name: str, tell: Callable[[], None]) -> None:
        try:
            with self._stopwatch("io"):
                tell()
        except Exception as error:  # of libraries, disks and servers; a search of days is worth more than its log
            self._logs.pop(name, None)
            LOGGER.warning("log.%s is left off from here on: %s: %s", name, type(error).__name__, printable(error))


class Noted(Reporter):
    """A reporter whose lines go into the logs too."""

    def __init__(self, reporter: Reporter, logs: Logs) -> None:
        self._reporter, self._logs = reporter, logs

    def task(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Task]:
        """As the reporter shows it."""
        return self._reporter.task(title, total, done)

    def line(self, text: str) -> None:
        """Show it, and note it."""
        self._reporter.line(text)
        self._logs.line(text)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; what is neither a number nor text becomes JSON."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, int | float | str) and not isinstance(value, bool)
            found[f"{prefix}{key}"] = value if plain else json.dumps(value)
    return found


def final_figures(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers by which runs are compared: errors in percent, costs, and where there is a front its hypervolume."""
    best, front = result["best"], result["front"] or {}
    found = {name: best.get(name) for name in ("test_error", "supernet_error", "params", "flops")}
    found |= {"hypervolume": front.get("hypervolume"), "seconds": result["seconds"]["total"]}
    return {name: float(value) for name, value in found.items() if value is not None}
