"""Kills at random moments of every phase: the resumed run equals the unbroken one."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_runs import Told, smallest_settings
from tests_support import TINY, compared

from evonas import ending
from evonas.ending import GRACE, resumable
from evonas.errors import Paused, TrainingError
from evonas.experiment import resume, start
from evonas.progress import Silent
from evonas.run import RunFolder
from evonas.slices import Slice

ROOT = Path(__file__).parent.parent.parent
KILLS = 200  # in the slow suite, over these algorithms and phases
SMALL = ("supernet.epochs=6", "search.generations=7", "retrain.epochs=4")
ENTRIES = {"warm-up": 2, "writing": 2, "retraining": 2}  # of a phase, the latest that is attacked; else the first
# In the order in which a run comes by them, so that each still lies ahead when its turn comes.
PLAN = (
    "start", "start", "warm-up", "warm-up", "writing", "warm-up", "selection", "measuring", "fine-tuning", "measuring",
    "writing", "selection", "fine-tuning", "writing", "final measuring", "final measuring", "retraining", "writing",
    "retraining", "retraining",
)  # fmt: skip
CODES = {signal.SIGKILL: {-signal.SIGKILL}, signal.SIGTERM: {143, -signal.SIGTERM}, signal.SIGINT: {130}}


class Zygote:
    """Runs command lines in children of one process that has imported everything."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "support" / "zygote.py")],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip

    def run(self, *argv: str, **attack: Any) -> tuple[int, float | None]:
        """Exit status of a command line, and the seconds from the signal to its end, where it came to be sent."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"argv": argv, "log": str(self.log), **attack}) + "\n")
        self._process.stdin.flush()
        code, seconds = json.loads(self._process.stdout.readline())
        return code, seconds

    def end(self) -> None:
        with self._process:  # closes its pipes, at which it ends
            pass


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    made = Zygote(tmp_path)
    yield made
    made.end()


@pytest.mark.slow
def test_runs_killed_again_and_again_end_as_the_unbroken_ones(tmp_path: Path, zygote: Zygote) -> None:
    rng, kills, seed = random.Random(0), Counter[tuple[str, str, str]](), 0
    while kills.total() < KILLS:
        algorithm = ("ga", "nsga2", "random")[seed % 3]
        killed, unbroken = tmp_path / f"killed-{seed}", tmp_path / f"unbroken-{seed}"
        begin = ["run", algorithm, "--seed", str(seed), "--quiet", *words(*TINY, *SMALL), "--out"]
        assert zygote.run(*begin, str(unbroken), here=True)[0] == 0, zygote.log.read_text()
        for phase in PLAN:
            number = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            code, seconds = zygote.run(
                *(["resume", str(killed), "--quiet"] if killed.exists() else [*begin, str(killed)]),
                phase=phase, entry=rng.randint(1, ENTRIES.get(phase, 1)), signal=number,
                delay=rng.choice([0.0, 0.002, 0.02, 0.5 if phase == "start" else 0.1]) * rng.random(),
            )  # fmt: skip
            said = zygote.log.read_text()
            assert "Traceback" not in said, said
            if code == 0:
                continue  # the run came to its end before its turn
            assert code in CODES[number], said
            assert seconds is not None and seconds < 30
            kills[algorithm, phase, number.name] += 1
        code, _ = zygote.run(*(["resume", str(killed)] if killed.exists() else [*begin, str(killed)]))
        assert code == 0, zygote.log.read_text()
        assert compared(killed) == compared(unbroken), f"{algorithm}, seed {seed}"
        assert not list(killed.rglob("*.tmp")), "what a kill left half-written is gone"
        seed += 1
    for place, what in enumerate(("algorithm", "phase", "signal")):
        found = Counter[str]()
        for key, count in kills.items():
            found[key[place]] += count
        print(f"by {what}: " + ", ".join(f"{name} {count}" for name, count in sorted(found.items())))  # noqa: T201
        assert min(found.values()) >= 5
    assert {key[:2] for key in kills} >= {(a, p) for a in ("ga", "nsga2") for p in set(PLAN)}
    print(f"{kills.total()} kills in {seed} runs")  # noqa: T201


def words(*assignments: str) -> list[str]:
    """The assignments as the command line takes them."""
    return [word for assignment in assignments for word in ("--set", assignment)]


# Without signals: at every single step of writing ------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die at the step-th sync or rename from 1; an append dies with half of its rows written."""
    steps = 0
    sync, replace = os.fsync, Path.replace

    def counted() -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise Killed

    def dying_sync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").resolve()
        if steps + 1 == step and target.suffix == ".csv":
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 40)
        counted()
        sync(descriptor)

    def dying_replace(self: Path, target: Path) -> Path:
        counted()
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", dying_sync)
    monkeypatch.setattr(Path, "replace", dying_replace)


def dies(path: Path, unbroken: Path, step: int) -> bool:
    """Whether a run of at least so many steps died at this one; resumed, it ends as the unbroken one."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch)
        try:
            start(smallest_settings(), path, Silent())
            return False
        except Killed:
            pass
    resume(path, Silent())
    assert compared(path) == compared(unbroken)
    assert not list(path.rglob("*.tmp"))
    return True


@pytest.mark.parametrize("step", [8, 19, 31])
def test_a_run_that_dies_at_a_step_of_writing_goes_on_to_the_same_end(
    unbroken: Path, tmp_path: Path, step: int
) -> None:
    assert dies(tmp_path / "run", unbroken, step)


@pytest.mark.slow
def test_a_run_that_dies_at_any_step_of_writing_goes_on_to_the_same_end(unbroken: Path, tmp_path: Path) -> None:
    steps = next(step for step in itertools.count(7) if not dies(tmp_path / str(step), unbroken, step))
    assert steps > 45
    print(f"killed at each of {steps - 7} steps of writing")  # noqa: T201


@pytest.mark.parametrize("step", range(1, 7))
def test_a_folder_that_is_not_made_yet_is_not_there_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with monkeypatch.context() as patch:
        kill_at(step, patch)
        with pytest.raises(Killed):
            RunFolder.create(tmp_path / "runs" / "a", smallest_settings())
            os.fsync(os.open(tmp_path, os.O_RDONLY))
    assert {path.name for path in (tmp_path / "runs").iterdir()} <= {"a"}, "an exception leaves no draft behind"


# SIGTERM -----------------------------------------------------------------------------------------------------------


def test_sigterm_lets_the_stretch_come_to_its_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share, reached = Slice(), False
    share.begin()
    with pytest.raises(SystemExit) as caught, resumable(tmp_path, share):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        reached = True
        share.checkpoint(lambda: None)
    assert reached and caught.value.code == 143
    assert capsys.readouterr().err == f"stopped; go on with `evonas resume {tmp_path}`\n"


class EndsAtStep(Slice):
    """A slice that is asked to end by its `last`-th step, as SIGTERM asks."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__()
        self.steps = 0
        self._last_step = last

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._last_step:
            self.end()
        super().step()


@pytest.fixture(scope="module")
def all_steps(unbroken: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Steps of the smallest run at which it can be stopped."""
    share = EndsAtStep()
    start(smallest_settings(), tmp_path_factory.mktemp("steps") / "run", Silent(), share=share)
    return share.steps


def stopped_at(step: int, path: Path, *assignments: str) -> int:
    """Steps of a run that ends at one of them and of its continuation, less one for a stop between two stretches."""
    first, second = EndsAtStep(step), EndsAtStep()
    with pytest.raises(Paused):
        start(smallest_settings(*assignments), path, Silent(), share=first)
    resume(path, Silent(), share=second)
    return first.steps + second.steps


@pytest.mark.parametrize("tenth", range(10))
def test_a_run_asked_to_end_at_a_step_goes_on_from_that_step(
    unbroken: Path, all_steps: int, tmp_path: Path, tenth: int
) -> None:
    step = 1 + (2 * tenth + 1) * all_steps // 20
    assert stopped_at(step, tmp_path / "run") - all_steps in (0, 1), "a step that was kept is not made again"
    assert compared(tmp_path / "run") == compared(unbroken)


@pytest.mark.slow
def test_a_run_asked_to_end_at_any_step_goes_on_from_that_step(unbroken: Path, all_steps: int, tmp_path: Path) -> None:
    for step in range(1, all_steps + 1):
        assert stopped_at(step, tmp_path / str(step)) - all_steps in (0, 1)
        assert compared(tmp_path / str(step)) == compared(unbroken)


def test_fine_tuning_that_ran_away_and_was_then_stopped_goes_back_to_its_own_beginning(tmp_path: Path) -> None:
    """The state to go back to is that before the phase, whichever process found out."""
    wild = ("finetune.lr=1e30", "supernet.clip=1e30")

    def told(share: Slice | None, path: Path, new: bool) -> list[str]:
        reporter = Told()
        run = start if new else resume
        arguments = (smallest_settings(*wild), path, reporter) if new else (path, reporter)
        with pytest.raises((TrainingError, Paused)):
            run(*arguments, share=share)  # type: ignore[operator]
        return [line for line in reporter.lines if "of the rate" in line]

    unbroken = EndsAtStep()
    whole = told(unbroken, tmp_path / "whole", new=True)
    assert len(whole) == 3
    at = unbroken.steps - 1  # in the last attempt
    parts = told(EndsAtStep(at), tmp_path / "parts", new=True) + told(None, tmp_path / "parts", new=False)
    assert parts == whole


@pytest.mark.parametrize("again", [False, True])
def test_sigterm_does_not_wait_long_and_the_second_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(ending, "GRACE", 60.0 if again else 0.1)
    share = Slice()
    share.begin()
    begin = time.monotonic()
    with pytest.raises(SystemExit) as caught, resumable(tmp_path, share):
        for _ in range(1 + again):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    assert caught.value.code == 143 and time.monotonic() - begin < 10
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_sigterm_before_there_is_work_ends_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, resumable(tmp_path / "run", Slice()):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert caught.value.code == 143
    assert capsys.readouterr().err == "stopped, before anything was written\n"


def test_the_time_that_sigterm_leaves_is_less_than_clusters_do() -> None:
    assert GRACE <= 25
