"""Runs in slices: a process that has only so many seconds stops at a checkpoint, and another goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from evonas.errors import Paused

WORTH = 200.0  # times as long as the last checkpoint took is worked before one that nobody waits for


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The process is to end now, between two steps of a stretch: a checkpoint can hold what is done of it."""


class Slice:
    """One process's share of a run.

    It ends at the checkpoint behind which the longest stretch between two checkpoints would not fit any more, and never
    before the first, so that every slice gets somewhere. A stretch is an epoch of warm-up or retraining, or a
    generation; what is longer than a slice makes the slice longer.
    """

    def __init__(
        self, seconds: float | None = None, started: float | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """seconds: None for no end. started: when the process began, by `clock`; None: now."""
        self.seconds = seconds
        self._clock = clock
        self._begin = clock() if started is None else started
        self._last = clock()
        self._longest = self._cost = 0.0
        self._asked = False
        self.begun = False  # whether there is a stretch of work that a checkpoint could end

    def begin(self) -> None:
        """The work begins now: what was made ready before is no stretch of it."""
        self._last = self._clock()
        self.begun = True

    def end(self) -> None:
        """End at the next step or checkpoint."""
        self.seconds, self._asked = 0.0, True

    def step(self) -> None:
        """A step of a stretch was made. Raises Interrupted where the slice was asked to end."""
        if self._asked:
            raise Interrupted

    @property
    def due(self) -> bool:
        """Whether a checkpoint within a phase is worth its time, or a slice that ends may be waiting for it."""
        return self.seconds is not None or self._clock() - self._last >= WORTH * self._cost

    def checkpoint(self, write: Callable[[], None]) -> None:
        """Write a checkpoint. Raises Paused where the slice is over."""
        begin = self._clock()
        write()
        now = self._clock()
        self._longest, self._last, self._cost = max(self._longest, now - self._last), now, now - begin
        if self.seconds is not None and now - self._begin + self._longest > self.seconds:
            raise Paused
