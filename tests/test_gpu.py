"""On a CUDA device: no step makes the host wait, and a whole run works. Run by `pytest -m gpu`, where there is one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests_support import SMALL_SPACES

from evonas.errors import Paused
from evonas.experiment import Experiment, effective, resume, start
from evonas.progress import Silent
from evonas.retrain import ScratchTraining
from evonas.slices import Slice
from evonas.stopwatch import Stopwatch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]


def settings(tiny: Any, *more: str) -> Any:
    return effective(tiny(SMALL_SPACES["darts"], "device=cuda", "retrain.compile=false", *more))


def test_no_training_step_makes_the_host_wait(tiny: Any) -> None:
    made = Experiment(settings(tiny), Silent(), Stopwatch())
    genotype = made.space.sample(np.random.default_rng(0))
    batches = made.trainer._source.epoch(made.data.weights, 64, "test", 0)
    retraining = ScratchTraining(
        made.space, genotype, made.data, made.data.weights, made.settings.retrain, made.seeds, made.arithmetic
    )
    others = iter(retraining._batches())
    for _ in range(2):  # the order of an epoch is copied to the device once, and kernels are chosen
        made.trainer._step(*next(batches), [genotype], 0.1)
        retraining._step(*next(others), 0.1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            made.trainer._step(*next(batches), [genotype], 0.1)
            retraining._step(*next(others), 0.1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_a_run_ends_well_and_names_the_device(tiny: Any, tmp_path: Path, compiled: str) -> None:
    result = start(settings(tiny, f"retrain.compile={compiled}"), tmp_path / "run", Silent())
    assert result["device"] == torch.cuda.get_device_name()
    assert result["best"]["test_error"] <= 100
    assert min(result["gpu_days"].values()) > 0


def test_a_run_goes_on_in_slices(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(Paused):
        start(settings(tiny), tmp_path / "run", Silent(), share=Slice(0))
    assert resume(tmp_path / "run", Silent())["complete"]
