"""A generation on Ray with more workers than processors, held against the model of docs/cluster.md.

    python tests/benchmarks/cluster_growth.py [--workers 1,2,4,8,16,32] [--megabytes 1,8]

Measuring sleeps instead of computing, so that workers can be many on few processors: all else is as in a search. The
parts of the model are timed alone, with one worker (the rate of tasks with the most), and predict the others. Ray
starts on this machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from cluster import ROUNDS, tasks
from figures import prepare, report, seconds

from evonas.engines.crew import Call, Crew, encoded
from evonas.engines.engine import RayEngine
from evonas.engines.measuring import SpreadMeasurer

POPULATION = 64
WORK = 6.0  # seconds, of a population in one process


class Sleeper:
    """A bench that takes up the weights of a state as the true one does, and then sleeps for each network."""

    def __init__(self) -> None:
        self._supernet: torch.nn.Module | None = None
        self._state: int | None = None

    def measure(
        self, genotypes: Sequence[Sequence[int]], state: int, weights: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Scores as the bench gives them."""
        if state != self._state:
            self.take(weights)
            self._state = state
        time.sleep(WORK / POPULATION * len(genotypes))
        return {"scores": [(0.0, 0.0)] * len(genotypes), "reasons": []}

    def take(self, weights: Callable[[], Mapping[str, Any]]) -> None:
        """Fetch the weights and load them."""
        found = weights()
        if self._supernet is None:
            self._supernet = supernet_of(sum(tensor.nbytes for tensor in found.values()))
        self._supernet.load_state_dict(found)


def supernet_of(size: int) -> torch.nn.Module:
    """Weights of so many bytes, in a hundred tensors."""
    return torch.nn.ParameterList([torch.zeros(size // 400) for _ in range(100)])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,4,8,16,32", help="numbers of workers to measure")
    parser.add_argument("--megabytes", default="1,8", help="sizes of a state of the supernet")
    chosen = parser.parse_args()
    numbers = [int(number) for number in chosen.workers.split(",")]
    os.environ.setdefault("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    prepare()
    import ray

    ray.init(address="local", num_cpus=max(numbers), include_dashboard=False, log_to_driver=False)
    with RayEngine(None) as engine:
        rate = tasks(engine, max(numbers))
        for size in (int(float(megabytes) * 1e6) for megabytes in chosen.megabytes.split(",")):
            with crew_of(engine, 1) as crew:
                sent, taken = state(crew, size)
            for number in numbers:
                generation(engine, number, size, sent + taken * max(1, number / cores()) + number / rate)


def cores() -> int:
    """Processors of this machine, which all workers share."""
    return len(os.sched_getaffinity(0))


def crew_of(engine: RayEngine, workers: int) -> Crew:
    """Workers with a Sleeper each."""
    return engine.crew(Sleeper, threads=1, device="cpu", calls=workers, jobs=1)


def state(crew: Crew, size: int) -> tuple[float, float]:
    """Seconds that the driver needs for a state of that many bytes, and a worker to take it."""
    supernet = supernet_of(size)
    sent, taken, without = [], [], []
    for _ in range(ROUNDS + 1):
        shared: list[Any] = []
        sent.append(seconds(lambda into=shared: into.append(crew.share(encoded(supernet.state_dict())))))
        taken.append(seconds(lambda what=shared[0]: list(crew.results(deque([Call("take", shared=what)])))))
        without.append(seconds(lambda: list(crew.results(deque([Call("__str__")])))))
    costs = np.array(taken) - np.array(without)
    report("seconds for the driver to encode a state and put it", sent[1:], bytes=size)
    report("seconds for a worker to take it", costs[1:], bytes=size)
    return float(np.median(sent[1:])), float(np.median(costs[1:]))


def generation(engine: RayEngine, workers: int, size: int, predicted: float) -> None:
    """Seconds of a population on a new state beyond its share of the work, and what the model says they are."""
    supernet = supernet_of(size)
    population = [(gene,) for gene in range(POPULATION)]  # no prefixes in common, so that shares are equal
    with crew_of(engine, workers) as crew:
        spread = SpreadMeasurer(SimpleNamespace(measurer=SimpleNamespace(supernet=supernet)), crew)  # type: ignore[arg-type]
        taken = []
        for _ in range(ROUNDS + 1):
            with torch.no_grad():
                next(supernet.parameters()).add_(1)  # a state that no worker has
            taken.append(seconds(partial(spread.measure, population)))
    seen = np.array(taken[1:])  # the workers start in the first
    about = {"workers": workers, "bytes": size, "model": round(predicted, 4)}
    report("seconds of a generation beyond its share of the work", seen - WORK / workers, **about)
    report("those / the model's", (seen - WORK / workers) / predicted, **about)


if __name__ == "__main__":
    main()
