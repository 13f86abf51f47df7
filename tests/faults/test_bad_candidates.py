"""Losses that are no numbers, and memory that is short: told with the way out, undone, or recorded; never swallowed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_runs import Killed, Told, contents, few, killed_behind, smallest_settings
from tests_support import compared, rows, same, snapshot

from evonas.config import read_yaml
from evonas.errors import TrainingError
from evonas.experiment import Experiment, resume, start
from evonas.progress import Silent
from evonas.search.fitness import Measurement
from evonas.search.nsga2 import Nsga2Search, Nsga3Search, SmsEmoaSearch
from evonas.seeding import Seeds
from evonas.supernet.careful import WORST, CarefulMeasurer
from evonas.supernet.measuring import Measurer
from evonas.supernet.training import SupernetTrainer

# Training ---------------------------------------------------------------------------------------------------------


def diverging_at(monkeypatch: pytest.MonkeyPatch, when: Callable[[int, float], bool]) -> None:
    """Make the loss of step number n at rate r nan, and the weights with it, where `when(n, r)`."""
    original, steps = SupernetTrainer._step, 0

    def step(self: SupernetTrainer, images: Any, labels: Any, genotypes: Any, lr: float) -> torch.Tensor:
        nonlocal steps
        steps += 1
        loss = original(self, images, labels, genotypes, lr)
        if when(steps, lr):
            for parameter in self.supernet.parameters():
                parameter.data.fill_(math.nan)
            return loss * math.nan
        return loss

    monkeypatch.setattr(SupernetTrainer, "_step", step)


def test_warm_up_that_runs_away_names_step_and_setting_and_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = smallest_settings("supernet.epochs=3")
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "_tell_forecast", lambda self: None)  # it makes steps too
        diverging_at(patch, lambda step, lr: step == 10)  # 7 steps an epoch
        with pytest.raises(TrainingError, match=r"became nan in step 3 of 7 of warm-up epoch 2; lower supernet\.lr"):
            start(settings, tmp_path / "run", Silent())
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["000000.pt"]
    # The way out that the message names: a lower rate in config.yaml, from the epoch before on.
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("  lr: 0.1\n  lr_end", "  lr: 0.05\n  lr_end"))
    assert read_yaml(config)["supernet"]["lr"] == 0.05
    assert resume(tmp_path / "run", Silent())["complete"]


def test_weights_that_are_no_numbers_are_noticed_though_no_loss_was(parts: Any, monkeypatch: Any) -> None:
    made = parts()

    def step(*arguments: Any) -> torch.Tensor:
        next(made.supernet.parameters()).data[0] = math.inf
        return torch.ones(())

    monkeypatch.setattr(made.trainer, "_step", step)
    with pytest.raises(TrainingError, match=r"weights became infinite or no numbers in step 7 of 7 of warm-up epoch 1"):
        made.trainer.warm_up_epoch(0)


def test_fine_tuning_that_runs_away_goes_on_at_half_the_rate_from_the_state_before(
    parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(diverges: bool) -> tuple[Any, list[float], list[str]]:
        made, said, rates = parts("finetune.lr=0.4"), [], []
        made.trainer.rate._say = said.append
        made.trainer.warm_up_epoch(0)
        if not diverges:
            made.trainer.rate.share = 0.25
        with monkeypatch.context() as patch:
            diverging_at(patch, lambda step, lr: rates.append(lr) or (diverges and lr > 0.1))
            population = [made.space.sample(np.random.default_rng(2)) for _ in range(4)]
            for phase in range(2):
                made.trainer.fine_tune(population, phase, 2)
        return made, rates, said

    (made, _, said), (expected, *_) = trained(True), trained(False)
    assert made.trainer.rate.share == 0.25
    assert same(snapshot(made), snapshot(expected)), "as if it had begun at a quarter of the rate"
    assert len(said) == 2
    assert "became nan in step 1 of 8 of fine-tuning phase 1: back to before it, and on at 0.5 of the rate" in said[0]


def test_fine_tuning_gives_up_after_three_halvings_with_the_state_before(parts: Any, monkeypatch: Any) -> None:
    made = parts()
    made.trainer.warm_up_epoch(0)
    before = snapshot(made)
    with monkeypatch.context() as patch:
        diverging_at(patch, lambda step, lr: True)
        with pytest.raises(TrainingError, match=r"fine-tuning phase 1; lower finetune\.lr \(now 0\.00125"):
            made.trainer.fine_tune([made.space.sample(np.random.default_rng(2))], 0, 2)
    after = snapshot(made)
    assert same(before["weights"], after["weights"]) and same(before["optimizer"], after["optimizer"])


def test_a_run_tells_its_halved_rate_and_resumes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diverging_at(monkeypatch, lambda step, lr: 0.006 < lr < 0.011)  # fine-tuning alone: the warm-up has higher rates
    told = Told()
    settings = smallest_settings("supernet.lr_end=0.09")
    result = start(settings, tmp_path / "run", told)
    assert result["finetune_rate"] == 0.5
    assert any("on at 0.5 of the rate" in line for line in told.lines)
    shorter = tmp_path / "again"
    with killed_behind(2), pytest.raises(Killed):
        start(settings, shorter, Silent())
    assert resume(shorter, Silent())["finetune_rate"] == 0.5
    assert compared(shorter) == compared(tmp_path / "run")


def test_retraining_that_runs_away_names_epoch_and_setting(tmp_path: Path) -> None:
    settings = smallest_settings("retrain.lr=1e30", "retrain.clip=1e30", "retrain.epochs=2")
    with pytest.raises(TrainingError, match=r"of retraining epoch \d; lower retrain\.lr \(now 1e\+30\)"):
        start(settings, tmp_path / "run", Silent())


# Measuring --------------------------------------------------------------------------------------------------------


def bad(genotype: tuple[int, ...]) -> bool:
    """The networks that cannot be measured in these tests: those whose last layer has no weights, the smallest."""
    return genotype[2] >= 3


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[tuple[int, ...]], bool]) -> None:
    original = Measurer.measure

    def measure(self: Measurer, genotypes: Any) -> list[tuple[float, float]]:
        scores = original(self, genotypes)
        return [(90.0, math.nan) if fails(g) else score for g, score in zip(genotypes, scores, strict=True)]

    monkeypatch.setattr(Measurer, "measure", measure)


@pytest.mark.parametrize(
    "algorithm", few(["ga", "nsga2", "nsga3", "sms-emoa", "random", "aging"], fast=["ga", "nsga2"])
)
@pytest.mark.parametrize("objectives", ["[loss]", "[error,params]"])
def test_a_network_whose_loss_is_no_number_is_worst_recorded_and_never_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, objectives: str
) -> None:
    failing(monkeypatch, bad)
    told = Told()
    settings = smallest_settings(
        f"search.algorithm={algorithm}", f"problem.objectives={objectives}", "search.evaluations=18",
        "retrain.enabled=false", "final.choice=model",
    )  # fmt: skip
    start(settings, tmp_path / "run", told)
    history = rows(tmp_path / "run" / "history.csv")
    worst = [row for row in history if bad(tuple(json.loads(row["genotype"])))]
    assert worst and {(row["error"], row["loss"]) for row in worst} == {("100.0", "inf")}
    assert len(history) > len(worst), "the search goes on"
    incidents = rows(tmp_path / "run" / "incidents.csv")
    assert {row["what"] for row in incidents} == {"its loss is nan: given the worst fitness"}
    assert {(row["generation"], row["genotype"]) for row in incidents} <= {
        (row["generation"], row["genotype"]) for row in worst
    }
    assert {row["genotype"] for row in incidents} == {row["genotype"] for row in worst}
    assert any("given the worst fitness" in line for line in told.lines)
    assert not any(bad(tuple(json.loads(row["genotype"]))) for row in rows(tmp_path / "run" / "pareto.csv"))
    assert not bad(tuple(json.loads((tmp_path / "run" / "result.json").read_text())["best"]["genotype"]))


def test_a_run_of_which_nothing_can_be_measured_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda genotype: True)
    with pytest.raises(TrainingError, match=r"no network could be measured, and incidents\.csv says why"):
        start(smallest_settings(), tmp_path / "run", Silent())
    assert len(rows(tmp_path / "run" / "incidents.csv")) == 18


@pytest.mark.parametrize("kind", [Nsga2Search, Nsga3Search, SmsEmoaSearch])
@pytest.mark.parametrize("violation", [(), (0.5,)])
def test_pymoo_ranks_what_failed_behind_all_else_however_small_it_is(parts: Any, kind: Any, violation: Any) -> None:
    """violation: by how much all that were measured break a limit, which those that failed keep."""
    made = parts("search.population=4")
    search = kind(made.space, made.settings.search, Seeds(0))
    asked = [candidate.genotype for candidate in search.ask()]
    more = [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)]
    genotypes = list(dict.fromkeys([*asked, *more]))

    def measured(index: int) -> Measurement:
        failed = index < 2  # smallest of all, and unmeasured
        loss = math.inf if failed else 2.0 + index
        broken = tuple(-0.5 if failed else value for value in violation)
        return Measurement(genotypes[index], (loss, 1.0 + index), 0, "p", {"loss": loss}, broken)

    search.tell([measured(index) for index in range(len(genotypes))])
    kept = {tuple(row["X"]) for row in search.state_dict()["population"]}
    assert not kept & set(genotypes[:2])
    json.dumps(search.state_dict(), allow_nan=True)
    assert len(search.ask()) >= 4


class Short:
    """A measurer that has memory for batches of so many images, and for so many networks at once."""

    def __init__(self, measurer: Measurer, fits: int, error: BaseException) -> None:
        self.settings, self.protocol = measurer.settings, measurer.protocol
        self._measurer, self._fits, self._error = measurer, fits, error

    def measure(self, genotypes: Any) -> list[tuple[float, float]]:
        if len(genotypes) > 1 or (bad(genotypes[0]) and self.settings.batch_size > self._fits):
            raise self._error
        return self._measurer.measure(genotypes)

    def halved(self) -> Short:
        return Short(self._measurer.halved(), self._fits, self._error)


SHORTAGES = [
    torch.cuda.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", SHORTAGES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_a_network_that_memory_is_short_for_is_measured_in_smaller_batches(
    parts: Any, error: BaseException, statistics: str
) -> None:
    made = parts("measure.batch_size=128", f"measure.batch_norm={statistics}")
    plain = Measurer(made.supernet, made.data, made.settings.measure, made.arithmetic)
    careful = CarefulMeasurer(Short(plain, 64, error))  # type: ignore[arg-type]
    genotypes = [(0, 1, 2), (0, 1, 4)]
    first, second = careful.measure(genotypes)
    assert first == plain.measure(genotypes)[0]
    assert careful.reasons == {(0, 1, 4): "memory is short: measured in batches of 64"}
    if statistics == "running":  # no batch decides what normalises
        assert second == pytest.approx(plain.measure(genotypes)[1])
    careful = CarefulMeasurer(Short(plain, 0, error))  # type: ignore[arg-type]
    assert careful.measure(genotypes) == [first, WORST]
    assert careful.reasons == {(0, 1, 4): "out of memory in batches of 16: given the worst fitness"}


def test_another_error_of_a_measurement_is_no_shortage_and_comes_through(parts: Any) -> None:
    made = parts()
    plain = Measurer(made.supernet, made.data, made.settings.measure, made.arithmetic)
    with pytest.raises(RuntimeError, match="a defect"):
        CarefulMeasurer(Short(plain, 0, RuntimeError("a defect"))).measure([(0, 1, 2), (0, 1, 4)])  # type: ignore[arg-type]


def test_a_run_with_a_network_that_was_bad_resumes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, bad)
    start(smallest_settings("search.algorithm=nsga2"), tmp_path / "whole", Silent())
    with killed_behind(2), pytest.raises(Killed):
        start(smallest_settings("search.algorithm=nsga2"), tmp_path / "run", Silent())
    resume(tmp_path / "run", Silent())
    assert compared(tmp_path / "run") == compared(tmp_path / "whole")
    assert contents(tmp_path / "run")["incidents.csv"] == contents(tmp_path / "whole")["incidents.csv"]
