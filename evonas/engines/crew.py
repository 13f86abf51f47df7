"""A crew: workers that each hold one object made alike. Calls of its methods are spread over them, in any order.

Arguments and results are plain data with tensors, and travel as a checkpoint does, so that nothing is unpickled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from evonas.errors import TrainingError

MOST_DEATHS = 3  # of workers under one call, before it counts as what kills them
READY = ""  # the method of a call that does no more than have the object made
Make = Callable[[], object]  # makes the object that a worker holds


@dataclass(frozen=True, eq=False)
class Call:
    """method: of the workers' object. about: the caller's own, which stays here. shared: what `Crew.share` gave.

    Where something is shared, the method gets one more argument, a function that returns it.
    """

    method: str
    arguments: tuple[Any, ...] = ()
    about: Any = None
    shared: Any = None


class Crew(ABC):
    """Workers, `size` of them at most."""

    size: int = 1

    @abstractmethod
    def results(self, calls: deque[Call]) -> Iterator[tuple[Call, Any]]:
        """Each call with its result, as they come. Calls may be added meanwhile; the first of `calls` are next.

        What a method raises is raised here. A call whose worker dies is made again elsewhere.
        """

    @abstractmethod
    def share(self, content: bytes) -> Any:
        """What many calls need, as `encoded` gives it, in the form that `Call.shared` takes."""

    @abstractmethod
    def close(self) -> None:
        """Let the workers go, whatever they do."""

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


class Here(Crew):
    """This process, one call after another."""

    def __init__(self, make: Make) -> None:
        self._held = make()

    def results(self, calls: deque[Call]) -> Iterator[tuple[Call, Any]]:
        """Each call with its result, in order."""
        while calls:
            call = calls.popleft()
            more = () if call.shared is None else (call.shared,)
            yield call, getattr(self._held, call.method)(*call.arguments, *more)

    def share(self, content: bytes) -> Any:
        """A function that returns what was encoded."""
        return lambda: decoded(content)

    def close(self) -> None:
        """Nobody is let go."""


class Servant:
    """What a worker of another process holds its object by. The object is made at the first call."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._held: object | None = None

    def answer(self, method: str, arguments: bytes, shared: Callable[[], bytes] | None = None) -> bytes:
        """Call a method of the object: arguments and result as `encoded` gives them."""
        if self._held is None:
            self._held = self._make()
        if method == READY:
            return encoded(None)
        more = () if shared is None else (lambda: decoded(shared()),)
        return encoded(getattr(self._held, method)(*decoded(arguments), *more))


class WorkerDiedError(Exception):
    """A worker is gone, and what it was doing with it."""


class Worker(ABC):
    """A process somewhere with a Servant in it, which does one call at a time."""

    @abstractmethod
    def begin(self, call: Call) -> None:
        """Send a call off; its shared data are as the crew shares them. Raises WorkerDiedError."""

    @abstractmethod
    def result(self) -> Any:
        """What the call has returned, or raised. Raises WorkerDiedError."""

    @abstractmethod
    def dismiss(self) -> None:
        """End the process."""


AnyWorker = TypeVar("AnyWorker", bound=Worker)


class RemoteCrew(Crew, Generic[AnyWorker]):
    """Workers in other processes. One that dies is replaced, and its call made again."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._idle: list[AnyWorker] = []
        self._busy: dict[AnyWorker, Call] = {}

    @abstractmethod
    def _hired(self) -> AnyWorker:
        """A new worker."""

    @abstractmethod
    def _answered(self, workers: Sequence[AnyWorker]) -> Sequence[AnyWorker]:
        """Wait for a call to end; those of the busy workers whose call has."""

    def _room(self) -> int:
        """How many workers there may be at present."""
        return self.size

    def results(self, calls: deque[Call]) -> Iterator[tuple[Call, Any]]:
        """Each call with its result, as they come."""
        deaths: Counter[str | Call] = Counter()
        while calls or any(call.method != READY for call in self._busy.values()):
            self._hire(len(calls))
            self._spread(calls)
            for worker in self._answered(list(self._busy)):
                call = self._busy.pop(worker)
                ready = call.method == READY
                try:
                    result = worker.result()
                except WorkerDiedError as error:
                    worker.dismiss()
                    deaths[READY if ready else call] += 1
                    if max(deaths.values()) > MOST_DEATHS:
                        raise TrainingError(
                            f"workers have died {MOST_DEATHS + 1} times over one piece of work ({error}); memory may "
                            "be short: use fewer of them, or smaller batches"
                        ) from None
                    calls.extendleft([] if ready else [call])
                except Exception:
                    self._idle.append(worker)  # it lives, and is let go with the others
                    raise
                else:
                    self._idle.append(worker)
                    if not ready:
                        yield call, result

    def _hire(self, calls: int) -> None:
        """Hire what `calls` waiting calls want and there is room for. A new worker gets a call once it is ready.

        On a cluster that may be never, where a node was lost; a call that waited for it would be lost too.
        """
        coming = sum(call.method == READY for call in self._busy.values())
        wanted = calls - coming - len(self._idle)
        for _ in range(min(wanted, self._room() - len(self._busy) - len(self._idle))):
            worker = self._hired()
            worker.begin(Call(READY))
            self._busy[worker] = Call(READY)

    def _spread(self, calls: deque[Call]) -> None:
        """Give calls to idle workers."""
        while calls and self._idle:
            worker = self._idle.pop()
            try:
                worker.begin(calls[0])
            except WorkerDiedError:
                worker.dismiss()  # it died idle
            else:
                self._busy[worker] = calls.popleft()

    def close(self) -> None:
        """End all workers."""
        for worker in (*self._idle, *self._busy):
            worker.dismiss()
        self._idle.clear()
        self._busy.clear()


def encoded(data: Any) -> bytes:
    """Plain data with tensors as bytes; equal data give equal bytes."""
    from evonas.checkpoint import sealed

    return sealed({}, {"data": data})


def decoded(content: bytes) -> Any:
    """What `encoded` was given, with lists for tuples."""
    from evonas.checkpoint import opened

    return opened(content)[1]["data"]
