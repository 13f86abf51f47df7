"""What the tests compare with."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from evonas.config import Settings, build, with_assignments

TINY = (
    "device=cpu",
    "threads=1",
    "dataset.fitness_share=0.3",
    "space.width=4",
    "space.layers=[1,2]",
    "space.strides=[2,2]",
    "space.head=8",
    "space.operations=[conv3,sep3,mb3x3,maxpool3,skip]",
    "supernet.epochs=2",
    "supernet.batch_size=128",
    "finetune.epochs=1",
    "search.population=6",
    "search.generations=3",
    "search.elites=1",
    "search.immigrants=1",
    "problem.objectives=[loss]",
    "retrain.epochs=2",
    "retrain.batch_size=256",
    "retrain.references=1",
)

# By name: an assignment on top of TINY that makes a small space of each.
SMALL_SPACES = {
    "single-path": "space.width=4",
    "nb-macro": "space={name: nb-macro, width: 4, head: 8}",
    "nb201": "space={name: nb201, width: 4, cells: 1}",
    "darts": "space={name: darts, width: 2, cells: 3, retrain_width: 3, retrain_cells: 4}",
}

NB201_TABLE = Path(__file__).resolve().parents[3] / "shared" / "benchmarks" / "nb201_cifar.csv"
needs_nb201_table = pytest.mark.skipif(not NB201_TABLE.is_file(), reason=f"the table {NB201_TABLE} is not there")


def tiny_settings(*assignments: str) -> Settings:
    """Settings of a run that takes a second; further assignments on top."""
    return build(with_assignments({}, [*TINY, *assignments]))


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def compared(run: Path) -> tuple[Any, ...]:
    """What two equal runs have in common: history and front without their times, and the best."""

    def without_times(name: str) -> list[dict[str, str]]:
        return [{k: v for k, v in row.items() if k not in ("seconds", "latency_ms")} for row in rows(run / name)]

    best = json.loads((run / "result.json").read_text())["best"]
    return without_times("history.csv"), without_times("pareto.csv"), best


def snapshot(parts: Any) -> dict[str, Any]:
    """Everything a measurement must not change: weights, buffers, optimiser, modes, norms, torch's generator."""
    return {
        "weights": {name: tensor.clone() for name, tensor in parts.supernet.state_dict().items()},
        "optimizer": {name: buffer.clone() for name, buffer in parts.trainer.optimizer.state_dict().items()},
        "modes": [module.training for module in parts.supernet.modules()],
        "norms": [
            (module.momentum, module.track_running_stats)
            for module in parts.supernet.modules()
            if isinstance(module, torch.nn.BatchNorm2d)
        ],
        "torch": torch.get_rng_state(),
    }


def same(first: Any, second: Any) -> bool:
    """Equality of nested data with tensors, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return bool(first == second)
