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


class NodeStatistics:
    """Averages over fixed batches at every node of a `PrefixTree`, gathered and used without touching the buffers.

    They equal, bit for bit, what `recalibrated` gathers along each path by itself.
    """

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet
        self._averages: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self._norms: dict[int, list[nn.BatchNorm2d]] = {}
        self._gathered: dict[int, int] = {}

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Within it, the supernet's norms hold the statistics of the node that ran last."""
        norms = [part for part in self._supernet.modules() if isinstance(part, nn.BatchNorm2d)]
        kept = [(norm, norm.momentum, dict(norm.named_buffers())) for norm in norms]
        with modes_kept(self._supernet):
            try:
                yield
            finally:
                for norm, momentum, buffers in kept:
                    norm.momentum = momentum
                    for name, buffer in buffers.items():
                        setattr(norm, name, buffer)

    def gather(self, batch: int, node: int, module: nn.Module, images: Tensor) -> Tensor:
        """The node's output for calibration batch number `batch`; its share goes into the node's averages."""
        norms = self._norms_of(module)
        if node not in self._averages:
            device = images.device
            sizes = [norm.num_features for norm in norms]
            self._averages[node] = [(torch.zeros(n, device=device), torch.ones(n, device=device)) for n in sizes]
        again = self._gathered.get(node) == batch  # computed once more for want of memory: counted already
        self._gathered[node] = batch
        for norm in norms:
            norm.momentum = 0.0 if again else 1.0 / (batch + 1)  # a plain average, without torch's counter of batches
        return self.use(node, module, images)

    def use(self, node: int, module: nn.Module, images: Tensor) -> Tensor:
        """The node's output with its averages in the norms, which normalise by them in evaluation mode."""
        for norm, (mean, variance) in zip(self._norms_of(module), self._averages[node], strict=True):
            norm.running_mean, norm.running_var, norm.num_batches_tracked = mean, variance, None
        output: Tensor = module(images)
        return output

    def _norms_of(self, module: nn.Module) -> list[nn.BatchNorm2d]:
        if id(module) not in self._norms:
            self._norms[id(module)] = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        return self._norms[id(module)]


@torch.no_grad()
def gather(module: nn.Module, norms: Sequence[nn.BatchNorm2d], inputs: Sequence[tuple[object, ...]]) -> None:
    """Replace the norms' statistics by plain averages over calls of `module` with `inputs`."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's cumulative average: every batch counts the same
    module.train()
    for arguments in inputs:
        module(*arguments)
