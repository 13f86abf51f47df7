"""The part of result.json that every kind of run has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evonas.config import Settings
from evonas.environment import commit, device_name, versions


def common(
    settings: Settings, space: str, device: str, generations: int, evaluations: int, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """What ran, on what, and how much of it. space: its name. device: as torch names it. seconds: by phase."""
    return {
        "complete": True,
        "format": 1,
        "algorithm": settings.search.algorithm,
        "dataset": settings.dataset.name,
        "space": space,
        "seed": settings.seed,
        "device": device_name(device),
        "threads": settings.threads,
        "versions": versions(),
        "commit": commit(),
        "generations": generations,
        "evaluations": evaluations,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
