"""Steps that processes share equal those of one process that accumulates the gradients of the same parts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests_support import rows, tiny_settings
from torch import Tensor

from evonas.config import to_yaml
from evonas.errors import ConfigError
from evonas.experiment import effective, start
from evonas.progress import Silent
from evonas.seeding import Seeds
from evonas.supernet.training import SupernetTrainer


class Threads:
    """Stands for processes: two threads that add up under a barrier."""

    size = 2

    def __init__(self, rank: int, barrier: threading.Barrier, box: list[Any]) -> None:
        self.rank, self._barrier, self._box = rank, barrier, box

    def rows(self, images: int) -> slice:
        half = -(-images // 2)
        return slice(0, half) if self.rank == 0 else slice(half, images)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        self._box[self.rank] = [tensor.clone() for tensor in tensors]
        self._barrier.wait()
        for tensor, first, second in zip(tensors, *self._box, strict=True):
            tensor.copy_(first + second)
        self._barrier.wait()


def trained(made: Any, ranks: Any = None, processes: int = 1) -> SupernetTrainer:
    """A trainer behind an epoch of warm-up and a phase of fine-tuning."""
    settings = made.settings
    trainer = SupernetTrainer(
        made.space,
        made.supernet,
        made.data,
        settings.supernet,
        settings.finetune,
        Seeds(0),
        made.arithmetic,
        ranks=ranks,
        processes=processes,
    )
    trainer.warm_up_epoch(0)
    trainer.fine_tune([(0, 1, 2), (2, 0, 3)], 0, 2)
    return trainer


@pytest.mark.parametrize("sampler", ["uniform", "fair"])
@pytest.mark.parametrize("batch_size", [64, 65])
def test_two_processes_equal_one_that_accumulates(parts: Callable[..., Any], sampler: str, batch_size: int) -> None:
    assignments = f"supernet.sampler={sampler}", f"supernet.batch_size={batch_size}"
    one = trained(parts(*assignments), processes=2)
    box: list[Any] = [None, None]
    barrier, found = threading.Barrier(2, timeout=60), {}

    def work(rank: int) -> None:
        found[rank] = trained(made[rank], Threads(rank, barrier, box))

    made = [parts(*assignments) for _ in range(2)]
    workers = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    weights = dict(one.supernet.named_parameters())
    for rank in range(2):
        for name, parameter in found[rank].supernet.named_parameters():
            torch.testing.assert_close(parameter, weights[name], rtol=1e-4, atol=1e-5)
    states = [found[rank].supernet.state_dict() for rank in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), "running statistics too"


def test_the_number_of_processes_is_recorded_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert effective(tiny_settings()).processes == 1
    assert effective(tiny_settings("processes=2")).processes == 2, "one process makes its steps in two parts"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert effective(tiny_settings()).processes == 2
    with pytest.raises(ConfigError, match="torchrun started 2 processes, and the settings have processes 3"):
        effective(tiny_settings("processes=3"))


@pytest.mark.slow
def test_a_run_under_torchrun_equals_one_process_within_the_tolerance_of_sums(tmp_path: Path) -> None:
    settings = tiny_settings("finetune.lr=0.001", "supernet.lr=0.02")
    (tmp_path / "settings.yaml").write_text(to_yaml(settings))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "evonas"]
    run = ["run", "--config", str(tmp_path / "settings.yaml"), "--out", str(tmp_path / "two"), "--quiet"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([*command, *run], env=environment, check=True)
    start(settings.model_copy(update={"processes": 2}), tmp_path / "one", Silent())
    two, one = (rows(tmp_path / name / "history.csv") for name in ("two", "one"))
    assert [row["genotype"] for row in two[:6]] == [row["genotype"] for row in one[:6]]
    for first, second in zip(two[:6], one[:6], strict=True):
        assert float(first["loss"]) == pytest.approx(float(second["loss"]), abs=1e-4)
    assert "processes: 2" in (tmp_path / "two" / "config.yaml").read_text()
