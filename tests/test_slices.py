"""Runs in slices, and what is told beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests_support import SMALL_SPACES, compared, same

from evonas import slices
from evonas.config import build
from evonas.errors import Paused
from evonas.experiment import Experiment, effective, resume, start
from evonas.forecast import Forecast, Forecaster
from evonas.progress import Silent
from evonas.slices import Slice
from evonas.stopwatch import Stopwatch


class Clock:
    """Time as it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_slice_ends_where_the_longest_stretch_would_not_fit() -> None:
    clock = Clock()
    share = Slice(100, clock=clock)
    for moment in (10, 40, 50, 70):  # longest stretch: 30
        clock.now = moment
        share.checkpoint(lambda: None)
    clock.now = 71
    with pytest.raises(Paused):
        share.checkpoint(lambda: None)


def test_a_slice_gets_to_its_first_checkpoint_whatever_that_takes() -> None:
    clock = Clock()
    share = Slice(1, clock=clock)
    clock.now = 500
    with pytest.raises(Paused):
        share.checkpoint(lambda: None)


def test_without_an_end_nothing_is_paused() -> None:
    clock = Clock()
    share = Slice(clock=clock)
    clock.now = 1e9
    share.checkpoint(lambda: None)


def test_a_checkpoint_that_nobody_waits_for_comes_when_it_is_worth_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "WORTH", 50.0)
    clock = Clock()

    def write() -> None:
        clock.now += 2

    share, waited_for = Slice(clock=clock), Slice(1e9, clock=clock)
    assert share.due
    share.checkpoint(write)
    due = []
    for _ in range(4):
        clock.now += 30
        due.append(share.due)
    assert due == [False, False, False, True]
    waited_for.checkpoint(write)
    assert waited_for.due


def in_slices(settings: Any, run: Path) -> int:
    """Run with a checkpoint a slice; the number of slices."""
    count = 1
    try:
        start(settings, run, Silent(), share=Slice(0))
        return count
    except Paused:
        pass
    while True:
        count += 1
        try:
            resume(run, Silent(), share=Slice(0))
            return count
        except Paused:
            assert not (run / "result.json").exists()


@pytest.mark.parametrize(
    ("space", "algorithm", "more"),
    [
        ("single-path", "ga", ("retrain.seeds=2", "retrain.ema=0.9")),
        ("single-path", "nsga2", ()),
        ("darts", "ga", ("supernet.epochs=1", "search.generations=2", "search.population=4")),
    ],
)
def test_a_chain_of_slices_equals_one_run(
    tiny: Any, tmp_path: Path, space: str, algorithm: str, more: tuple[str, ...]
) -> None:
    settings = tiny(SMALL_SPACES[space], f"search.algorithm={algorithm}", *more)
    start(settings, tmp_path / "whole", Silent())
    assert in_slices(settings, tmp_path / "slices") >= 7
    assert compared(tmp_path / "whole") == compared(tmp_path / "slices")


def test_several_seeds_give_a_mean_and_a_deviation(tiny: Any, tmp_path: Path) -> None:
    result = start(tiny("retrain.seeds=3", "retrain.epochs=1"), tmp_path / "run", Silent())
    for row in (result["best"], result["references"]["largest"], *result["references"]["random"]):
        assert len(row["test_errors"]) == 3
        assert row["test_error"] == pytest.approx(np.mean(row["test_errors"]))
        assert row["test_error_std"] == pytest.approx(np.std(row["test_errors"], ddof=1))


def test_device_days_are_told_by_phase(tiny: Any, tmp_path: Path) -> None:
    result = start(tiny(), tmp_path / "run", Silent())
    days, seconds = result["gpu_days"], result["seconds"]
    assert {phase: value * 86400 for phase, value in days.items()} == pytest.approx(
        {phase: seconds[phase] for phase in ("warmup", "finetune", "measure", "retrain")}, abs=0.001
    )
    assert result["search_gpu_days"] >= days["warmup"] + days["finetune"] + days["measure"]
    assert result["retrain_gpu_days"] == days["retrain"]
    assert result["micro_batches"] == {"supernet": 1, "retrain": 1}


@pytest.mark.parametrize("space", SMALL_SPACES)
@pytest.mark.parametrize("statistics", ["batch", "recalibrate"])
def test_a_forecast_touches_nothing(tiny: Any, space: str, statistics: str) -> None:
    settings = effective(tiny(SMALL_SPACES[space], f"measure.batch_norm={statistics}"))
    made = Experiment(settings, Silent(), Stopwatch())
    before = {name: tensor.clone() for name, tensor in made.supernet.state_dict().items()}
    outside = torch.get_rng_state()
    forecaster = Forecaster(settings, made.space, made.supernet, made.data, made.arithmetic)
    found = forecaster.forecast(warmed_up=False)
    assert same(before, dict(made.supernet.state_dict()))
    assert all(parameter.grad is None for parameter in made.supernet.parameters())
    assert torch.equal(torch.get_rng_state(), outside)
    assert made.data.test_openings == []
    assert min(found.warmup, found.finetune, found.measure, found.retrain) > 0
    assert forecaster.forecast(warmed_up=True).warmup == 0


def test_no_more_images_are_timed_than_take_a_while(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = effective(tiny())
    made = Experiment(settings, Silent(), Stopwatch())
    forecaster = Forecaster(settings, made.space, made.supernet, made.data, made.arithmetic)
    sizes: list[int] = []

    def steps(size: int) -> list[Any]:
        sizes.append(size)
        return []

    monkeypatch.setattr(forecaster, "_fastest", lambda steps: 0.01 * sizes[-1])
    assert forecaster._seconds(steps, 100) == pytest.approx(1.0)
    assert forecaster._seconds(steps, 6) == pytest.approx(0.06)
    assert sizes == [8, 32, 6]


@pytest.mark.parametrize(("dataset", "way_out"), [("cifar10", True), ("svhn", False)])
def test_days_on_a_cpu_are_said_and_smaller_settings_named(dataset: str, way_out: bool) -> None:
    settings = build({"dataset": {"name": dataset}, "device": "cpu"})
    first, second = Forecast(warmup=86400.0, finetune=0, measure=0, retrain=5 * 86400.0).lines(settings)
    assert first.startswith("expected: about 144 h 0 min (warm-up 24 h 0 min, fine-tuning 0 s, measuring 0 s, ")
    assert second.startswith("these settings are for a GPU, and take 6.0 days here")
    assert second.endswith("; for a CPU there is `--config cifar10-small`") is way_out
    assert len(Forecast(60, 60, 60, 60).lines(settings)) == 1


def test_a_forecast_counts_what_the_run_will_do(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = effective(tiny("search.generations=3", "retrain.epochs=2"))
    made = Experiment(settings, Silent(), Stopwatch())
    forecaster = Forecaster(settings, made.space, made.supernet, made.data, made.arithmetic)
    monkeypatch.setattr(forecaster, "_seconds", lambda steps, batch: 1.0)
    found = forecaster.forecast(warmed_up=False)
    steps = made.trainer.steps_per_epoch
    assert found.warmup == steps * 2
    assert found.finetune == 2 * made.trainer.steps_per_phase(6)
    assert found.measure == 18 + 6  # the fitness part is one batch
    assert found.retrain == len(made.data.train) // 256 * 2 * 3  # the best, the largest and a random one
