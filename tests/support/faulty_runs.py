"""Runs to attack: one that ended, and one that was stopped in the middle."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests_support import tiny_settings

from evonas.config import Settings
from evonas.experiment import start
from evonas.progress import Silent
from evonas.run import RunFolder

SMALLEST = ("space.width=2", "space.head=4", "supernet.epochs=1", "retrain.epochs=1", "memory_format=contiguous")


def few(values: Iterable[Any], fast: Collection[Any]) -> list[Any]:
    """The values as parameters, of which those not in `fast` are left to the slow suite."""
    return [pytest.param(value, marks=() if value in fast else pytest.mark.slow) for value in values]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Told(Silent):
    """Remembers the lines that a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@contextmanager
def killed_behind(generation: int) -> Iterator[None]:
    """Within it, a run dies right after the checkpoint of that generation."""
    original = RunFolder.checkpoint

    def checkpoint(self: RunFolder, state: Any) -> None:
        original(self, state)
        if state.get("generation") == generation:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "checkpoint", checkpoint)
        yield


def smallest_settings(*assignments: str) -> Settings:
    """Settings of a run that takes half a second."""
    return tiny_settings(*SMALLEST, *assignments)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but its lock, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unbroken") / "run"
    start(smallest_settings(), path, Silent())
    return path


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stopped") / "run"
    with killed_behind(2), pytest.raises(Killed):
        start(smallest_settings(), path, Silent())
    return path


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A run that was stopped behind its second generation, to be damaged."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))
