"""The part of result.json that every kind of run has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evonas.config import Settings, short_name
from evonas.environment import commit, device_name, versions
from evonas.search.fitness import Measurement, knee
from evonas.spaces import Space
from evonas.stored import FORMAT


def common(
    settings: Settings, space: str, device: str, generations: int, evaluations: int, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """What ran, on what, and how much of it. space: its name. device: as torch names it. seconds: by phase."""
    return {
        "complete": True,
        "format": FORMAT,
        "algorithm": "retrain" if settings.retrain.genotypes else short_name(settings.search.algorithm),
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


def named(objectives: Sequence[str], measured: Measurement) -> dict[str, float]:
    """The objectives of a measurement by name."""
    return dict(zip(objectives, measured.objectives, strict=True))


def front_result(
    space: Space,
    objectives: Sequence[str],
    front: Sequence[Measurement],
    hypervolume: float | None,
    retrained: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """The final front in short: size, hypervolume, its knee, and what was retrained of it; None where there is none.

    retrained: rows with genotype, params, flops and test_error; each gets the error that the supernet gave it.
    """
    if not front:
        return None
    middle = knee(front)
    by_genotype = {m.genotype: m for m in front}
    return {
        "size": len(front),
        "hypervolume": hypervolume,
        "knee": {
            "genotype": list(middle.genotype),
            "architecture": space.describe(middle.genotype),
            "supernet_error": middle.details.get("error"),
            "params": int(middle.details["params"]),
            "flops": int(middle.details["flops"]),
            "objectives": named(objectives, middle),
        },
        "retrained": [
            {**row, "supernet_error": measured.details.get("error"), "objectives": named(objectives, measured)}
            for row in retrained
            if (measured := by_genotype.get(tuple(row["genotype"]))) is not None
        ],
    }
