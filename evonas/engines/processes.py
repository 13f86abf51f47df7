"""Workers in processes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from evonas.engines.crew import Call, Make, RemoteCrew, Servant, Worker, WorkerDiedError, decoded, encoded


class ProcessWorker(Worker):
    """A child process. It ends by itself when its parent is gone, since the pipe between them closes then."""

    def __init__(self, make: Make, environment: Mapping[str, str]) -> None:
        self._pipe, theirs = Pipe()
        # A program of its own, which a fork is not (torch's threads do not survive one), and which does not run the
        # user's script again, as multiprocessing's spawn does. Its own group: Ctrl-C is for the parent alone.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evonas.engines.processes", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
            process_group=0,
        )
        theirs.close()
        self._pipe.send(make)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def fileno(self) -> int:
        """Of the pipe, by which an answer is waited for."""
        return self._pipe.fileno()

    def begin(self, call: Call) -> None:
        """Send a call off."""
        try:
            self._pipe.send((call.method, encoded(call.arguments), call.shared))
        except OSError:
            raise WorkerDiedError(self._fate()) from None

    def result(self) -> Any:
        """What the call has returned, or raised."""
        try:
            done, answer = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(self._fate()) from None
        if not done:
            raise answer
        return decoded(answer)

    def dismiss(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _fate(self) -> str:
        return f"process {self.pid}, exit status {self._process.wait()}"


class ProcessCrew(RemoteCrew[ProcessWorker]):
    """Processes on this machine."""

    def __init__(self, make: Make, size: int, environment: Mapping[str, str] | None = None) -> None:
        """make: can be pickled. environment: variables that the processes have beside those of this one."""
        super().__init__(size)
        self._make = make
        self._environment = dict(environment or {})

    def _hired(self) -> ProcessWorker:
        return ProcessWorker(self._make, self._environment)

    def _answered(self, workers: Sequence[ProcessWorker]) -> Sequence[ProcessWorker]:
        return wait(workers)  # type: ignore[arg-type, return-value]

    def share(self, content: bytes) -> Any:
        """The content itself, which is sent along with each call."""
        return content


def _serve(pipe: Connection[Any, Any]) -> None:
    """Answer calls until the other end of the pipe is closed."""
    servant = Servant(pipe.recv())
    while True:
        method, arguments, shared = pipe.recv()
        answer: tuple[bool, Any]
        try:
            answer = True, servant.answer(method, arguments, None if shared is None else lambda: shared)  # noqa: B023
        except Exception as error:
            answer = False, error
        pipe.send(answer)


if __name__ == "__main__":
    with suppress(EOFError, OSError):  # the parent is gone
        _serve(Connection(int(sys.argv[1])))
