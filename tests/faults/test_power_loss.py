"""What a loss of power, a bad disk or a full one leaves: the last good state is found, and said; nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from faulty_runs import Told, contents, few, smallest_settings
from tests_support import compared

from evonas.checkpoint import DamagedError, opened, sealed
from evonas.errors import RunError
from evonas.experiment import resume, start
from evonas.progress import Silent
from evonas.run import RunFolder, write_synced

Damage = Callable[[bytes], bytes]


def flipped(data: bytes, bit: int) -> bytes:
    place = bytearray(data)
    place[bit // 8] ^= 1 << bit % 8
    return bytes(place)


DAMAGES: dict[str, Damage] = {
    "empty": lambda data: b"",
    "cut in half": lambda data: data[: len(data) // 2],
    "without its last byte": lambda data: data[:-1],
    "a bit flipped": lambda data: flipped(data, 4 * len(data)),
    "a page of zeros": lambda data: data[:4096] + bytes(4096) + data[8192:],
    "something else": lambda data: b"evonas" * 1000,
}


def newest(run: Path) -> Path:
    return max((run / "checkpoints").glob("*.pt"))


@pytest.mark.parametrize("damage", few(DAMAGES, fast=["empty", "a bit flipped"]))
def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_used(run: Path, unbroken: Path, damage: str) -> None:
    path, told = newest(run), Told()
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    resume(run, told)
    assert compared(run) == compared(unbroken)
    (line,) = (line for line in told.lines if "damaged" in line)
    assert path.name in line and "going on from 000001.pt" in line


def test_any_flipped_bit_and_any_lost_end_is_noticed() -> None:
    data = sealed({"lengths": {}}, {"weights": torch.arange(100.0), "rng": 2**100})
    about, state = opened(data)
    assert (about, state["rng"], torch.equal(state["weights"], torch.arange(100.0))) == ({"lengths": {}}, 2**100, True)
    rng = random.Random(0)
    for bit in rng.sample(range(8 * len(data)), 400):
        with pytest.raises(DamagedError):
            opened(flipped(data, bit))
    for length in rng.sample(range(len(data)), 100):
        with pytest.raises(DamagedError):
            opened(data[:length])


def test_where_both_checkpoints_are_damaged_they_are_named_and_nothing_is_touched(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:-100])
    before = contents(run)
    with pytest.raises(RunError, match=r"no checkpoint of .* can be read \(000002\.pt: .*; 000001\.pt: .*put a copy"):
        resume(run, Silent())
    assert contents(run) == before


@pytest.mark.parametrize("kept", [0, 1])
def test_a_table_that_lost_its_end_gives_way_to_an_older_checkpoint_or_is_named(run: Path, kept: int) -> None:
    lines = (run / "history.csv").read_text().splitlines(keepends=True)
    (run / "history.csv").write_text("".join(lines[: 7 * kept]))  # the header and the first generation, or nothing
    before, told = contents(run), Told()
    if kept:
        resume(run, told)
        assert any("history.csv is shorter than it was" in line for line in told.lines)
    else:
        with pytest.raises(RunError, match=r"history\.csv is shorter than it was"):
            resume(run, told)
        assert contents(run) == before


def test_a_table_that_was_changed_is_named_and_nothing_is_touched(run: Path) -> None:
    text = (run / "history.csv").read_text()
    (run / "history.csv").write_text(text.replace("initial", "initiaL", 1))
    before = contents(run)
    with pytest.raises(RunError, match=r"history\.csv is not what it was"):
        resume(run, Silent())
    assert contents(run) == before


def test_a_good_checkpoint_outlives_a_damaged_newer_one(run: Path) -> None:
    newest(run).write_bytes(b"")
    with RunFolder.open(run) as folder:
        state = folder.latest()
        assert state is not None
        folder.checkpoint(state)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["000001.pt", "000003.pt"]


def test_files_are_synced_before_they_are_renamed_and_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def recorded_sync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").resolve()
        done.append(f"sync {target.name}")
        sync(descriptor)

    def recorded_replace(self: Path, target: Path) -> Path:
        done.append(f"rename {self.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    write_synced(tmp_path / "a", b"data")
    assert done == ["sync a.tmp", "rename a.tmp", f"sync {tmp_path.name}"]
    with RunFolder.create(tmp_path / "run", smallest_settings()) as folder:
        done.clear()
        folder.append("history.csv", [{"a": 1}])
        assert done == ["sync history.csv"]
        done.clear()
        folder.checkpoint({"x": 1})
        assert done == ["sync 000000.pt.tmp", "rename 000000.pt.tmp", "sync checkpoints"]


# Full and read-only disks -------------------------------------------------------------------------------------------


def mount(*options: str) -> None:
    answer = subprocess.run(["mount", *options], capture_output=True, text=True)
    if answer.returncode:
        pytest.skip(f"no file system of its own can be mounted here: {answer.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    if shutil.which("mount") is None:
        pytest.skip("there is no `mount` here")
    (tmp_path / "disk").mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "disk"))
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], check=True)


@pytest.mark.parametrize("room", few([0, 20, 60, 90, 110, 140], fast=[0, 60, 110]))
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(disk: Path, unbroken: Path, room: int) -> None:
    """room: KiB that are free when the run starts, so that it ends at another write each time."""
    with pytest.raises(OSError, match="No space"):
        (disk / "ballast").write_bytes(bytes(2 * 1024**2))
    os.truncate(disk / "ballast", (1024 - room) * 1024)
    path = disk / "run"
    with pytest.raises(RunError, match="No space left on device") as caught:
        start(smallest_settings(), path, Silent())
    assert "\n" not in str(caught.value)
    if not path.exists():
        assert [entry.name for entry in disk.iterdir()] == ["ballast"], "nothing half-made is left"
    assert not list(disk.rglob("*.tmp")), "what could not be written takes no room"
    (disk / "ballast").unlink()
    resume(path, Silent()) if path.exists() else start(smallest_settings(), path, Silent())
    assert compared(path) == compared(unbroken)


def test_a_read_only_disk_is_one_line_and_the_run_goes_on_when_it_can_be_written(
    disk: Path, stopped: Path, unbroken: Path
) -> None:
    run = Path(shutil.copytree(stopped, disk / "run"))
    before = contents(run)
    mount("-o", "remount,ro", str(disk))
    try:
        with pytest.raises(RunError, match=r"cannot write .*Read-only file system.*evonas resume"):
            resume(run, Silent())
        with pytest.raises(RunError, match=r"cannot make the run folder .*Read-only file system.*choose another"):
            start(smallest_settings(), disk / "another", Silent())
    finally:
        mount("-o", "remount,rw", str(disk))
    assert contents(run) == before
    resume(run, Silent())
    assert compared(run) == compared(unbroken)


@pytest.mark.parametrize("name", few(["checkpoints", "supernet", "best"], fast=["checkpoints"]))
def test_a_write_that_fails_in_the_middle_of_a_run_loses_nothing(
    run: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    original = write_synced

    def refused(path: Path, data: bytes) -> None:
        if path.parent.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        original(path, data)

    with monkeypatch.context() as patch:
        patch.setattr("evonas.run.write_synced", refused)
        with pytest.raises(RunError, match=rf"cannot write .*/{name}/.*: Permission denied"):
            resume(run, Silent())
    resume(run, Silent())
    assert compared(run) == compared(unbroken)


def test_a_state_holds_all_that_the_rest_depends_on(run: Path, unbroken: Path) -> None:
    """Drop any part of a checkpoint, and the run is refused or ends otherwise: nothing in it is for show."""
    path = newest(run)
    about, state = opened(path.read_bytes())

    def parts(node: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for key, value in node.items():
            yield (*at, key)
            if isinstance(value, dict) and key in ("trainer", "problem", "algorithm"):
                yield from parts(value, (*at, key))

    names = list(parts(state))
    assert ("algorithm", "rng") in names and ("algorithm", "deap") in names and ("trainer", "optimizer") in names
    for name in names:
        if name in {("seconds",), ("device_seconds",), ("trainer", "rate")}:
            continue  # times are no part of equality; format 1 has no rate
        _, damaged = opened(path.read_bytes())
        place = damaged
        for key in name[:-1]:
            place = place[key]
        del place[name[-1]]
        copy = Path(shutil.copytree(run, run.parent / "-".join(name)))
        (copy / "checkpoints" / path.name).write_bytes(sealed(about, damaged))
        with pytest.raises(RunError, match="is not as evonas writes it"):
            resume(copy, Silent())
