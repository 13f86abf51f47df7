"""Logs of runs: what they hold, that a run which goes on leaves nothing twice, and that they change nothing."""

from __future__ import annotations

import json
import logging
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests_support import compared, rows, tiny_settings

from evonas import logs
from evonas.cli import main
from evonas.config import Settings, build
from evonas.errors import ConfigError
from evonas.experiment import resume, start
from evonas.logs.base import Log, Logs, final_figures
from evonas.progress import Lines, Silent
from evonas.run import RunFolder
from evonas.runners import runner
from evonas.stopwatch import Stopwatch

ON = ("log.tensorboard=true", "log.mlflow=true", "log.jsonl=true")
SERIES = {"warmup": 2, "search": 3, "retrain best": 2, "retrain largest": 2, "retrain random 1": 2}  # steps of each


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def objects(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Points of all curves that TensorBoard shows, by series/name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for folder in sorted((run / "tensorboard").iterdir()):
        shown = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        for name in shown.Tags()["scalars"]:
            found[f"{folder.name}/{name}"] = [(point.step, point.value) for point in shown.Scalars(name)]
    return found


def pictures(run: Path) -> list[int]:
    """The steps of which TensorBoard shows the front."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(run / "tensorboard" / "search"), size_guidance={"images": 0}).Reload()
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in shown.Images("front"))
    return [image.step for image in shown.Images("front")]


def metrics(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Points of all metrics in MLflow's file store, by name."""
    found = {}
    for file in (run / "mlruns").glob("*/*/metrics/**/*"):
        if file.is_file():
            name = "/".join(file.parts[file.parts.index("metrics") + 1 :])
            lines = [line.split() for line in file.read_text().splitlines()]
            found[name] = [(int(step), float(value)) for _, value, step in lines]
    return found


@pytest.fixture(scope="module")
def no_network() -> Iterator[list[object]]:
    """What anything has tried to connect to or to listen for, which is refused."""
    tried: list[object] = []

    def refuse(self: socket.socket, *arguments: object) -> None:
        tried.append(arguments)
        raise ConnectionRefusedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket.socket, "listen", refuse)
        yield tried


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, no_network: list[object]) -> Path:
    """A run with all logs on."""
    folder = tmp_path_factory.mktemp("logged") / "run"
    start(tiny_settings(*ON), folder, Silent())
    return folder


def test_a_run_is_the_same_with_all_logs_and_without(logged: Path, finished_run: Path) -> None:
    assert compared(logged) == compared(finished_run)
    assert not any((finished_run / name).exists() for name in ("log.jsonl", "tensorboard", "mlruns", "mlflow-run"))


def test_nothing_is_sent_and_nothing_listens(logged: Path, no_network: list[object]) -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert not no_network
    assert is_telemetry_disabled()


def test_lines_of_json_tell_what_history_and_result_do(logged: Path) -> None:
    told = objects(logged)
    assert [told[0]["event"], told[-1]["event"]] == ["begin", "line"] and told[-1]["text"].startswith("done in")
    assert all(row["time"].endswith("+00:00") for row in told)
    assert [row["time"] for row in told] == sorted(row["time"] for row in told)
    assert {name: sum(row["event"] == name for row in told) for name in SERIES} == SERIES
    assert any(row["event"] == "line" and row["text"].startswith("expected: about") for row in told)
    result = json.loads((logged / "result.json").read_text())
    (end,) = (row for row in told if row["event"] == "end")
    assert end["test_error"] == result["best"]["test_error"] and end["genotype"] == result["best"]["genotype"]
    searched = [row for row in told if row["event"] == "search"]
    for row, expected in zip(searched, rows(logged / "generations.csv"), strict=True):
        assert [row[name] for name in ("step", "best", "median")] == [
            float(expected[name]) for name in ("generation", "best", "median")
        ]
    assert "finetune_loss" not in searched[0] and searched[1]["finetune_lr"] > searched[2]["finetune_lr"] > 0
    warmup = [row for row in told if row["event"] == "warmup"]
    assert warmup[0]["lr"] == 0.1 and warmup[0]["loss"] > warmup[1]["loss"] > 0


def test_tensorboard_and_mlflow_have_the_points_of_the_lines(logged: Path) -> None:
    told: dict[str, list[tuple[int, float]]] = {}
    for row in objects(logged):
        for name in set(row) - {"time", "event", "step"} if row["event"] in SERIES else ():
            told.setdefault(f"{row['event']}/{name}", []).append((row["step"], row[name]))
    assert {"warmup/loss", "warmup/lr", "search/best", "search/median", "search/seconds"} < set(told)
    shown, tracked = curves(logged), metrics(logged)
    final = final_figures(json.loads((logged / "result.json").read_text()))
    assert set(shown) == {name.replace(" ", "-") for name in told} | {f"result/{name}" for name in final}
    assert set(tracked) == set(told) | {f"result/{name}" for name in final}
    for name, points in told.items():
        assert shown[name.replace(" ", "-")] == [(step, pytest.approx(value, rel=1e-6)) for step, value in points]
        assert tracked[name] == points
    assert {name: tracked[f"result/{name}"] for name in final} == {name: [(0, value)] for name, value in final.items()}


def test_the_front_is_a_picture_for_each_generation_and_the_final_measuring(logged: Path) -> None:
    assert pictures(logged) == [0, 1, 2, 3]
    (artifacts,) = (logged / "mlruns").glob("*/*/artifacts")
    assert {path.name for path in artifacts.iterdir()} == {
        "front.png",
        "config.yaml",
        "result.json",
        "pareto.csv",
        "history.csv",
    }
    assert (artifacts / "front.png").read_bytes().startswith(b"\x89PNG")


def test_the_settings_are_in_the_tab_of_hyper_parameters_and_mlflow(logged: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    shown = EventAccumulator(str(logged / "tensorboard" / "result")).Reload()
    content = shown.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    tab = HParamsPluginData.FromString(content).session_start_info.hparams
    assert tab["search.population"].number_value == 6 and tab["finetune.enabled"].string_value == "true"
    assert tab["problem.objectives"].string_value == '["loss"]' and tab["dataset.name"].string_value == "digits"
    (params,) = (logged / "mlruns").glob("*/*/params")
    assert (params / "search.population").read_text() == "6"


@pytest.mark.parametrize("moment", [3, 7])
def test_a_run_that_is_killed_and_goes_on_leaves_no_point_twice(
    logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Killed right before its checkpoint number `moment` is written, so that what was told is done and told again."""
    run, left = tmp_path / "run", moment
    original = RunFolder.checkpoint

    def checkpoint(self: RunFolder, state: Any) -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        original(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "checkpoint", checkpoint)
        patch.setattr(Log, "close", lambda self: None)
        with pytest.raises(Killed):
            start(tiny_settings(*ON), run, Silent())
    told = len(objects(run))
    resume(run, Silent())
    assert compared(run) == compared(logged)
    timed = ("seconds",)
    for read in (curves, metrics):
        found, expected = read(run), read(logged)
        assert set(found) == set(expected)
        for name in expected:
            assert [step for step, _ in found[name]] == [step for step, _ in expected[name]], name
            if not name.endswith(timed):
                assert found[name] == expected[name], name
    assert pictures(run) == [0, 1, 2, 3]
    assert len(list((run / "mlruns").glob("*/*/artifacts"))) == 1, "MLflow's run is gone on with"
    ours, theirs = objects(run), objects(logged)
    counted = Counter(row["event"] for row in ours if row["event"] in SERIES)
    assert counted == SERIES and told > 1
    assert sum(row["event"] == "begin" for row in ours) == 2
    (end,), (expected_end,) = ([row for row in all_ if row["event"] == "end"] for all_ in (ours, theirs))
    assert end["genotype"] == expected_end["genotype"]


def test_a_log_that_is_gone_keeps_no_run_from_going_on(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("evonas.experiment.Experiment._finish", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            start(tiny_settings("log.jsonl=true"), run, Silent())
    (run / "log.jsonl").write_text('{"event": "cut by someone else"}\n')
    resume(run, Silent())
    assert compared(run) == compared(finished_run)
    assert [row["event"] for row in objects(run)][:2] == ["cut by someone else", "begin"]


def on_table(*assignments: str) -> Settings:
    from evonas.config import read_yaml, shipped, with_assignments
    from evonas.plan import check

    path = shipped("table")
    assert path is not None
    return check(with_assignments(read_yaml(path), ["search.evaluations=60", *assignments]))


def test_a_search_on_a_table_is_logged_too_and_done_again_leaves_nothing_twice(tmp_path: Path) -> None:
    objectives = "problem.objectives=[error,params]"
    for name, more in (("plain", ()), ("run", ON)):
        settings = on_table("search.algorithm=nsga2", objectives, *more)
        runner(settings).start(settings, tmp_path / name, Silent())
    run = tmp_path / "run"
    assert compared(run) == compared(tmp_path / "plain")
    first = curves(run), metrics(run)
    (run / "result.json").unlink()
    runner(settings).resume(run, Silent())
    generations = rows(run / "generations.csv")
    volumes = [float(row["hypervolume"]) for row in generations]
    assert [row["hypervolume"] for row in objects(run) if row["event"] == "search"] == volumes
    for read, before in zip((curves, metrics), first, strict=True):
        found = read(run)
        assert found["search/hypervolume"] == before["search/hypervolume"]
        assert [step for step, _ in found["search/hypervolume"]] == list(range(len(generations)))
        assert [step for step, _ in found["result/hypervolume"]] == [0]
    assert pictures(run) == [len(generations)]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
@pytest.mark.parametrize("more", [(), ("--table", "nb-macro")], ids=["supernet", "table"])
def test_a_log_whose_package_is_missing_is_one_line_and_nothing_is_written(
    name: str,
    more: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logs, "find_spec", lambda package: None)
    with pytest.raises(SystemExit) as left:
        main(["run", "ga", *more, "--set", f"log.{name}=true", "--out", str(tmp_path / "run")])
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert printed.err == (
        f"evonas: log.{name} needs {name}, which is not installed; install it by `pip install 'evonas[{name}]'`, or "
        f"leave it out by --set log.{name}=false\n"
    )
    assert not printed.out and not any(tmp_path.iterdir())


def test_a_run_is_not_gone_on_with_where_the_package_is_missing_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = on_table("log.tensorboard=true")
    runner(settings).start(settings, tmp_path / "run", Silent())
    (tmp_path / "run" / "result.json").unlink()
    monkeypatch.setattr(logs, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match="needs tensorboard, which is not installed"):
        runner(settings).resume(tmp_path / "run", Silent())
    assert (tmp_path / "run" / "history.csv").is_file()


def test_mlflow_goes_where_the_user_has_set_and_no_setting_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "elsewhere").as_uri())
    settings = on_table("log.mlflow=true")
    runner(settings).start(settings, tmp_path / "run", Silent())
    assert not (tmp_path / "run" / "mlruns").exists()
    assert list((tmp_path / "elsewhere").glob("*/*/metrics/search/best"))
    with pytest.raises(ConfigError, match=r"log.mlflow is 'http://127.0.0.1:1'; expected .*true or false"):
        build({"log": {"mlflow": "http://127.0.0.1:1"}})


def test_a_store_that_was_made_elsewhere_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = on_table("log.mlflow=true")
    run = tmp_path / "run"
    runner(settings).start(settings, run, Silent())
    (artifacts,) = (run / "mlruns").glob("*/*/artifacts")
    for file in artifacts.iterdir():
        file.unlink()
    run.rename(tmp_path / "moved")
    (tmp_path / "moved" / "result.json").unlink()
    runner(settings).resume(tmp_path / "moved", Silent())
    assert not run.exists()
    assert len(caplog.messages) == 1 and "was made in another place and keeps files at file://" in caplog.messages[0]


def test_a_log_that_fails_is_told_and_left_off_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    told = []

    class Full(Log):
        def line(self, text: str) -> None:
            raise OSError(28, "No space left\non device")

    class Good(Log):
        def line(self, text: str) -> None:
            told.append(text)

    with Logs(Stopwatch()) as several:
        several.add("full", Full)
        several.add("good", Good)
        several.line("one")
        several.line("two")
    assert told == ["one", "two"]
    assert caplog.messages == ["log.full is left off from here on: OSError: [Errno 28] No space left on device"]


def test_lines_go_to_the_logger_and_the_library_prints_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = on_table()
    runner(settings).start(settings, tmp_path / "unheard", Lines())
    assert not caplog.messages
    with caplog.at_level(logging.INFO, logger="evonas"):
        runner(settings).start(settings, tmp_path / "run", Lines())
    assert caplog.messages[0] == f"run folder: {tmp_path / 'run'}" and caplog.messages[-1].startswith("done in ")
    assert capfd.readouterr() == ("", "")
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("evonas").handlers)
