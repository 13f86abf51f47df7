"""Training steps that several processes share, started by torchrun: each has its rows of every batch.

The first one does the run; the others do its steps with it and nothing else. Gradients are added up explicitly and not
by DistributedDataParallel, which wants the same parameters in every step or looks for the unused ones in each: here a
step has those of its path alone, and all processes know which.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from evonas.arithmetic import Arithmetic, set_up
from evonas.config import Settings, build
from evonas.data import load
from evonas.engines.crew import decoded, encoded
from evonas.errors import DataError, TrainingError
from evonas.networks import build_supernet
from evonas.seeding import Seeds
from evonas.spaces import build_space
from evonas.spaces.base import Genotype
from evonas.supernet.stretch import Progress
from evonas.supernet.training import SupernetTrainer

FOREVER = timedelta(days=365)  # the others wait while the first one measures; a dead one is noticed by its connection


class Ranks:
    """The processes that share the steps, and which of them this is."""

    def __init__(self) -> None:
        """Join the others, on a GPU of its own where there are GPUs; variables of torchrun say where they are."""
        gpus = torch.cuda.is_available()
        if gpus:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        if not distributed.is_initialized():
            distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=FOREVER)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def rows(self, images: int) -> slice:
        """Which of a batch of so many images are this process's; perhaps none."""
        share = -(-images // self.size)
        return slice(min(self.rank * share, images), min((self.rank + 1) * share, images))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, all of one dtype, by its sum over the processes."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def tell(self, order: Any) -> None:
        """Tell the others plain data with tensors; None is the end."""
        content = torch.frombuffer(bytearray(encoded(order)), dtype=torch.uint8)
        distributed.broadcast(torch.tensor([len(content)]), 0)
        distributed.broadcast(content, 0)

    def told(self) -> Any:
        """What the first process says next."""
        length = torch.zeros(1, dtype=torch.int64)
        distributed.broadcast(length, 0)
        content = torch.empty(int(length), dtype=torch.uint8)
        distributed.broadcast(content, 0)
        return decoded(content.numpy().tobytes())


class LeadingTrainer(SupernetTrainer):
    """The first process's trainer: before each stretch it tells the others what to do, and the state to do it from."""

    ranks: Ranks

    def warm_up_epoch(self, epoch: int, progress: Progress = lambda steps: None) -> float:
        """As that of any trainer."""
        self._tell("warm_up_epoch", epoch)
        return super().warm_up_epoch(epoch, progress)

    def fine_tune(
        self, population: Sequence[Genotype], phase: int, phases: int, progress: Progress = lambda steps: None
    ) -> float:
        """As that of any trainer."""
        self._tell("fine_tune", population, phase, phases)
        return super().fine_tune(population, phase, phases, progress)

    def fine_tune_candidate(self, genotype: Genotype, index: int, members: int, phase: int, phases: int) -> float:
        """As that of any trainer."""
        self._tell("fine_tune_candidate", genotype, index, members, phase, phases)
        return super().fine_tune_candidate(genotype, index, members, phase, phases)

    def _tell(self, method: str, *arguments: Any) -> None:
        self.ranks.tell({"method": method, "arguments": arguments, "state": self.state_dict()})


def begin(settings: Settings, digest: str) -> Ranks:
    """Join the others as the first process, and tell them what the run is. digest: of its images."""
    ranks = Ranks()
    ranks.tell({"settings": settings.model_dump(mode="json"), "digest": digest})
    return ranks


def follow() -> None:
    """Do the steps of the first process with it, until it says that this is the end. Raises DataError."""
    ranks = Ranks()
    run = ranks.told()
    if run is None:
        return
    trainer = _trainer(build(run["settings"]), run["digest"], ranks)
    while (order := ranks.told()) is not None:
        trainer.load_state_dict(order["state"])
        with suppress(TrainingError):  # the first process has the same, and says so
            getattr(trainer, order["method"])(*_with_tuples(order["arguments"]))


def _trainer(settings: Settings, digest: str, ranks: Ranks) -> SupernetTrainer:
    assert settings.threads is not None and settings.memory_format is not None and settings.precision is not None
    set_up(settings.threads, settings.device, settings.allocator, settings.deterministic)
    data = load(settings.dataset, torch.device(settings.device))
    if data.digest != digest:
        raise DataError("a process has other images than the first one; give all the same, in the same folder")
    arithmetic = Arithmetic.named(settings.device, settings.memory_format, settings.precision)
    space = build_space(settings.space)
    supernet = arithmetic.placed(build_supernet(space, data.shape[0], len(data.classes)))
    return SupernetTrainer(
        space, supernet, data, settings.supernet, settings.finetune, Seeds(settings.seed), arithmetic, ranks=ranks
    )


def _with_tuples(data: Any) -> Any:
    """Data with the lists that genotypes have become on the way as tuples again."""
    if isinstance(data, list):
        inner = [_with_tuples(value) for value in data]
        return tuple(inner) if all(isinstance(value, int) for value in inner) else inner
    return data
