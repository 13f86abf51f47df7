"""What a person sees while a run works: bars with remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

LOGGER = logging.getLogger(__name__)


class Task:
    """One stretch of work of a known number of steps."""

    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done = title, total, done
        self.note = ""

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Count steps as done; `note` replaces the words beside the count."""
        self.done += steps
        if note is not None:
            self.note = note


class Reporter(ABC):
    """Shows tasks and lines."""

    @abstractmethod
    def task(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Task]:
        """A context manager that gives a Task; `done` steps lie behind it already."""

    def line(self, text: str) -> None:
        """A line that stays: a message to the logger `evonas`, of level INFO."""
        LOGGER.info("%s", text)


class Silent(Reporter):
    """Shows nothing."""

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """Within it, a Task that counts steps and shows nothing; `done` of `total` lie behind it already."""
        yield Task(title, total, done)

    def line(self, text: str) -> None:
        """Show nothing."""


class _LineTask(Task):
    def __init__(self, title: str, total: int, done: int, every: float) -> None:
        super().__init__(title, total, done)
        self._first, self._begin = done, time.monotonic()
        self._every, self._last = every, self._begin

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Count, and tell where it stands where the last time is long enough ago."""
        super().advance(steps, note)
        now = time.monotonic()
        if now - self._last >= self._every and self.done < self.total:
            self._last = now
            left = (now - self._begin) / (self.done - self._first) * (self.total - self.done)
            self.show(f", about {duration(left)} left")

    def show(self, rest: str) -> None:
        """Tell where the task stands."""
        note = f", {self.note}" if self.note else ""
        LOGGER.info("%s", f"{self.title}: {self.done}/{self.total}{note}{rest}")


class Lines(Reporter):
    """Plain lines, one every `every` seconds at most, to the logger `evonas`."""

    def __init__(self, every: float = 10.0) -> None:
        self._every = every

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """Tell a line now and then, and one at the end with the time taken."""
        task = _LineTask(title, total, done, self._every)
        begin = time.monotonic()
        yield task
        task.show(f", {duration(time.monotonic() - begin)}")


class Bars(Reporter):
    """rich's bars, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        # While a bar is shown, rich has what others write to standard error appear above it.
        self._console = Console(stderr=True)

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """A bar that stays on the screen when it is full."""
        from rich import progress as rich_progress

        bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description:<16}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TextColumn("left"),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        with bar:
            number = bar.add_task(title, total=total, completed=done, note="")

            class _BarTask(Task):
                def advance(self, steps: int = 1, note: str | None = None) -> None:
                    super().advance(steps, note)
                    bar.update(number, completed=self.done, note=self.note)

            yield _BarTask(title, total, done)


def reporter(quiet: bool) -> Reporter:
    """Bars where standard error is a terminal and `quiet` was not asked for, plain lines elsewhere."""
    if sys.stderr.isatty() and not quiet:
        return Bars()
    return Lines(every=60.0 if quiet else 10.0)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 20 s, 5 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
