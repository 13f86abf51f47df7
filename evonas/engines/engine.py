"""The engines by name: each makes the crews of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from evonas.engines.crew import Crew, Here, Make
from evonas.errors import ConfigError, nearest

ENGINES = ("local", "ray")


class Engine(ABC):
    """Makes crews.

    measures: whether populations are measured by crews; else in the process that searches.
    """

    measures: bool = False

    @abstractmethod
    def crew(
        self,
        make: Make,
        *,
        threads: int,
        device: str,
        calls: int,
        jobs: int,
        variables: Mapping[str, str] | None = None,
    ) -> Crew:
        """Workers for so many calls at once. make: can be pickled unless jobs is 1 and this is the local engine.

        threads: processors of a worker on a CPU. jobs: workers on this machine. variables: of their environment.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of what the crews ran on."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


class LocalEngine(Engine):
    """This process for one job, processes beside it for more."""

    def crew(
        self,
        make: Make,
        *,
        threads: int,
        device: str,
        calls: int,
        jobs: int,
        variables: Mapping[str, str] | None = None,
    ) -> Crew:
        """`jobs` processes, or fewer where there are fewer calls."""
        from evonas.engines.processes import ProcessCrew

        size = min(jobs, calls)
        return ProcessCrew(make, size, variables) if size > 1 else Here(make)

    def close(self) -> None:
        """A crew has let go of everything itself."""


class RayEngine(Engine):
    """A Ray cluster."""

    measures = True

    def __init__(self, address: str | None) -> None:
        """address: of the cluster; None: RAY_ADDRESS, or without it one of its own on this machine.

        Raises ConfigError where Ray is not installed, or there is no cluster.
        """
        from evonas.engines.on_ray import connected

        self._ray = connected(address)

    def crew(
        self,
        make: Make,
        *,
        threads: int,
        device: str,
        calls: int,
        jobs: int,
        variables: Mapping[str, str] | None = None,
    ) -> Crew:
        """As many actors as the cluster has room for, or fewer where there are fewer calls. Raises ConfigError."""
        from evonas.engines.on_ray import RayCrew

        return RayCrew(self._ray, make, threads=threads, device=device, most=calls, variables=variables or {})

    def close(self) -> None:
        """Leave the cluster, and end it where it is its own."""
        self._ray.shutdown()


def engine(name: str, address: str | None = None) -> Engine:
    """The engine of that name. Raises ConfigError where there is none, or where it cannot be used."""
    if name not in ENGINES:
        raise ConfigError(f"--engine {name!r} is unknown{nearest(name, ENGINES)}")
    if name == "ray":
        return RayEngine(address)
    if address is not None:
        raise ConfigError("--ray-address is for --engine ray; add that, or leave the address out")
    return LocalEngine()
