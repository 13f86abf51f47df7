"""Run folders written by hand, as a run with full budgets would leave them. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evonas.config import build, read_yaml, shipped, to_yaml, with_assignments

HISTORY = (
    "generation,state,genotype,canonical,origin,error,loss,params,flops,seconds\n"
    '0,0,"[0, 1]","[0, 1]",initial,12.5,0.5,1000,2000,0.1\n'
    '1,1,"[1, 1]","[1, 1]",child,11.5,0.4,1500,2500,0.1\n'
)
GENERATIONS = (
    "generation,state,n,best,median,hypervolume,repairs,seconds\n0,0,1,12.5,12.5,,0,0.1\n1,1,1,11.5,11.5,,0,0.1\n"
)


def write_run(
    path: Path,
    *assignments: str,
    dataset: str = "cifar10",
    seed: int = 0,
    error: object = 2.6,
    days: object = 0.4,
    **changes: Any,
) -> Path:
    """A finished run of the data set's shipped settings with `assignments`; `changes` replace keys of result.json."""
    file = shipped(dataset)
    assert file is not None
    settings = build(with_assignments(read_yaml(file), [f"seed={seed}", *assignments]))
    result = {
        "complete": True,
        "algorithm": settings.search.algorithm,
        "dataset": settings.dataset.name,
        "seed": seed,
        "device": "NVIDIA H100",
        "images": {"weights": 40_000, "fitness": 10_000},
        "search_gpu_days": days,
        "best": {"genotype": [1, 1], "architecture": ["conv3"], "test_error": error, "params": 3_000_000, "flops": 1},
        "unfair": [],
        **changes,
    }
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(to_yaml(settings))
    (path / "history.csv").write_text(HISTORY)
    (path / "generations.csv").write_text(GENERATIONS)
    (path / "pareto.csv").write_text(HISTORY)
    (path / "result.json").write_text(json.dumps(result))
    return path
