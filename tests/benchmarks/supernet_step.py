"""The supernet's path against the stand-alone subnet of the same depth and width, at one genotype.

    python tests/benchmarks/supernet_step.py [--space nb-macro] [--batch 96] [--pixels 32] [--pairs 15] [--threads 1]

JSON lines: training step (as the trainer makes it, and a plain loop's for the subnet), forward pass, and peak memory of
a training step above the weights. One path a step is to cost one path.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from figures import DEVICE, PAIRS, in_turn, made, noise, prepare, report
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from evonas.networks import build_subnet, initialised
from evonas.seeding import Seeds
from evonas.supernet.sgd import PathSGD
from evonas.supernet.training import SupernetTrainer

SPACES: dict[str, dict[str, Any]] = {
    "nb-macro": {"name": "nb-macro", "width": 16},
    "single-path": {"name": "single-path", "width": 16},
    "darts": {"name": "darts"},
}


def main() -> None:
    """Time and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", choices=SPACES, help="one space alone")
    for name, value in (("batch", 64), ("pixels", 32), ("pairs", 2 * PAIRS + 1), ("threads", 1), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    prepare(chosen.threads)
    for name in [chosen.space] if chosen.space else SPACES:
        compare(name, chosen)


def compare(name: str, chosen: argparse.Namespace) -> None:
    """The figures of one space."""
    settings, space, supernet, arithmetic = made(SPACES[name])
    genotype = space.sample(np.random.default_rng(chosen.seed))
    with initialised(0):
        subnet = arithmetic.placed(build_subnet(space, genotype, 3, 10, shared=True))
    data = noise(chosen.batch, chosen.pixels)
    images = arithmetic.laid_out(data.weights.images.float() / 255)
    labels = data.weights.labels
    trainer = SupernetTrainer(
        space, supernet, data, settings.supernet, settings.finetune, Seeds(chosen.seed), arithmetic
    )
    alone = plain_step(subnet, images, labels)

    def path() -> None:
        trainer._step(images, labels, [genotype], 0.01)

    supernet.train(), subnet.train()  # once, as the trainer does: it visits every module
    about = {"space": name, "batch": chosen.batch, "pixels": chosen.pixels, "genotype": list(genotype)}
    report("supernet step / subnet step, training", in_turn(path, alone, chosen.pairs), 1.03, **about)
    supernet.eval(), subnet.eval()
    with torch.inference_mode():
        ratios = in_turn(lambda: supernet(images, genotype), lambda: subnet(images), 3 * chosen.pairs)
    report("supernet step / subnet step, forward", ratios, 1.02, **about)
    supernet.train(), subnet.train()
    peak(alone)  # the profiler's first use holds more
    memory = np.array([peak(path) / peak(alone) for _ in range(3)])
    report("supernet step / subnet step, peak memory above the weights", memory, 1.05, **about)


def plain_step(module: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A whole training step of an ordinary module, as a plain loop makes it."""
    parameters = list(module.parameters())
    optimizer = PathSGD(module, 0.9, 3e-4)

    def make() -> None:
        F.cross_entropy(module(images), labels).backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step(parameters, 0.01)

    return make


def peak(work: Callable[[], None]) -> float:
    """Most bytes that one call holds at a time beyond what was there before, as the allocator counts them."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return float(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    assert profiled.profiler is not None
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return float(np.cumsum(changes).max())


if __name__ == "__main__":
    main()
