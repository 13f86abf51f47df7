"""Whole runs at toy size: the run folder's contract, equal runs, resume, and the sealed test part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_runs import Told
from safetensors.torch import load_file
from tests_support import compared, rows, tiny_settings

from evonas import experiment
from evonas.config import Settings, build, read_yaml
from evonas.data import ImageData, Part
from evonas.errors import ConfigError
from evonas.experiment import Experiment, resume, start
from evonas.networks import build_subnet
from evonas.plan import check
from evonas.progress import Silent
from evonas.retrain import ScratchTraining
from evonas.run import RunFolder
from evonas.search.fitness import pareto_mask
from evonas.spaces import build_space

Make = Callable[..., Settings]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@contextmanager
def killed_at(moment: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within it, a run dies instead of writing checkpoint number `moment`, counted from 0."""
    written = 0
    original = RunFolder.checkpoint

    def checkpoint(self: RunFolder, state: Any) -> None:
        nonlocal written
        if written == moment:
            raise Killed
        written += 1
        original(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "checkpoint", checkpoint)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("runs") / "a"
    start(tiny_settings(), path, Silent())
    yield path


def test_the_run_folder_holds_what_the_contract_names(finished: Path) -> None:
    for name in (
        "config.yaml",
        "history.csv",
        "generations.csv",
        "pareto.csv",
        "result.json",
        "best/model.safetensors",
        "best/architecture.json",
        "supernet/state-0.safetensors",
        "supernet/state-2.safetensors",
    ):
        assert (finished / name).is_file(), name
    assert len(list((finished / "checkpoints").glob("*.pt"))) == 2
    assert not list(finished.rglob("*.tmp"))


def test_history_has_every_measurement_on_its_own_state(finished: Path) -> None:
    history = rows(finished / "history.csv")
    assert list(history[0]) == [
        "generation", "state", "genotype", "canonical", "origin", "error", "loss", "params", "flops", "seconds",
    ]  # fmt: skip
    for generation in range(3):
        members = [row for row in history if row["generation"] == str(generation)]
        assert len(members) == 6
        assert {row["state"] for row in members} == {str(generation)}
        origins = {row["origin"] for row in members}
        assert origins == ({"initial"} if generation == 0 else {"elite", "child", "immigrant"})
    final = [row for row in history if row["origin"] == "final"]
    assert {(row["generation"], row["state"]) for row in final} == {("3", "2")}
    assert 1 <= len(final) <= 6
    assert all(isinstance(json.loads(row["genotype"]), list) for row in history)


def test_an_elite_is_measured_again(finished: Path) -> None:
    history = rows(finished / "history.csv")
    elites = [row for row in history if row["origin"] == "elite"]
    assert len(elites) == 2
    for elite in elites:
        before = [
            row
            for row in history
            if row["genotype"] == elite["genotype"] and int(row["generation"]) == int(elite["generation"]) - 1
        ]
        assert before and before[0]["loss"] != elite["loss"]


def test_the_front_and_the_best_are_of_the_last_state(finished: Path) -> None:
    history, front, best = compared(finished)
    final = [row for row in history if row["origin"] == "final"]
    (only,) = front
    assert float(only["loss"]) == min(float(row["loss"]) for row in final)
    assert only["knee"] == "1"
    assert json.loads(only["genotype"]) == best["genotype"]
    assert best["supernet_error"] == float(only["error"])


def test_the_result_adds_up(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    assert result["complete"] is True
    assert result["generations"] == 3
    assert result["evaluations"] == 18
    seconds = dict(result["seconds"])
    total = seconds.pop("total")
    assert sum(seconds.values()) == pytest.approx(total, abs=0.005), "rounded to milliseconds"
    search = sum(seconds[name] for name in ("warmup", "finetune", "measure", "algorithm"))
    assert result["search_gpu_days"] == pytest.approx(search / 86400, rel=0.01)
    assert result["references"]["largest"]["params"] >= result["best"]["params"]
    assert result["versions"]["deap"] != "1.4"  # the distribution's version, not the wrong attribute


def test_the_best_network_is_rebuilt_from_its_folder_alone(finished: Path, digits: ImageData) -> None:
    description = json.loads((finished / "best" / "architecture.json").read_text())
    settings = check({"space": description["space"]})
    channels, *_ = description["image_shape"]
    network = build_subnet(
        build_space(settings.space), tuple(description["genotype"]), channels, len(description["classes"])
    )
    network.load_state_dict(load_file(finished / "best" / "model.safetensors"), strict=True)
    test = digits.open_test("this test")
    images = test.images.float() / 255
    mean, std = (torch.tensor(description[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        wrong = (network.eval()((images - mean) / std).argmax(1) != test.labels).sum()
    reported = json.loads((finished / "result.json").read_text())["best"]["test_error"]
    assert 100 * int(wrong) / len(test) == pytest.approx(reported)


def test_the_same_seed_gives_an_equal_run_and_another_seed_another(finished: Path, tiny: Make, tmp_path: Path) -> None:
    start(tiny(), tmp_path / "same", Silent())
    start(tiny("seed=1"), tmp_path / "other", Silent())
    assert compared(tmp_path / "same") == compared(finished)
    assert compared(tmp_path / "other")[0] != compared(finished)[0]


def test_config_yaml_alone_repeats_the_run(finished: Path, tmp_path: Path) -> None:
    from evonas.config import read_yaml

    start(check(read_yaml(finished / "config.yaml")), tmp_path / "again", Silent())
    assert compared(tmp_path / "again") == compared(finished)
    assert (tmp_path / "again" / "config.yaml").read_text() == (finished / "config.yaml").read_text()


@pytest.mark.parametrize("moment", range(0, 13))
def test_a_run_stopped_after_any_checkpoint_and_resumed_equals_the_unbroken_one(
    finished: Path, tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    with killed_at(moment, monkeypatch):
        try:
            start(tiny(), tmp_path / "run", Silent())
        except Killed:
            assert not (tmp_path / "run" / "result.json").exists()
    if not (tmp_path / "run" / "result.json").exists():
        resume(tmp_path / "run", Silent())
    assert compared(tmp_path / "run") == compared(finished)


def test_a_run_has_a_checkpoint_at_every_epoch_and_generation(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases: list[tuple[str, int, int]] = []
    original = RunFolder.checkpoint

    def checkpoint(self: RunFolder, state: Any) -> None:
        phases.append((state["phase"], state.get("epoch", 0), state.get("generation", 0)))
        original(self, state)

    monkeypatch.setattr(RunFolder, "checkpoint", checkpoint)
    start(tiny(), tmp_path / "run", Silent())
    # Two epochs of warm-up, three generations, the final choice, then two epochs for each of three networks.
    assert phases == [("warmup", 1, 0), *(("search", 2, g) for g in range(4)), *[("retrain", 0, 0)] * 7]


def test_the_test_part_is_opened_once_a_reported_network_and_never_to_choose(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, bool]] = []
    original = ImageData.open_test

    def open_test(self: ImageData, reason: str) -> Part:
        opened.append((reason, (tmp_path / "run" / "pareto.csv").exists()))
        return original(self, reason)

    monkeypatch.setattr(ImageData, "open_test", open_test)
    start(tiny("retrain.top=2"), tmp_path / "run", Silent())
    assert [reason for reason, _ in opened] == ["report of best", "report of largest", "report of random 1"]
    assert all(chosen for _, chosen in opened), "the choice lies behind it"


@pytest.mark.parametrize("top", [1, 2])
def test_other_test_images_change_nothing_but_the_reported_errors(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: int
) -> None:
    settings = tiny(f"retrain.top={top}")
    start(settings, tmp_path / "as it is", Silent())
    original = experiment.load

    def poisoned(*arguments: Any) -> ImageData:
        data = original(*arguments)
        part = data._test
        object.__setattr__(data, "_test", Part(part.images[:1].expand_as(part.images), part.labels * 0))
        return data

    monkeypatch.setattr(experiment, "load", poisoned)
    start(settings, tmp_path / "poisoned", Silent())
    first, second = compared(tmp_path / "as it is"), compared(tmp_path / "poisoned")
    assert first[:2] == second[:2]
    assert first[2].pop("test_error") != second[2].pop("test_error")
    assert first[2] == second[2]


def test_a_choice_by_the_model_is_of_the_last_state_and_repeats_after_a_kill(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny("final.choice=model", "final.sample=5")
    result = start(settings, tmp_path / "whole", Silent())
    assert result["choice"] == "model"
    model = rows(tmp_path / "whole" / "model.csv")
    candidates = [row for row in model if row["candidate"] == "1"]
    history = rows(tmp_path / "whole" / "history.csv")
    last = {row["genotype"]: row["loss"] for row in history if row["state"] == history[-1]["state"]}
    final = {row["genotype"] for row in history if row["origin"] == "final"}
    assert {row["genotype"] for row in candidates} == final
    assert {row["genotype"]: row["measured"] for row in model if row["genotype"] in last} == last
    assert 1 <= len(model) - len(last) <= 5, "the sample, but for what was measured anyway"
    assert (
        json.loads(min(candidates, key=lambda row: float(row["predicted"]))["genotype"]) == result["best"]["genotype"]
    )

    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "_by_model", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            start(settings, tmp_path / "run", Silent())
    resume(tmp_path / "run", Silent())
    assert compared(tmp_path / "run") == compared(tmp_path / "whole")


def test_competitors_are_chosen_on_the_fitness_part(tiny: Make, tmp_path: Path) -> None:
    result = start(tiny("retrain.top=3"), tmp_path / "run", Silent())
    competitors = result["competitors"]
    assert len(competitors) == 3
    assert all("test_error" not in row for row in competitors)
    chosen = min(competitors, key=lambda row: row["fitness_error"])
    assert result["best"]["genotype"] == chosen["genotype"]


def test_without_fine_tuning_all_generations_are_of_state_0(tiny: Make, tmp_path: Path) -> None:
    result = start(tiny("finetune.enabled=false"), tmp_path / "run", Silent())
    history = rows(tmp_path / "run" / "history.csv")
    assert {row["state"] for row in history} == {"0"}
    searched = {row["genotype"] for row in history if row["origin"] != "final"}
    assert result["evaluations"] == len(searched)  # what is known on a state costs nothing


def test_a_budget_of_evaluations_is_kept(tiny: Make, tmp_path: Path) -> None:
    result = start(tiny("search.evaluations=14"), tmp_path / "run", Silent())
    searched = [row for row in rows(tmp_path / "run" / "history.csv") if row["origin"] != "final"]
    assert result["evaluations"] == len(searched) == 14


@pytest.mark.parametrize(
    "assignment",
    [
        "supernet.sampler=fair",
        "finetune.sampler=uniform",
        "measure.batch_norm=recalibrate",
        "measure.batch_norm=running",
        "problem.objectives=[error,params]",
        "supernet.epochs=0",
        "search.generations=1",
        "retrain.references=0",
        "retrain.cutout=3",
        "memory_format=contiguous",
        "final.candidates=2",
        "final.choice=model",
        "search.elites=0",
        "dataset.image_size=12",
    ],
)
def test_every_switch_runs_to_the_end(tiny: Make, tmp_path: Path, assignment: str) -> None:
    result = start(tiny(assignment), tmp_path / "run", Silent())
    assert result["complete"]
    for row in rows(tmp_path / "run" / "pareto.csv"):
        assert row["origin"] == "final"


def test_a_front_of_two_objectives_is_non_dominated_and_distinct(tiny: Make, tmp_path: Path) -> None:
    start(tiny("problem.objectives=[loss,params]"), tmp_path / "run", Silent())
    front = [(float(row["loss"]), float(row["params"])) for row in rows(tmp_path / "run" / "pareto.csv")]
    assert len(set(front)) == len(front)
    assert front == sorted(front)
    assert [params for _, params in front] == sorted((params for _, params in front), reverse=True)
    assert [row["knee"] for row in rows(tmp_path / "run" / "pareto.csv")].count("1") == 1


def test_every_random_draw_comes_from_the_runs_seed(finished: Path, tiny: Make, tmp_path: Path) -> None:
    import random

    import numpy as np

    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    start(tiny(), tmp_path / "run", Silent())
    assert compared(tmp_path / "run") == compared(finished)


def test_nothing_is_written_when_the_data_are_missing(tiny: Make, tmp_path: Path) -> None:
    from evonas.errors import DataError

    with pytest.raises(DataError):
        start(tiny("dataset.name=cifar10", f"dataset.dir={tmp_path / 'none'}"), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_an_experiment_resumed_twice_at_once_is_refused(tiny: Make, tmp_path: Path) -> None:
    from evonas.errors import RunError

    settings = experiment.effective(tiny())
    with RunFolder.create(tmp_path / "run", settings), pytest.raises(RunError, match="in use by process"):
        resume(tmp_path / "run", Silent())


def test_the_parts_of_an_experiment_agree_on_the_settings(tiny: Make) -> None:
    from evonas.stopwatch import Stopwatch

    made = Experiment(experiment.effective(tiny()), Silent(), Stopwatch())
    assert made.problem.n_var == made.space.n_genes
    assert made.problem.generations == 3


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "sms-emoa"])
def test_a_front_is_measured_on_the_last_state_and_reported_by_points(
    tiny: Make, tmp_path: Path, algorithm: str
) -> None:
    settings = tiny(f"search.algorithm={algorithm}", "problem.objectives=[loss]", "retrain.top=2")
    result = start(settings, tmp_path / "run", Silent())
    assert build(read_yaml(tmp_path / "run" / "config.yaml")).problem.objectives == ("loss", "params"), (
        "one objective makes no front"
    )
    history, front = (rows(tmp_path / "run" / name) for name in ("history.csv", "pareto.csv"))
    last = max(int(row["state"]) for row in history)
    assert all(row["origin"] == "final" and int(row["state"]) == last for row in front)
    values = np.array([(float(row["loss"]), float(row["params"])) for row in front])
    assert pareto_mask(values).all() and len(np.unique(values, axis=0)) == len(front) == result["front"]["size"]
    assert json.loads(front[0]["genotype"]) == result["best"]["genotype"]
    knee = next(row for row in front if row["knee"] == "1")
    assert json.loads(knee["genotype"]) == result["front"]["knee"]["genotype"]
    (other,) = result["front"]["retrained"]
    assert other["genotype"] == json.loads(front[-1]["genotype"]) and 0 <= other["test_error"] <= 100
    assert other["supernet_error"] == float(front[-1]["error"])
    volumes = [float(row["hypervolume"]) for row in rows(tmp_path / "run" / "generations.csv")]
    assert all(0 <= volume <= 1 for volume in volumes) and 0 <= result["front"]["hypervolume"] <= 1
    parents = [row for row in history if row["generation"] == "1" and row["origin"] == "parent"]
    assert len(parents) == settings.search.population and {row["state"] for row in parents} == {"1"}


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_front_search_resumed_equals_the_unbroken_one(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    settings = tiny("search.algorithm=nsga2", "problem.limits.params=20000", "retrain.enabled=false")
    start(settings, tmp_path / "whole", Silent())
    with killed_at(moment, monkeypatch), pytest.raises(Killed):
        start(settings, tmp_path / "run", Silent())
    resume(tmp_path / "run", Silent())
    assert compared(tmp_path / "run") == compared(tmp_path / "whole")
    assert all(float(row["params"]) <= 20000 for row in rows(tmp_path / "run" / "pareto.csv"))


def test_a_limit_that_nothing_keeps_is_refused_before_anything_is_trained(tiny: Make, tmp_path: Path) -> None:
    for algorithm in ("ga", "nsga2"):
        with pytest.raises(
            ConfigError, match=r"problem.limits.params is 10, and no network of single-path has less than"
        ):
            start(tiny(f"search.algorithm={algorithm}", "problem.limits.params=10"), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("error", "told"), [(90.0, True), (89.8, True), (80.0, False)])
def test_a_network_that_is_no_better_than_a_guess_is_told(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, told: bool
) -> None:
    monkeypatch.setattr(ScratchTraining, "error", lambda self, part: error)
    said = Told()
    result = start(tiny("retrain.references=0"), tmp_path / "run", said)
    assert any("most frequent class would (about 89." in line for line in said.lines) == told
    assert result["images"]["test"] == 360, "a fifth of 1,797"
