"""The run folder: whole or not there, one holder at a time, nothing read that could run code."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evonas.config import Settings, build
from evonas.errors import RunError
from evonas.run import RunFolder, read_result, require_free, require_run, write_synced


@pytest.fixture
def settings() -> Settings:
    return build({})


@pytest.fixture
def run(tmp_path: Path, settings: Settings) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "runs" / "a", settings) as run:
        yield run


def test_a_new_run_folder_holds_its_settings_and_nothing_lies_beside_it(
    run: RunFolder, tmp_path: Path, settings: Settings
) -> None:
    assert run.settings() == settings
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["a"]
    require_run(run.path)


@pytest.mark.parametrize("content", ["config.yaml", "something.txt"])
def test_a_folder_that_is_not_empty_is_refused_and_kept(tmp_path: Path, settings: Settings, content: str) -> None:
    (tmp_path / content).write_text("mine")
    with pytest.raises(RunError, match="choose another --out"):
        RunFolder.create(tmp_path, settings)
    assert [p.name for p in tmp_path.iterdir()] == [content]
    assert (tmp_path / content).read_text() == "mine"


def test_a_file_in_the_place_of_a_run_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match="choose another --out"):
        RunFolder.create(tmp_path / "run", settings)
    assert (tmp_path / "run").read_text() == "mine"


def test_an_empty_folder_is_free(tmp_path: Path, settings: Settings) -> None:
    require_free(tmp_path)
    RunFolder.create(tmp_path, settings).close()


@pytest.mark.parametrize("kind", ["absent", "file", "empty", "settings only"])
def test_what_is_no_run_folder_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    if kind == "file":
        path.write_text("")
    elif kind != "absent":
        path.mkdir()
        if kind == "settings only":
            (path / "config.yaml").write_text("")
    with pytest.raises(RunError, match="folder of a run"):
        RunFolder.open(path)


def test_a_checkpoint_comes_back_bit_for_bit_and_contiguous(run: RunFolder) -> None:
    weights = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    run.checkpoint({"weights": {"w": weights}, "rng": 2**100, "list": [1, (2, 3)], "none": None})
    state = run.latest()
    assert state is not None
    assert torch.equal(state["weights"]["w"], weights)
    assert state["weights"]["w"].is_contiguous()
    assert (state["rng"], state["list"], state["none"]) == (2**100, [1, [2, 3]], None)


def test_the_last_two_checkpoints_are_kept(run: RunFolder) -> None:
    for epoch in range(5):
        run.checkpoint({"epoch": epoch})
    assert sorted(p.name for p in (run.path / "checkpoints").iterdir()) == ["000003.pt", "000004.pt"]
    assert run.latest()["epoch"] == 4  # type: ignore[index]


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(run: RunFolder) -> None:
    run.checkpoint({"epoch": 0})
    run.checkpoint({"epoch": 1})
    newest = run.path / "checkpoints" / "000001.pt"
    newest.write_bytes(newest.read_bytes()[:-200])
    assert run.latest()["epoch"] == 0  # type: ignore[index]
    (run.path / "checkpoints" / "000000.pt").write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint .* can be read"):
        run.latest()


def test_a_pickle_in_the_place_of_a_checkpoint_does_not_run(run: RunFolder, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "hacked"),)

    (run.path / "checkpoints" / "000000.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RunError, match="can be read"):
        run.latest()
    torch.save({"format": 1, "lengths": {}, "x": Evil()}, run.path / "checkpoints" / "000001.pt")
    with pytest.raises(RunError, match="can be read"):
        run.latest()
    assert not (tmp_path / "hacked").exists()


def test_tables_are_cut_to_their_length_at_the_checkpoint(run: RunFolder) -> None:
    run.append("history.csv", [{"a": 1, "b": "[1, 2]"}])
    run.checkpoint({})
    run.append("history.csv", [{"a": 2, "b": "[3, 4]"}])
    run.append("generations.csv", [{"c": 1}])
    run.latest()
    assert run.read_table("history.csv") == [{"a": "1", "b": "[1, 2]"}]
    assert not (run.path / "generations.csv").exists()


def test_without_a_checkpoint_tables_start_anew(run: RunFolder) -> None:
    run.append("history.csv", [{"a": 1}])
    assert run.latest() is None
    assert run.read_table("history.csv") == []


def test_a_second_process_is_refused_by_name_and_a_dead_one_leaves_no_lock(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "a"
    RunFolder.create(path, settings).close()
    holder = subprocess.Popen(
        [sys.executable, "-c", f"from pathlib import Path; from evonas.run import RunFolder;"
         f"r = RunFolder.open(Path({str(path)!r})); print('held', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=rf"in use by process {holder.pid} on "):
        RunFolder.open(path)
    holder.kill()
    holder.communicate()
    RunFolder.open(path).close()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_synced(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_synced(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(RunError, match=r"result\.json is damaged"):
        read_result(tmp_path)
