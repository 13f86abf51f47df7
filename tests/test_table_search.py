"""Searches on the shipped table: contract of the run folder, budgets, and no torch."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from tests_support import compared, rows

from evonas import experiment
from evonas.config import Settings, build, read_yaml, shipped, with_assignments
from evonas.errors import ConfigError, RunError, TableError
from evonas.plan import check, one_objective_of_several
from evonas.progress import Silent
from evonas.search.fitness import pareto_mask
from evonas.spaces import build_space
from evonas.table import read
from evonas.table_search import effective, resume, start, tabular_problem

ALGORITHMS = ("ga", "random", "aging")


def settings(*assignments: str) -> Settings:
    path = shipped("table")
    assert path is not None
    return check(with_assignments(read_yaml(path), ["search.evaluations=60", *assignments]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_budget_is_spent_and_the_best_that_was_seen_is_reported(tmp_path: Path, algorithm: str) -> None:
    result = start(settings(f"search.algorithm={algorithm}", "table.report=acc_1"), tmp_path / "a", Silent())
    assert result == json.loads((tmp_path / "a" / "result.json").read_text())
    history = rows(tmp_path / "a" / "history.csv")
    measured = {row["canonical"] for row in history}
    assert len(measured) == result["evaluations"] == 60
    best = min(float(row["error"]) for row in history)
    assert result["best"]["supernet_error"] == best
    code = "".join(map(str, result["best"]["genotype"]))
    table = {row["arch"]: row for row in rows(Path(__file__).parent.parent / "evonas" / "tables" / "nb-macro.csv")}
    assert result["best"]["supernet_error"] == 100 - float(table[code]["mean_acc"])
    assert result["best"]["test_error"] == 100 - float(table[code]["acc_1"])
    assert result["best"]["params"] == int(table[code]["params"])
    assert result["best"]["flops"] == int(table[code]["flops"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_seed_decides_the_run(tmp_path: Path, algorithm: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        start(settings(f"search.algorithm={algorithm}", f"seed={seed}"), tmp_path / name, Silent())
    assert compared(tmp_path / "a") == compared(tmp_path / "b")
    assert compared(tmp_path / "a")[0] != compared(tmp_path / "c")[0]


def test_a_stopped_run_is_done_again_to_the_same_end(tmp_path: Path) -> None:
    for name in ("a", "b"):
        start(settings(), tmp_path / name, Silent())
    (tmp_path / "b" / "result.json").unlink()
    resume(tmp_path / "b", Silent())
    assert compared(tmp_path / "a") == compared(tmp_path / "b")


def test_config_yaml_alone_repeats_the_run(tmp_path: Path) -> None:
    start(settings(), tmp_path / "a", Silent())
    start(check(read_yaml(tmp_path / "a" / "config.yaml")), tmp_path / "b", Silent())
    assert compared(tmp_path / "a") == compared(tmp_path / "b")


def test_two_objectives_give_a_front(tmp_path: Path) -> None:
    start(settings("problem.objectives=[error,std_acc]"), tmp_path / "a", Silent())
    front = [(float(row["error"]), float(row["std_acc"])) for row in rows(tmp_path / "a" / "pareto.csv")]
    assert front == sorted(front)
    assert all(a[1] > b[1] for a, b in itertools.pairwise(front))


@pytest.mark.parametrize(("algorithm", "told"), [("ga", True), ("aging", True), ("nsga2", False)])
def test_who_gives_one_objectives_algorithm_several_is_told(algorithm: str, told: bool) -> None:
    several = "problem.objectives=[error,params]"
    assert bool(one_objective_of_several(settings(f"search.algorithm={algorithm}", several))) == told
    assert not one_objective_of_several(settings(f"search.algorithm={algorithm}", "problem.objectives=[error]"))


def test_nothing_is_written_for_a_column_that_is_not_there(tmp_path: Path) -> None:
    for assignment in ("table.report=acc_9", "table.fitness=acc_9", "problem.objectives=[loss]", "table.params=size"):
        with pytest.raises(TableError):
            start(settings(assignment), tmp_path / "a", Silent())
    assert not list(tmp_path.iterdir())


def test_objectives_of_a_supernet_are_still_checked() -> None:
    with pytest.raises(ConfigError, match=r"problem\.objectives: 'eror' is unknown; did you mean 'error'"):
        settings("table.file=null", "problem.objectives=[eror]")


@pytest.mark.parametrize(
    "arguments", [["--table", "nb-macro"], ["--space", "nb-macro", "--table", "nb-macro", "--seed", "3"]]
)
def test_the_command_searches_a_table_without_torch(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from evonas.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert stop.code == 0, stop.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "ga", *arguments, "--out", str(tmp_path / "a"), "--quiet"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "best" in done.stdout
    assert json.loads((tmp_path / "a" / "result.json").read_text())["complete"] is True


@pytest.mark.parametrize("name", ["ga", "nsga2", "nsga3", "sms-emoa", "random", "aging"])
def test_every_algorithm_keeps_the_limits_of_a_table(name: str, tmp_path: Path) -> None:
    changes = [f"search.algorithm={name}", "problem.limits.params=1.0e6", "problem.limits.flops=6e7"]
    result = start(settings(*changes), tmp_path / "run", Silent())
    assert result["best"]["params"] <= 1.0e6 and result["best"]["flops"] <= 6e7
    history = rows(tmp_path / "run" / "history.csv")
    inside = [float(row["params"]) <= 1.0e6 and float(row["flops"]) <= 6e7 for row in history]
    if name in ("ga", "random", "aging"):
        assert all(inside), "what breaks a limit is not even measured"
    else:
        assert not all(inside), "constraints are met by selection"
        assert all(inside[index] for index, row in enumerate(history) if row["generation"] == "0")
    assert all(ok for ok, row in zip(inside, history, strict=True) if row["origin"] == "final")


def test_what_limits_leave_out_does_not_begin_a_search(tmp_path: Path) -> None:
    (tmp_path / "first.csv").write_text('genotype\n"[2, 2, 2, 2, 2, 2, 2, 2]"\n"[0, 1, 0, 1, 0, 0, 0, 0]"\n')
    chosen = settings(f"search.init={tmp_path / 'first.csv'}", "problem.limits.params=1.2e6")
    start(chosen, tmp_path / "run", Silent())
    assert rows(tmp_path / "run" / "history.csv")[0]["genotype"] == "[0, 1, 0, 1, 0, 0, 0, 0]"


def test_a_search_ends_where_the_limits_leave_nothing_new(tmp_path: Path) -> None:
    result = start(settings("problem.limits.params=400000"), tmp_path / "run", Silent())
    assert 1 <= result["evaluations"] < 10 and result["generations"] < 10


def test_a_choice_by_the_model_leaves_its_table(tmp_path: Path) -> None:
    result = start(settings("final.choice=model"), tmp_path / "run", Silent())
    model = rows(tmp_path / "run" / "model.csv")
    assert len(model) >= result["evaluations"]
    promising = min((row for row in model if row["candidate"] == "1"), key=lambda row: float(row["predicted"]))
    assert json.loads(promising["genotype"]) == result["best"]["genotype"]


def test_repairs_are_counted_by_generation(tmp_path: Path) -> None:
    for name, limit in (("loose", 1e9), ("tight", 3.9e5)):
        start(settings(f"problem.limits.params={limit}", "search.evaluations=20"), tmp_path / name, Silent())
        counts = [int(row["repairs"]) for row in rows(tmp_path / name / "generations.csv")]
        assert (sum(counts) > 0) == (name == "tight")


def test_a_front_is_searched_and_its_hypervolume_grows_on_a_table(tmp_path: Path) -> None:
    result = start(
        settings("search.algorithm=nsga2", "search.population=20", "search.evaluations=400"), tmp_path / "run", Silent()
    )
    front = rows(tmp_path / "run" / "pareto.csv")
    values = np.array([(float(row["error"]), float(row["params"])) for row in front])
    assert pareto_mask(values).all() and len(front) >= 6
    assert float(front[0]["error"]) == result["best"]["supernet_error"] == values[:, 0].min()
    assert [row["knee"] for row in front].count("1") == 1
    assert 0.9 < result["front"]["hypervolume_ratio"] <= 1 and 0 <= result["front"]["inverted_distance"] < 0.1
    volumes = [float(row["hypervolume"]) for row in rows(tmp_path / "run" / "generations.csv")]
    assert 0 < volumes[0] < volumes[-1] < 1


def test_a_table_is_searched_by_pymoos_own_loop_too() -> None:
    chosen = effective(settings("problem.objectives=[error,flops]"))
    space = build_space(chosen.space)
    problem = tabular_problem(chosen, space, read(chosen.table, space))
    found = minimize(problem, NSGA2(pop_size=10, sampling=IntegerRandomSampling()), ("n_gen", 3), seed=1)
    assert found.F.shape[1] == 2


@pytest.mark.parametrize("name", ["ga", "nsga2", "random", "aging"])
def test_a_search_begins_with_the_front_of_another(name: str, tmp_path: Path) -> None:
    start(settings("search.algorithm=nsga2"), tmp_path / "first", Silent())
    front = [row["genotype"] for row in rows(tmp_path / "first" / "pareto.csv")]
    start(settings(f"search.algorithm={name}", f"search.init={tmp_path / 'first'}"), tmp_path / "second", Silent())
    begun = [row["genotype"] for row in rows(tmp_path / "second" / "history.csv") if row["generation"] == "0"]
    size = min(len(front), len(begun))
    assert size > 1 and begun[:size] == front[:size]
    assert len(begun) > len(front) or name != "random", "the rest is drawn"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "cannot read the first population from"),
        ("genotype\n", "has no rows; expected a column `genotype`"),
        ("name\n[1]\n", "has no column `genotype`; expected a column `genotype`"),
        ('genotype\n"[1]"\n', "line 2: column 'genotype' is '[1]'; expected a list of 8 integers"),
        ('genotype\n"[0, 0, 0, 0, 0, 0, 0, 0]"\n"[0, 1]"\n', "line 3: column 'genotype' is '[0, 1]'"),
        ('genotype\n"[0, 0, 0, 0, 0, 0, 0, 3]"\n', "line 2: column 'genotype' is '[0, 0, 0, 0, 0, 0, 0, 3]'"),
        ("genotype\n__import__('os')\n", "line 2: column 'genotype' is"),
        ('genotype\n"[2, 2, 2, 2, 2, 2, 2, 2]"\n', "none of the 1 genotypes of"),
    ],
)
def test_genotypes_to_begin_with_are_checked_before_anything_is_written(
    text: str | None, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "first.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RunError, match=re.escape(expected)):
        start(settings(f"search.init={file}", "problem.limits.params=2e6"), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("runner", [start, experiment.start])
def test_a_mistake_in_settings_that_python_made_is_named_before_anything_is_written(
    runner: Callable[..., Any], tmp_path: Path
) -> None:
    tables = ["table.file=nb-macro", "space.name=nb-macro"] if runner is start else []
    for change in ("dataset.name=digit", "search.algorithm=gaa"):
        with pytest.raises(ConfigError, match="is unknown; did you mean"):
            runner(build(with_assignments({}, [*tables, change])), tmp_path / "run", Silent())
    other = [] if runner is start else ["table.file=nb-macro", "space.name=nb-macro"]
    with pytest.raises(ConfigError, match=r"^table\.file is"):
        runner(build(with_assignments({}, other)), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()
