"""Workers on a Ray cluster: actors, each with the processors or the GPU that one worker needs."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from evonas.engines.crew import Call, Make, RemoteCrew, Servant, Worker, WorkerDiedError, decoded, encoded
from evonas.errors import ConfigError

# Read when ray is imported: it tells nobody of its use, and a cluster of its own is reached from this machine alone.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def require_ray() -> None:
    """Raise ConfigError where Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray, which is not installed; install it by `pip install 'evonas[ray]'`")


def connected(address: str | None) -> ModuleType:
    """Ray, connected to the cluster at `address`, or by default at RAY_ADDRESS; without either to one of its own.

    Raises ConfigError where there is no cluster at the address.
    """
    require_ray()
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    own = address == "local"
    for name, value in {**QUIET, **(LOOPBACK if own else {})}.items():
        os.environ.setdefault(name, value)
    ray = import_module("ray")
    if ray.is_initialized():
        return ray
    _require_reachable(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        dashboard = False if own else None  # which another cluster has or has not
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
    except Exception as error:  # one that does not come up raises just that
        raise _no_cluster(address, error) from None
    finally:
        signal.signal(signal.SIGTERM, before)  # ray.init takes it
    return ray


def _require_reachable(address: str) -> None:
    """Raise ConfigError where nobody listens at HOST:PORT; ray.init would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:  # local, auto, or a client's ray://HOST:PORT
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:160]
    where = "could be started here" if address == "local" else f"answers at {address}"
    return ConfigError(
        f"no Ray cluster {where} ({reason}); start one by `ray start --head`, and where it wants a token set "
        "RAY_AUTH_MODE=token"
    )


class RayServant(Servant):
    """A Servant that fetches what is shared from the object store, once it needs it."""

    def answer_call(self, method: str, arguments: bytes, shared: list[Any] | None) -> bytes:
        """Answer a call; shared: a reference to the bytes, in a list so that Ray leaves it as it is."""
        import ray

        return self.answer(method, arguments, None if shared is None else lambda: ray.get(shared[0]))


class RayWorker(Worker):
    """An actor."""

    def __init__(self, ray: ModuleType, make: Make, options: Mapping[str, Any]) -> None:
        self._ray = ray
        self._actor = ray.remote(RayServant).options(**options).remote(make)
        self.reply: Any = None  # to the call under way

    def begin(self, call: Call) -> None:
        """Send a call off."""
        self.reply = self._actor.answer_call.remote(call.method, encoded(call.arguments), call.shared)

    def result(self) -> Any:
        """What the call has returned, or raised."""
        exceptions = self._ray.exceptions
        try:
            return decoded(self._ray.get(self.reply))
        except exceptions.RayTaskError as error:
            raise error.cause from None
        except (exceptions.RayActorError, exceptions.ObjectLostError) as error:
            raise WorkerDiedError(" ".join(str(error).split())[:160]) from None

    def dismiss(self) -> None:
        """Kill the actor."""
        self._ray.kill(self._actor)


class RayCrew(RemoteCrew[RayWorker]):
    """Actors, as many as the cluster has room for at the time, `most` of them at most."""

    def __init__(
        self, ray: ModuleType, make: Make, *, threads: int, device: str, most: int, variables: Mapping[str, str]
    ) -> None:
        """threads: processors of a worker on a CPU; on cuda each has one GPU. variables: of their environment."""
        self._ray = ray
        self._make = make
        self._resource, self._each = ("GPU", 1) if device == "cuda" else ("CPU", threads)
        needs = {"num_gpus": 1} if device == "cuda" else {"num_cpus": threads}
        self._options = {**needs, "runtime_env": {"env_vars": dict(variables)}} if variables else needs
        self._most = most
        super().__init__(self._room())
        if not self.size:
            what = (
                "a GPU" if device == "cuda" else f"{threads} processors, which is what a worker of these threads needs"
            )
            raise ConfigError(f"no node of the Ray cluster has {what}; add one, or start the run with other settings")

    def _room(self) -> int:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return min(self._most, sum(int(resources.get(self._resource, 0) // self._each) for resources in nodes))

    def _hired(self) -> RayWorker:
        return RayWorker(self._ray, self._make, self._options)

    def _answered(self, workers: Sequence[RayWorker]) -> Sequence[RayWorker]:
        by_reply = {worker.reply: worker for worker in workers}
        done, _ = self._ray.wait(list(by_reply), num_returns=1)
        return [by_reply[reply] for reply in done]

    def share(self, content: bytes) -> Any:
        """A reference into the object store, in a list."""
        return [self._ray.put(content)]
