"""Latency: what is timed is kept, the table agrees with whole networks, and runs go on with the same figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from tests_support import rows

from evonas.arithmetic import Arithmetic
from evonas.config import Settings, build
from evonas.errors import ConfigError, TableError
from evonas.experiment import Experiment, resume, start
from evonas.latency import Latency
from evonas.plan import check
from evonas.progress import Silent
from evonas.spaces import build_space
from evonas.table_search import start as start_on_table

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
