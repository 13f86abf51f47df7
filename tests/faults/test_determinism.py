"""Equal runs: what is promised of seeds, of config.yaml and of threads, and the switch for a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from faulty_runs import SMALLEST, few, smallest_settings
from tests_support import TINY, compared

from evonas import arithmetic
from evonas.cli import main
from evonas.experiment import start
from evonas.progress import Silent

SETS = [word for assignment in (*TINY, *SMALLEST) for word in ("--set", assignment)]


@pytest.mark.parametrize("algorithm", few(["ga", "nsga2", "random"], fast=["ga"]))
def test_config_yaml_repeats_a_run_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["run", algorithm, *SETS, "--out", "a"], ["run", "--config", "a/config.yaml", "--out", "b"]):
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--quiet"])
        assert not caught.value.code
    assert compared(tmp_path / "a") == compared(tmp_path / "b")
    assert (tmp_path / "a" / "config.yaml").read_bytes() == (tmp_path / "b" / "config.yaml").read_bytes()


def test_the_switch_for_a_gpu_changes_nothing_on_a_cpu(unbroken: Path, tmp_path: Path) -> None:
    start(smallest_settings("deterministic=true"), tmp_path / "run", Silent())
    assert compared(tmp_path / "run") == compared(unbroken)


def test_the_switch_asks_torch_for_what_does_not_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on: asked.update(deterministic=on))
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda name: None)
    for on in (True, False):
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        with monkeypatch.context() as patch:
            patch.setattr(torch.backends, "cudnn", type("cudnn", (), {"benchmark": None, "allow_tf32": None}))
            arithmetic.set_up(1, "cuda", "keep", deterministic=on)
            assert torch.backends.cudnn.benchmark is not on
        assert asked["deterministic"] is on
        assert ("CUBLAS_WORKSPACE_CONFIG" in arithmetic.os.environ) is on


@pytest.mark.slow
def test_threads_are_recorded_and_part_of_what_makes_two_runs_equal(tmp_path: Path, unbroken: Path) -> None:
    """With 2 threads the order of sums may be another: nothing is promised across, so the number is recorded."""
    before = torch.get_num_threads()
    try:
        start(smallest_settings("threads=2"), tmp_path / "a", Silent())
        start(smallest_settings("threads=2"), tmp_path / "b", Silent())
    finally:
        torch.set_num_threads(before)
    assert compared(tmp_path / "a") == compared(tmp_path / "b")
    assert json.loads((tmp_path / "a" / "result.json").read_text())["threads"] == 2
    assert json.loads((unbroken / "result.json").read_text())["threads"] == 1
