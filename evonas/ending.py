"""How a process of a run ends that is asked to: by Ctrl-C, by SIGTERM, or by the end of its slice."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from evonas.errors import Paused
from evonas.slices import Slice

GRACE = 20.0  # seconds from SIGTERM to the end, which a stretch of work has to get to its checkpoint


class Terminated(BaseException):
    """SIGTERM: stop; the last checkpoint is whole."""


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM does outside of a run."""
    raise Terminated


class resumable:  # noqa: N801 - reads as a sentence
    """Within it, Ctrl-C, SIGTERM and the end of a slice leave with a line that says how to go on.

    SIGTERM lets the stretch under way come to its checkpoint, if that takes no longer than GRACE.
    """

    def __init__(self, folder: Path, share: Slice | None = None) -> None:
        self._folder = folder
        self._share = share
        self._asked = False

    def __enter__(self) -> None:
        self._before = [
            (number, signal.signal(number, self._asked_to_end)) for number in (signal.SIGTERM, signal.SIGALRM)
        ]

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        if self._asked or self._share is None or not self._share.begun:
            raise Terminated
        self._asked = True
        self._share.end()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before:
            signal.signal(number, handler)
        if kind is None or not issubclass(kind, KeyboardInterrupt | Terminated | Paused):
            return
        if issubclass(kind, Paused) and not self._asked:
            typer.echo(f"paused, and there is more to do: `evonas resume {self._folder}`", err=True)
            raise SystemExit(75)
        way = (
            f"; go on with `evonas resume {self._folder}`" if self._folder.exists() else ", before anything was written"
        )
        typer.echo(f"stopped{way}", err=True)
        raise SystemExit(130 if issubclass(kind, KeyboardInterrupt) else 143)
