"""Batch-norm statistics while a path is measured. Each mode leaves the supernet exactly as it found it (invariant I2).

batch: those of the measured batch itself. recalibrate: gathered anew along the path over fixed training images, as a
plain average. running: those that training left in the buffers, which mix all paths (for comparison only).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from evonas.networks import Supernet
from evonas.spaces.base import Genotype


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Put every submodule's training flag back afterwards, whatever happens."""
    before = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


@contextmanager
def batch_statistics(module: nn.Module) -> Iterator[None]:
    """Every batch norm normalises by the batch that it sees, and its buffers stay untouched."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    with modes_kept(module):
        module.eval()
        tracked = [norm.track_running_stats for norm in norms]
        try:
            for norm in norms:
                # In training mode without tracking torch uses batch statistics and passes no buffers to the kernel.
                norm.training, norm.track_running_stats = True, False
            yield
        finally:
            for norm, tracking in zip(norms, tracked, strict=True):
                norm.track_running_stats = tracking


@contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Every batch norm normalises by its buffers."""
    with modes_kept(module):
        module.eval()
        yield


@contextmanager
def recalibrated(supernet: Supernet, genotype: Genotype, batches: Sequence[Tensor]) -> Iterator[None]:
    """The path's batch norms normalise by averages over `batches` of normalised images; buffers return afterwards."""
    norms = supernet.path_norms(genotype)
    kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    with modes_kept(supernet):
        try:
            gather(supernet, norms, [(images, genotype) for images in batches])
            supernet.eval()
            yield
        finally:
            for norm, buffers, momentum in zip(norms, kept, momenta, strict=True):
                norm.momentum = momentum
                for name, value in buffers.items():
                    getattr(norm, name).copy_(value)


@torch.no_grad()
def gather(module: nn.Module, norms: Sequence[nn.BatchNorm2d], inputs: Sequence[tuple[object, ...]]) -> None:
    """Replace the norms' statistics by plain averages over calls of `module` with `inputs`."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's cumulative average: every batch counts the same
    module.train()
    for arguments in inputs:
        module(*arguments)
