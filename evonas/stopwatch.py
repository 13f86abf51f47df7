"""Where a run's seconds go, summed over resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PHASES = ("setup", "warmup", "finetune", "measure", "algorithm", "io", "retrain")


class Stopwatch:
    """Seconds by phase. An inner phase's time is not counted in the outer one, so that phases add up to the total."""

    def __init__(self, started: float | None = None) -> None:
        self._started = time.perf_counter() if started is None else started
        self._before = 0.0
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._inner: list[float] = []  # seconds spent in phases inside each open one

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the time of a `with` block for `phase`."""
        begin = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - begin
            self._seconds[phase] += elapsed - self._inner.pop()
            if self._inner:
                self._inner[-1] += elapsed

    def begin(self, phase: str) -> None:
        """Count everything since the start that no phase has claimed for `phase`."""
        self._seconds[phase] += max(0.0, time.perf_counter() - self._started - sum(self._seconds.values()))

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, and `total`: wall time, which also holds what no phase claims."""
        total = self._before + time.perf_counter() - self._started
        return {**self._seconds, "total": total}

    def restore(self, seconds: dict[str, float]) -> None:
        """Add what an earlier process of the same run had counted."""
        self._before += seconds["total"]
        for phase in PHASES:
            self._seconds[phase] += seconds[phase]


class Timed:
    """An object whose named methods are counted, as in `Timed(problem, stopwatch, adapt="finetune")`."""

    def __init__(self, target: object, stopwatch: Stopwatch, **phases: str) -> None:
        self._target = target
        self._stopwatch = stopwatch
        self._phases = phases

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._counted(value, self._phases[name]) if name in self._phases else value

    def _counted(self, method: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._stopwatch(phase):
                return method(*args, **kwargs)

        return call
