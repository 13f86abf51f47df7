"""Latency: what is timed is kept, the table agrees with whole networks, and runs go on with the same figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from tests_support import SMALL_SPACES, rows

from evonas.arithmetic import Arithmetic
from evonas.cli import main
from evonas.config import Settings, build, with_assignments
from evonas.device_times import DeviceTimes, read_times, write_times
from evonas.errors import ConfigError, TableError
from evonas.experiment import Experiment, resume, start
from evonas.latency import Latency
from evonas.plan import check
from evonas.progress import Silent
from evonas.spaces import build_space
from evonas.table_search import start as start_on_table
from evonas.timing import times_here

CPU = torch.device("cpu")
Make = Callable[..., Settings]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def latency(space: Any, **options: Any) -> Latency:
    return Latency(space, (3, 16, 16), 10, Arithmetic(CPU, torch.channels_last), **options)


def test_a_part_is_timed_once_and_times_add_up() -> None:
    space = build_space(build({"space": {"name": "nb201", "width": 4, "cells": 2}}).space)
    timed = latency(space)
    genotype = (3, 3, 3, 3, 3, 3)
    total = timed.of(genotype)
    parts = dict(timed.known)
    assert timed.of(genotype) == total and timed.known == parts
    convolutions = [value for key, value in parts.items() if key.startswith("NB") or "Conv2d" in key]
    assert total > sum(parts.values()), "six edges of two cells a stage, each at the time of the one that was timed"
    assert all(value > 0 for value in convolutions)
    low, high = timed.bounds()
    assert low < total <= high * 1.001
    assert latency(space, known=timed.known).bounds() == (low, high), "nothing is timed again"


def test_a_network_that_is_no_chain_is_added_up_from_its_pieces() -> None:
    small = {"name": "darts", "width": 2, "cells": 3, "retrain_width": 4, "retrain_cells": 3}
    space = build_space(build({"space": small}).space)
    timed = latency(space)
    genotype = (0, 3, 1, 3) * 8
    total = timed.of(genotype)
    assert total > sum(timed.known.values()), "eight edges a cell, several at the time of one that was timed"
    assert latency(space, known=timed.known).of(genotype) == total


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single-path", "nb-macro", "nb201", "darts"])
def test_the_table_ranks_networks_as_whole_ones_do(name: str) -> None:
    space = build_space(build({"space": {"name": name, "width": 16}}).space)
    rng = np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(40)]
    added, measured = latency(space), latency(space, source="measured")
    found = kendalltau([added.of(g) for g in genotypes], [measured.of(g) for g in genotypes])
    assert found.statistic > 0.5


def test_latency_is_an_objective_with_a_limit_and_survives_a_kill(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny("search.algorithm=nsga2", "problem.objectives=[loss,latency]", "problem.limits.latency_ms=1000")
    assert settings.problem.objectives == ("loss", "latency_ms")
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "_choose", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            start(settings, tmp_path / "run", Silent())
    timed = {row["what"]: row["milliseconds"] for row in rows(tmp_path / "run" / "latency.csv")}
    resume(tmp_path / "run", Silent())
    after = rows(tmp_path / "run" / "latency.csv")
    assert timed and timed.items() <= {row["what"]: row["milliseconds"] for row in after}.items()
    assert {row["batch"] for row in after} == {"1"}
    history = rows(tmp_path / "run" / "history.csv")
    assert list(history[0])[-3:] == ["flops", "latency_ms", "seconds"]
    by_genotype: dict[str, set[str]] = {}
    for row in history:
        by_genotype.setdefault(row["genotype"], set()).add(row["latency_ms"])
    assert all(len(values) == 1 for values in by_genotype.values()), "one figure a network, before and after the kill"


@pytest.mark.parametrize("name", SMALL_SPACES)
def test_all_parts_of_a_space_are_met(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Latency, "_milliseconds", lambda self, module, shape: 1.0)
    space = build_space(build(with_assignments({}, [SMALL_SPACES[name]])).space)
    timed = latency(space)
    timed.meet_all_parts()
    rng, strict = np.random.default_rng(1), latency(space, known=timed.known, only="board.csv")
    assert all(strict.of(space.sample(rng)) > 0 for _ in range(500))


def slow_wide(settings: Settings, path: Path) -> Path:
    """Times of a device on which a part takes as many milliseconds as its description has letters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Latency, "_milliseconds", lambda self, module, shape: float(len(repr(module))))
        times = times_here(settings, (1, 8, 8), 10)
    write_times(path, DeviceTimes(times.milliseconds, times.batch, "a board"))
    return path


def test_a_search_takes_the_times_of_another_device(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = slow_wide(tiny(), tmp_path / "board.csv")
    monkeypatch.setattr(Latency, "_milliseconds", None)  # nothing is timed here
    monkeypatch.chdir(tmp_path)
    settings = tiny("search.algorithm=nsga2", "problem.objectives=[loss,latency]", "problem.latency_file=board.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "_choose", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            start(settings, tmp_path / "run", Silent())
    file.rename(tmp_path / "elsewhere.csv")  # the run has a copy
    resume(tmp_path / "run", Silent())
    assert (tmp_path / "run" / "latency.csv").read_text() == (tmp_path / "elsewhere.csv").read_text()
    history = rows(tmp_path / "run" / "history.csv")
    assert all(float(row["latency_ms"]) == int(float(row["latency_ms"])) > 100 for row in history)


def test_times_of_other_networks_or_batches_are_refused_before_anything_is_written(tiny: Make, tmp_path: Path) -> None:
    file = slow_wide(tiny("space.width=5"), tmp_path / "board.csv")
    named = ["problem.objectives=[loss,latency]", f"problem.latency_file={file}"]
    with pytest.raises(ConfigError, match=r"board.csv has no time of .* take the times anew"):
        start(tiny(*named), tmp_path / "run", Silent())
    with pytest.raises(ConfigError, match=r"holds times of batches of 1, and problem\.latency_batch is 2"):
        start(tiny(*named, "problem.latency_batch=2"), tmp_path / "run", Silent())
    with pytest.raises(ConfigError, match=r"board.csv exists"):
        write_times(file, DeviceTimes({"a": 1.0}, 1, "b"))
    assert not (tmp_path / "run").exists()


def test_the_command_writes_what_a_search_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [
        "space.width=2",
        "space.layers=[1,1]",
        "space.strides=[2,2]",
        "space.head=4",
        "space.operations=[conv3,skip]",
    ]
    words = ["latency", "--config", "digits", "--channels", "1", "--image-size", "8", "--out", str(tmp_path / "t.csv")]
    with pytest.raises(SystemExit) as caught:
        main([*words, *(word for part in small for word in ("--set", part))])
    assert caught.value.code == 0
    found = read_times(tmp_path / "t.csv", 1)
    assert f"{len(found.milliseconds)} times on {found.device}, batches of 1" in capsys.readouterr().out
    assert all("eps" not in what for what in found.milliseconds), "releases of torch describe norms differently"


def test_a_measured_latency_is_kept_by_network(tiny: Make, tmp_path: Path) -> None:
    settings = tiny("problem.objectives=[loss,latency_ms]", "problem.latency=measured", "problem.latency_batch=4")
    start(settings, tmp_path / "run", Silent())
    kept = rows(tmp_path / "run" / "latency.csv")
    assert {row["batch"] for row in kept} == {"4"}
    assert len(kept) >= len({row["genotype"] for row in rows(tmp_path / "run" / "history.csv")})


def test_a_limit_that_no_network_keeps_is_refused(tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"problem.limits.latency_ms is 1e-06, and no network of single-path has less"
    ):
        start(tiny("problem.limits.latency_ms=1.0e-6"), tmp_path / "run", Silent())
    table = check(
        {"table": {"file": "nb-macro"}, "space": {"name": "nb-macro"}, "problem": {"limits": {"latency_ms": 1}}}
    )
    with pytest.raises(TableError, match=r"problem.limits.latency_ms is not for tables"):
        start_on_table(table, tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()
