"""Crews: calls spread over workers, workers that die, and results that do not depend on who computes them."""

from __future__ import annotations

import json
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tests_support import compared, tiny_settings

from evonas.config import build, read_yaml
from evonas.data import ImageData
from evonas.engines.bench import Bench
from evonas.engines.crew import READY, Call, Crew, Here, RemoteCrew, Servant, Worker, WorkerDiedError, decoded, encoded
from evonas.engines.engine import engine
from evonas.engines.measuring import SpreadMeasurer, shares
from evonas.engines.processes import ProcessCrew
from evonas.errors import ConfigError, TrainingError
from evonas.experiment import Experiment, effective, resume, start
from evonas.plan import side_by_side
from evonas.progress import Silent
from evonas.run import RunFolder
from evonas.supernet.careful import CarefulMeasurer
from evonas.supernet.measuring import Measurer


class Echo:
    """What the workers of these tests hold."""

    def double(self, number: int) -> int:
        return 2 * number

    def add(self, number: int, other: Callable[[], int]) -> int:
        return number + other()

    def pid(self) -> int:
        return os.getpid()

    def wrong(self) -> None:
        raise TrainingError("told by a worker")


class Fake(Worker):
    """A worker of this process. It answers by the crew's plan: "dies", "never" or any other word."""

    def __init__(self, fate: str) -> None:
        self.fate = fate
        self.dismissed = False
        self._servant = Servant(Echo)

    def begin(self, call: Call) -> None:
        if self.fate == "dies idle" and call.method != READY:
            raise WorkerDiedError("gone")
        self._call = call

    def result(self) -> Any:
        if self.fate == ("dies coming" if self._call.method == READY else "dies at work"):
            raise WorkerDiedError("gone")
        shared = self._call.shared
        answer = self._servant.answer(self._call.method, encoded(self._call.arguments), shared and (lambda: shared))
        return decoded(answer)

    def dismiss(self) -> None:
        self.dismissed = True


class FakeCrew(RemoteCrew[Fake]):
    """Workers with the given fates in turn, then good ones."""

    def __init__(self, size: int, *fates: str) -> None:
        super().__init__(size)
        self.hired: list[Fake] = []
        self._fates = deque(fates)

    def _hired(self) -> Fake:
        self.hired.append(Fake(self._fates.popleft() if self._fates else "good"))
        return self.hired[-1]

    def _answered(self, workers: Sequence[Fake]) -> Sequence[Fake]:
        return [worker for worker in workers if worker.fate != "never"]

    def share(self, content: bytes) -> bytes:
        return content


def doubled(crew: Crew, numbers: int = 6) -> list[int]:
    calls = deque(Call("double", (number,), number) for number in range(numbers))
    found = {call.about: result for call, result in crew.results(calls)}
    return [found[number] for number in range(numbers)]


@pytest.mark.parametrize(
    "fates", [(), ("dies coming",), ("dies idle", "dies idle"), ("dies at work", "dies at work"), ("never",)]
)
def test_every_call_is_answered_whatever_becomes_of_workers(fates: tuple[str, ...]) -> None:
    with FakeCrew(2, *fates) as crew:
        assert doubled(crew) == [0, 2, 4, 6, 8, 10]
        assert doubled(crew, 2) == [0, 2], "the crew is there for the next calls"
        dead = [worker for worker in crew.hired if worker.fate.startswith("dies")]
        assert all(worker.dismissed for worker in dead)
        assert len(crew.hired) == 2 + len(dead)
    assert all(worker.dismissed for worker in crew.hired)


@pytest.mark.parametrize("fate", ["dies at work", "dies coming"])
def test_work_that_kills_every_worker_is_given_up(fate: str) -> None:
    with FakeCrew(1, *[fate] * 9) as crew, pytest.raises(TrainingError, match=r"died 4 times.*memory may be short"):
        doubled(crew)


def test_a_worker_whose_call_raises_is_let_go_with_the_others() -> None:
    with FakeCrew(1) as crew, pytest.raises(AttributeError):
        list(crew.results(deque([Call("nothing of that name")])))
    assert [worker.dismissed for worker in crew.hired] == [True]


def test_calls_that_are_added_meanwhile_are_made_too() -> None:
    with FakeCrew(2) as crew:
        calls, seen = deque([Call("double", (1,))]), []
        for _, result in crew.results(calls):
            seen.append(result)
            if result < 20:
                calls.appendleft(Call("double", (result,)))
        assert seen == [2, 4, 8, 16, 32]
        call = Call("add", (1,), shared=crew.share(encoded(41)))
        assert [result for _, result in crew.results(deque([call]))] == [42]


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced_and_an_error_comes_through() -> None:
    with ProcessCrew(Echo, 2) as crew:
        ((_, pid),) = crew.results(deque([Call("pid")]))
        os.kill(pid, signal.SIGKILL)
        assert doubled(crew) == [0, 2, 4, 6, 8, 10]
        call = Call("add", (1,), shared=crew.share(encoded(41)))
        assert [result for _, result in crew.results(deque([call]))] == [42]
        with pytest.raises(TrainingError, match="told by a worker"):
            list(crew.results(deque([Call("wrong")])))


# Measuring ------------------------------------------------------------------------------------------------------


class Several(Here):
    """A crew that takes itself for three."""

    size = 3


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_shares_hold_every_genotype_once_beside_those_that_begin_alike(workers: int) -> None:
    genotypes = [(a, b, c) for a in (2, 0, 1) for b in (1, 0) for c in range(3)]
    found = shares(genotypes, workers)
    assert list(chain.from_iterable(found)) == sorted(genotypes)
    assert len(found) <= workers and all(found)
    if workers == 2:
        assert [len(share) for share in found] == [8, 10], "the first of a share has no one to begin alike with"


@pytest.mark.parametrize("mode", ["batch", "recalibrate", "running"])
def test_a_crew_measures_the_same_bits_on_every_state(parts: Any, digits: ImageData, mode: str) -> None:
    made = parts(f"measure.batch_norm={mode}", "precision=float32", "memory_format=contiguous")
    careful = CarefulMeasurer(Measurer(made.supernet, digits, made.settings.measure, made.arithmetic))
    with Several(lambda: Bench(made.settings, digits, made.arithmetic)) as crew:
        spread = SpreadMeasurer(careful, crew)
        genotypes = [(a, b, c) for a in (0, 3) for b in (4, 1) for c in (2, 0, 1)]
        for state in range(2):
            assert spread.measure(genotypes) == careful.measure(genotypes)
            assert spread.measure(genotypes[:1]) == careful.measure(genotypes[:1])
            made.trainer.warm_up_epoch(state)


def test_weights_are_shared_once_a_state(parts: Any, digits: ImageData) -> None:
    made = parts()
    careful = CarefulMeasurer(Measurer(made.supernet, digits, made.settings.measure, made.arithmetic))
    shared: list[bytes] = []

    class Counting(Several):
        def share(self, content: bytes) -> Any:
            shared.append(content)
            return super().share(content)

    with Counting(lambda: Bench(made.settings, digits, made.arithmetic)) as crew:
        spread = SpreadMeasurer(careful, crew)
        for genotypes in ([(0, 0, 0), (1, 1, 1)], [(2, 2, 2), (3, 3, 3)]):
            spread.measure(genotypes)
        assert len(shared) == 1
        made.trainer.warm_up_epoch(0)
        spread.measure([(0, 0, 0), (1, 1, 1)])
        assert len(shared) == 2


# Retraining -----------------------------------------------------------------------------------------------------


class InTurn(Several):
    """Three at once, of which the one that was longest without an epoch has the next."""

    def results(self, calls: deque[Call]) -> Iterator[tuple[Call, Any]]:
        while calls:
            calls.rotate(-1)
            call = calls.popleft()
            yield call, decoded(encoded(getattr(self._held, call.method)(*call.arguments)))


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def crew(self: Experiment, *_: object, **__: object) -> Crew:
        return InTurn(lambda: Bench(self.settings, self.data, self.arithmetic))

    monkeypatch.setattr(Experiment, "_crew", crew)


def settings_of_several() -> Any:
    return tiny_settings("space.width=2", "retrain.top=2", "retrain.references=2", "retrain.epochs=3")


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "run"
    start(settings_of_several(), path, Silent())
    return path


def reported(run: Path) -> Any:
    result = json.loads((run / "result.json").read_text())
    return compared(run), result["references"], result["competitors"], (run / "best/model.safetensors").read_bytes()


@pytest.mark.usefixtures("in_turn")
@pytest.mark.parametrize("moment", [None, 6, 11])
def test_networks_trained_side_by_side_end_the_same_killed_or_not(
    one_by_one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int | None
) -> None:
    class Killed(BaseException):
        pass

    original, written = RunFolder.checkpoint, 0

    def checkpoint(self: RunFolder, state: Any) -> None:
        nonlocal written
        original(self, state)
        written += 1
        if written == moment:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "checkpoint", checkpoint)
        if moment is None:
            start(settings_of_several(), tmp_path / "run", Silent())
        else:
            with pytest.raises(Killed):
                start(settings_of_several(), tmp_path / "run", Silent())
    if moment is not None:
        resume(tmp_path / "run", Silent())
    assert reported(tmp_path / "run") == reported(one_by_one)


@pytest.mark.slow
def test_processes_train_the_same_bits(one_by_one: Path, tmp_path: Path) -> None:
    settings = settings_of_several()
    side = settings.model_copy(update={"retrain": settings.retrain.model_copy(update={"jobs": 2})})
    start(side, tmp_path / "run", Silent())
    assert reported(tmp_path / "run") == reported(one_by_one)


@pytest.mark.parametrize(
    ("assignments", "threads", "expected"),
    [
        ([], 1, (1, 1)),
        ([], 2, (1, 2)),  # best, largest and a random one
        ([], 4, (4, 1)),  # fewer trainings than threads
        (["retrain.references=0"], 2, (2, 1)),
        (["retrain.references=0", "retrain.seeds=8"], 4, (1, 4)),
        (["retrain.threads=2"], 4, (2, 2)),
        (["retrain.jobs=1"], 2, (1, 1)),
        (["device=cuda"], 2, (2, 1)),
    ],
)
def test_a_training_has_one_thread_where_there_is_one_for_each(
    assignments: list[str], threads: int, expected: tuple[int, int]
) -> None:
    chosen = side_by_side(tiny_settings(*assignments), threads)
    assert (chosen.threads, chosen.jobs) == expected


def test_threads_and_jobs_are_recorded_and_older_runs_keep_theirs(tmp_path: Path) -> None:
    settings = effective(tiny_settings("threads=2", "retrain.jobs=1", "space.width=2"))
    assert (settings.retrain.threads, settings.retrain.jobs) == (1, 1)
    with RunFolder.create(tmp_path / "run", settings):
        recorded = (tmp_path / "run" / "config.yaml").read_text()
    assert build(read_yaml(tmp_path / "run" / "config.yaml")) == settings
    older = recorded.replace("  threads: 1\n  jobs: 1\n", "")
    (tmp_path / "run" / "config.yaml").write_text(older)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Experiment, "execute", lambda self, *_: seen.append(self.settings.retrain) or {})
        resume(tmp_path / "run", Silent())
    assert (seen[0].threads, seen[0].jobs) == (2, 1)


# The command line -----------------------------------------------------------------------------------------------


def test_an_engine_that_cannot_be_used_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--engine 'rey' is unknown; did you mean 'ray'"):
        engine("rey")
    with pytest.raises(ConfigError, match="--ray-address is for --engine ray"):
        engine("local", "auto")
    monkeypatch.setattr("evonas.engines.on_ray.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"install it by `pip install 'evonas\[ray\]'`"):
        engine("ray")


def test_a_worker_with_other_images_is_refused() -> None:
    from evonas.engines.bench import bench
    from evonas.errors import DataError

    settings = effective(tiny_settings()).model_dump(mode="json")
    with pytest.raises(DataError, match="other images than the run"):
        Here(partial(bench, settings, "0" * 64))


def test_what_travels_is_plain_data_with_tensors() -> None:
    import torch

    data = {"a": [1, 2.5, float("inf"), None], "b": torch.arange(3)}
    assert encoded(data) == encoded({"a": [1, 2.5, float("inf"), None], "b": torch.arange(3)})
    found = decoded(encoded(data))
    assert found["a"] == data["a"] and torch.equal(found["b"], torch.arange(3))
