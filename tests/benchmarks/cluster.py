"""What Ray costs a generation, and what processes gain in retraining.

    python tests/benchmarks/cluster.py [--workers 1,2,4] [--no-retraining]

Digits, with the supernet and a population of `configs/digits.yaml`. Ray starts on this machine, with a processor for
each worker whether there is one or not, or is reached at RAY_ADDRESS. `cluster_growth.py` holds more workers against
the model of docs/cluster.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import in_turn, prepare, report, seconds

from evonas.arithmetic import Arithmetic
from evonas.config import Settings, build, read_yaml, with_assignments
from evonas.data import load
from evonas.engines.bench import Bench, bench
from evonas.engines.crew import Call, Crew, Here, encoded
from evonas.engines.engine import RayEngine
from evonas.engines.measuring import SpreadMeasurer
from evonas.engines.processes import ProcessCrew
from evonas.experiment import effective
from evonas.networks import build_supernet
from evonas.search.base import random_networks
from evonas.spaces import build_space
from evonas.supernet.careful import CarefulMeasurer
from evonas.supernet.measuring import Measurer

CONFIG = Path(__file__).parents[2] / "configs" / "digits.yaml"
TASKS = 200
ROUNDS = 5


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,4", help="numbers of workers to measure")
    parser.add_argument("--no-retraining", action="store_true", help="Ray alone")
    chosen = parser.parse_args()
    numbers = [int(number) for number in chosen.workers.split(",")]
    os.environ.setdefault("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    prepare()
    for batch_size in () if chosen.no_retraining else (64, 128):
        side_by_side(batch_size, (1, 1))
        side_by_side(batch_size, (0, 1))
    if "RAY_ADDRESS" not in os.environ:
        import ray

        ray.init(address="local", num_cpus=max(numbers), include_dashboard=False, log_to_driver=False)
    with RayEngine(None) as engine:
        for number in numbers:
            tasks(engine, number)
            generation(engine, number)


def side_by_side(batch_size: int, genes: tuple[int, int]) -> None:
    """An epoch of each of two networks: in turn on two threads, against both at once on one thread each.

    genes: of the one network and of the other, all of them; 0 is identity, so that such a network is far smaller.
    """
    changes = [
        "threads=2", "dataset.image_size=16", "space={name: nb-macro, width: 16, head: 64}",
        f"retrain.batch_size={batch_size}", "retrain.epochs=1000",
    ]  # fmt: skip
    one = settings_of(*changes, "retrain.threads=1")
    data = load(one.dataset, torch.device("cpu"))
    networks = [tuple([gene] * 8) for gene in genes]
    two = settings_of(*changes, "retrain.threads=2")
    here = Here(lambda: Bench(two, data, arithmetic_of(two)))
    with ProcessCrew(partial(bench, one.model_dump(mode="json"), data.digest), 2) as crew:
        states: dict[tuple[Crew, int], Any] = {}

        def epoch(by: Crew) -> None:
            arguments = [(f"random {n}", genotype, 0, states.get((by, n))) for n, genotype in enumerate(networks)]
            for call, found in by.results(deque(Call("train", a, n) for n, a in enumerate(arguments))):
                states[by, call.about] = found["state"]

        ratios = in_turn(partial(epoch, here), partial(epoch, crew), ROUNDS)
    what = "two networks in turn on two threads / side by side on one each"
    report(what, ratios, batch_size=batch_size, genes=genes, images=len(data.train))


def tasks(engine: RayEngine, workers: int) -> float:
    """Calls of next to no work in a second, sent as a population's shares are."""
    with engine.crew(partial(str, "a"), threads=1, device="cpu", calls=workers, jobs=1) as crew:
        list(crew.results(deque([Call("upper")] * workers)))
        taken = [seconds(lambda: list(crew.results(deque([Call("upper")] * TASKS)))) for _ in range(ROUNDS)]
    report("tasks a second", TASKS / np.array(taken), workers=workers)
    return TASKS / float(np.median(taken))


def generation(engine: RayEngine, workers: int) -> None:
    """A population on a new state: by Ray, with the state's way through the object store, and in this process."""
    settings = settings_of()
    data, space = load(settings.dataset, torch.device("cpu")), build_space(settings.space)
    arithmetic = arithmetic_of(settings)
    supernet = arithmetic.placed(build_supernet(space, data.shape[0], len(data.classes)))
    careful = CarefulMeasurer(Measurer(supernet, data, settings.measure, arithmetic))
    assert settings.search.population is not None
    population = random_networks(space, settings.search.population, np.random.default_rng(0))
    make = partial(bench, settings.model_dump(mode="json"), data.digest)
    with engine.crew(make, threads=1, device="cpu", calls=workers, jobs=1) as crew:
        spread = SpreadMeasurer(careful, crew)
        away, here = [], []
        for round_ in range(ROUNDS + 2):
            with torch.no_grad():
                next(supernet.parameters()).add_(1e-3)  # a state that no worker has
            away.append(seconds(partial(spread.measure, population)))
            here.append(seconds(partial(careful.measure, population)))
            if round_ < 2:
                away.clear(), here.clear()  # the workers are still loading
    about = {"workers": workers, "population": len(population), "state_bytes": len(encoded(supernet.state_dict()))}
    report("a generation measured on Ray / here", np.array(away) / np.array(here), **about)
    report(
        "seconds a generation costs more than its share of the work", np.array(away) - np.array(here) / workers, **about
    )


def settings_of(*assignments: str) -> Settings:
    """The effective settings of digits, changed."""
    return effective(build(with_assignments(read_yaml(CONFIG), ["device=cpu", *assignments])))


def arithmetic_of(settings: Settings) -> Arithmetic:
    """As a run has it."""
    assert settings.memory_format is not None and settings.precision is not None
    return Arithmetic.named(settings.device, settings.memory_format, settings.precision)


if __name__ == "__main__":
    main()
