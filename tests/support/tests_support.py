"""What the tests compare with."""

from __future__ import annotations

from typing import Any

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


def tiny_settings(*assignments: str) -> Settings:
    """Settings of a run that takes a second; further assignments on top."""
    return build(with_assignments({}, [*TINY, *assignments]))


def snapshot(parts: Any) -> dict[str, Any]:
    """Everything a measurement must not change: weights, buffers, optimiser, modes, norms, torch's generator."""
    return {
        "weights": {name: tensor.clone() for name, tensor in parts.supernet.state_dict().items()},
        "optimizer": {
            index: {name: value.clone() for name, value in buffers.items() if isinstance(value, torch.Tensor)}
            for index, buffers in parts.trainer.optimizer.state_dict()["state"].items()
        },
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
