"""A training step of the supernet against one of the stand-alone subnet of the same depth and width, at one genotype.

    python tests/benchmarks/supernet_step.py [--space darts] [--batch 96] [--pixels 32] [--pairs 15] [--threads 1]

Prints JSON lines: the ratio of the times (median over pairs timed alternately in this process, with the quartiles), and
that of the peak memory above the weights. One path a step is to cost one path: at most 1.10 and 1.05.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from evonas.config import Settings, build
from evonas.environment import device_name
from evonas.networks import build_subnet, build_supernet, initialised
from evonas.spaces import build_space
from evonas.supernet.sgd import PathSGD


def main() -> None:
    """Time and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="darts")
    for name, value in (("batch", 96), ("pixels", 32), ("pairs", 15), ("threads", 1), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings: Settings = build({"space": {"name": chosen.space}})
    space = build_space(settings.space)
    genotype = space.sample(np.random.default_rng(chosen.seed))
    with initialised(0):
        supernet = build_supernet(space, 3, 10).to(device=device, memory_format=torch.channels_last)
        subnet = build_subnet(space, genotype, 3, 10, shared=True).to(device=device, memory_format=torch.channels_last)
    images = torch.randn(chosen.batch, 3, chosen.pixels, chosen.pixels, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(chosen.batch, device=device) % 10
    path = step(supernet, lambda: supernet(images, genotype), supernet.path_parameters(genotype), labels)
    alone = step(subnet, lambda: subnet(images), list(subnet.parameters()), labels)
    for _ in range(3):
        path(), alone()
    times = np.array([(seconds(path), seconds(alone)) for _ in range(chosen.pairs)])
    ratios = times[:, 0] / times[:, 1]
    about = {"space": chosen.space, "batch": chosen.batch, "pixels": chosen.pixels, "genotype": list(genotype)}
    about |= {"hardware": device_name(device), "threads": chosen.threads}
    report("supernet step / subnet step, time", ratios, 1.10, about)
    peak(alone, device)  # the profiler's first use holds more
    memory = np.array([peak(path, device) / peak(alone, device) for _ in range(3)])
    report("supernet step / subnet step, peak memory above the weights", memory, 1.05, about)


def step(module: nn.Module, forward: Callable[[], Any], used: list[nn.Parameter], labels: Any) -> Callable[[], None]:
    """A whole training step of a module, as the product makes it."""
    module.train()
    optimizer = PathSGD(module, 0.9, 3e-4)

    def make() -> None:
        F.cross_entropy(forward(), labels).backward()
        nn.utils.clip_grad_norm_(used, 5.0)
        optimizer.step(used, 0.01)
        if labels.is_cuda:
            torch.cuda.synchronize()

    return make


def seconds(work: Callable[[], None]) -> float:
    """Of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def peak(work: Callable[[], None], device: str) -> float:
    """Most bytes that one call holds at a time beyond what was there before, as the allocator counts them."""
    if device == "cuda":
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


def report(figure: str, values: np.ndarray, goal: float, about: dict[str, Any]) -> None:
    """One JSON line."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    spread = [round(float(low), 4), round(float(high), 4)]
    line = {"figure": figure, "value": round(float(middle), 4), "spread": spread, "pairs": len(values), "goal": goal}
    sys.stdout.write(json.dumps({**line, **about}) + "\n")


if __name__ == "__main__":
    main()
