"""What the benchmarks share: two things timed in turn, one JSON line a figure, data and networks to time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from evonas.arithmetic import Arithmetic, set_up
from evonas.config import Settings, build
from evonas.data import ImageData, Part
from evonas.environment import device_name
from evonas.networks import Supernet, build_supernet, initialised
from evonas.spaces import build_space
from evonas.spaces.base import Space

PAIRS = 7
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def prepare(threads: int = 1) -> None:
    """Switches of the process as a run sets them."""
    set_up(threads, DEVICE, "keep")


def seconds(work: Callable[[], object]) -> float:
    """Of one call, with what it queued on a GPU."""
    begin = time.perf_counter()
    work()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def in_turn(first: Callable[[], object], second: Callable[[], object], pairs: int = PAIRS) -> np.ndarray:
    """Ratios (pairs,) of the seconds of `first` to those of `second`, called alternately after one warm-up each."""
    first(), second()
    return np.array([seconds(first) / seconds(second) for _ in range(pairs)])


def report(figure: str, values: Sequence[float] | np.ndarray, goal: float | None = None, **about: Any) -> None:
    """One JSON line: median and quartiles of `values`."""
    low, middle, high = (round(float(value), 4) for value in np.percentile(values, [25, 50, 75]))
    line = {"figure": figure, "value": middle, "spread": [low, high], "pairs": len(values), "goal": goal}
    hardware = {"hardware": device_name(DEVICE), "threads": torch.get_num_threads()}
    sys.stdout.write(json.dumps({**line, **about, **hardware}) + "\n")
    sys.stdout.flush()


def made(space: dict[str, Any], classes: int = 10) -> tuple[Settings, Space, Supernet, Arithmetic]:
    """Settings, space and supernet, laid out as a run lays them out."""
    settings = build({"space": space})
    arithmetic = Arithmetic.named(DEVICE, "channels_last", "float32")
    built = build_space(settings.space)
    with initialised(0):
        supernet = build_supernet(built, 3, classes)
    return settings, built, arithmetic.placed(supernet), arithmetic


def noise(images: int, pixels: int, classes: int = 10) -> ImageData:
    """Images of noise, to time: as many to train on, to measure and to test."""
    draws = torch.Generator().manual_seed(0)
    part = Part(
        torch.randint(0, 256, (images, 3, pixels, pixels), dtype=torch.uint8, generator=draws).to(DEVICE),
        (torch.arange(images) % classes).to(DEVICE),
    )
    names = tuple(map(str, range(classes)))
    return ImageData("noise", names, part, part, (0.5,) * 3, (0.25,) * 3, True, 4, "", part)
