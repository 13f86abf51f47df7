"""Where a run's seconds go, summed over resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PHASES = ("setup", "warmup", "finetune", "measure", "algorithm", "audit", "io", "retrain")


class Stopwatch:
    """Seconds by phase, which add up to the total: at every moment one phase is counted, the innermost open one.

    Outside every `with` block that is "setup" until `ready` is called, and "algorithm" from then on.

    devices: by phase, on how many devices it computes; one where nothing is said.
    """

    def __init__(self, started: float | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._mark = clock() if started is None else started
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._device_seconds = dict.fromkeys(PHASES, 0.0)
        self._open = ["setup"]
        self.devices: dict[str, int] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the time of a `with` block for `phase`, and no longer for the phase outside."""
        self._flush()
        self._open.append(phase)
        try:
            yield
        finally:
            self._flush()
            self._open.pop()

    def ready(self) -> None:
        """End the set-up: imports, data and networks lie behind."""
        self._flush()
        self._open[0] = "algorithm"

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, and `total`, their sum."""
        self._flush()
        return {**self._seconds, "total": sum(self._seconds.values())}

    def device_seconds(self) -> dict[str, float]:
        """Seconds by phase, times the devices that it computed on."""
        self._flush()
        return dict(self._device_seconds)

    def restore(self, seconds: dict[str, float], device_seconds: dict[str, float] | None = None) -> None:
        """Add what an earlier process of the same run had counted. None: it computed on one device."""
        for phase in PHASES:
            self._seconds[phase] += seconds.get(phase, 0.0)
            self._device_seconds[phase] += (device_seconds or seconds).get(phase, 0.0)

    def _flush(self) -> None:
        now, phase = self._clock(), self._open[-1]
        self._seconds[phase] += now - self._mark
        self._device_seconds[phase] += (now - self._mark) * self.devices.get(phase, 1)
        self._mark = now


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
