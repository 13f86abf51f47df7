"""Runs in slices: a process that has only so many seconds stops at a checkpoint, and another goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from evonas.errors import Paused


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
        self._longest = 0.0
        self.begun = False  # whether there is a stretch of work that a checkpoint could end

    def begin(self) -> None:
        """The work begins now: what was made ready before is no stretch of it."""
        self._last = self._clock()
        self.begun = True

    def end(self) -> None:
        """End at the next checkpoint."""
        self.seconds = 0.0

    def checkpoint(self) -> None:
        """A checkpoint was written. Raises Paused where the slice is over."""
        now = self._clock()
        self._longest, self._last = max(self._longest, now - self._last), now
        if self.seconds is not None and now - self._begin + self._longest > self.seconds:
            raise Paused
