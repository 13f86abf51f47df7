"""Run folders in every condition, and their groups."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from run_folders import HISTORY, write_run
from tests_support import tiny_settings

from analysis.runs import read_run, read_runs
from evonas.errors import AnalysisError
from evonas.progress import Silent
from evonas.table_search import start


def test_what_a_run_writes_is_read_whole(tmp_path: Path) -> None:
    settings = tiny_settings("space={name: nb-macro}", "table.file=nb-macro", "problem.objectives=null")
    result = start(settings, tmp_path / "run", Silent())
    run = read_run(tmp_path / "run")
    assert run.problems == ()
    assert run.finished and run.algorithm == "ga" and run.table == "nb-macro" and run.seed == 0
    assert run.figure("best", "test_error") == result["best"]["test_error"]
    assert run.setting("search", "population") == 6
    searched = run.history[run.history["origin"] != "final"]
    assert len(searched) == run.generations["n"].sum() > 0
    assert run.history["error"].dtype == float and run.history["generation"].dtype == int
    assert len(run.pareto) == 1


def test_a_run_that_was_killed_gives_what_it_has(tmp_path: Path) -> None:
    path = write_run(tmp_path / "killed")
    (path / "result.json").unlink()
    (path / "pareto.csv").unlink()
    (path / "history.csv").write_text(HISTORY + '2,2,"[0, 0]","[0, 0]",child,10.5')
    run = read_run(path)
    assert not run.finished and math.isnan(run.figure("best", "test_error"))
    assert len(run.history) == 2 and run.pareto.empty
    assert run.problems == (
        "unfinished: result.json is not there",
        "history.csv has 1 damaged rows, left out",
        "pareto.csv is not there",
    )


def test_what_searched_nothing_lacks_no_table(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", "retrain.genotypes=[pc-darts]")
    for name in ("history.csv", "generations.csv", "pareto.csv"):
        (path / name).unlink()
    run = read_run(path)
    assert run.problems == () and run.algorithm == "retrain" and run.history.empty


def test_the_last_row_is_not_trusted_without_its_end(tmp_path: Path) -> None:
    path = write_run(tmp_path / "cut")
    (path / "history.csv").write_text(HISTORY.removesuffix(".1\n"))
    assert read_run(path).history["generation"].tolist() == [0]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.yaml", b"a: [", "config.yaml is damaged"),
        ("config.yaml", b"", "config.yaml is damaged"),
        ("config.yaml", b"\xff\xfe", "config.yaml is damaged"),
        ("result.json", b'{"best": ', "result.json is damaged"),
        ("result.json", b"[1]", "result.json is damaged"),
        ("result.json", b"[" * 100_000, "result.json is damaged"),
        ("history.csv", b"", "history.csv has no column generation, state, genotype"),
        ("history.csv", b"generation,state\n0,0\n", "history.csv has no column genotype, canonical"),
        ("history.csv", HISTORY.splitlines(keepends=True)[0].encode(), "history.csv has no rows"),
        ("history.csv", HISTORY.replace("11.5", "low").encode(), "history.csv has 1 damaged rows, left out"),
        ("history.csv", HISTORY.replace("1,1,", "x,1,").encode(), "history.csv has 1 damaged rows, left out"),
        ("history.csv", HISTORY.encode() + b"\x00\xff\n", "history.csv has 1 damaged rows, left out"),
    ],
)
def test_what_is_damaged_is_said(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = write_run(tmp_path / "run")
    (path / name).write_bytes(content)
    (found,) = read_run(path).problems
    assert found.startswith(problem)


@pytest.mark.parametrize("value", ["<b>", None, True, [1], {"a": 1}, float("nan"), 10**400])
def test_what_is_no_number_is_unknown(tmp_path: Path, value: object) -> None:
    run = read_run(write_run(tmp_path / "run", error=value, images=value, unfair=value))
    assert math.isnan(run.figure("best", "test_error"))
    assert "an unknown number of 50,000 training images" in run.reductions


def test_numbers_that_diverged_stay(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    (path / "history.csv").write_text(HISTORY.replace("0.4,", "inf,").replace("0.5,", "nan,"))
    run = read_run(path)
    assert run.problems == ()
    assert math.isnan(run.history["loss"][0]) and run.history["loss"][1] == math.inf


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="does not exist; give the folder of a run"):
        read_run(tmp_path / "none")
    with pytest.raises(AnalysisError, match="is no run folder"):
        read_run(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(AnalysisError, match="is no folder"):
        read_run(tmp_path / "file")


def test_runs_that_differ_in_their_seed_alone_are_one_group(tmp_path: Path) -> None:
    errors = (2.5, 2.6, 2.9)
    paths = [write_run(tmp_path / f"a-{seed}", seed=seed, error=error) for seed, error in enumerate(errors)]
    other = write_run(tmp_path / "b", "search.mutation=0.2")
    both = read_runs([paths[0], other, *paths])
    assert [[run.path for run in group.runs] for group in both] == [paths, [other]]
    error = both[0].figure("best", "test_error")
    assert error.n == 3
    assert error.mean == pytest.approx(8 / 3)
    assert error.std == pytest.approx(0.2081666)  # with n - 1
    assert both[1].figure("best", "test_error")[::2] == (2.6, 1)
    assert math.isnan(both[1].figure("best", "test_error").std)
    assert [group.label for group in both] == ["evonas ga (a-0)", "evonas ga (b)"]


def test_an_unfinished_seed_counts_in_no_mean(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / str(seed), seed=seed) for seed in range(2)]
    (paths[1] / "result.json").unlink()
    (group,) = read_runs(paths)
    assert group.figure("best", "test_error").n == 1
    assert group.reductions == ()


def test_one_seed_twice_is_no_second_result(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="same settings and the same seed 0; give one of them"):
        read_runs([write_run(tmp_path / "a"), write_run(tmp_path / "b")])


def test_labels_of_folders_with_one_name_differ(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / name / "run", f"search.mutation={rate}") for name, rate in (("a", 0.1), ("b", 0.2))]
    assert [group.label for group in read_runs(paths)] == [f"evonas ga ({path})" for path in paths]


def test_runs_without_settings_stay_apart(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / name) for name in "ab"]
    for path in paths:
        (path / "config.yaml").unlink()
    assert len(read_runs(paths)) == 2
    assert read_run(paths[0]).reductions == ("an unknown number of 600 retraining epochs",)


@pytest.mark.parametrize(
    ("assignments", "changes", "reductions"),
    [
        ((), {}, ()),
        (("search.generations=5", "supernet.epochs=10"), {}, ()),
        (("retrain.epochs=60",), {}, ("60 of 600 retraining epochs",)),
        (("dataset.image_size=16",), {}, ("images of 16x16 instead of 32x32 pixels",)),
        ((), {"images": {"weights": 20_000, "fitness": 5_000}}, ("25,000 of 50,000 training images",)),
        ((), {"device": "cpu (AMD EPYC)"}, ("computed on a CPU",)),
        ((), {"device": None}, ("computed on unknown hardware",)),
        (("table.file=x.csv",), {"device": "cpu"}, ()),
    ],
)
def test_a_reduced_run_is_told_from_its_files(
    tmp_path: Path, assignments: tuple[str, ...], changes: dict[str, object], reductions: tuple[str, ...]
) -> None:
    assert read_run(write_run(tmp_path / "run", *assignments, **changes)).reductions == reductions


def test_the_small_settings_are_reduced_and_other_data_sets_have_no_rule(tmp_path: Path) -> None:
    small = {"images": {"weights": 17_000, "fitness": 3_000}}
    assert len(read_run(write_run(tmp_path / "a", dataset="cifar100-small", **small)).reductions) == 3
    assert read_run(write_run(tmp_path / "b", dataset="digits", device="cpu")).reductions == ()


def test_twenty_thousand_rows_are_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    head, row, _ = HISTORY.splitlines(keepends=True)
    (path / "history.csv").write_text(head + row * 20_000)
    assert len(read_run(path).history) == 20_000
    assert json.loads(read_run(path).history["genotype"].iloc[-1]) == [0, 1]
