"""Objectives and pymoo algorithms in the user's own code: they are searched with, taken up, and never a stranger's."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from tests_support import TINY, compared, rows, tiny_settings

from evonas import config, own_code
from evonas.cli import main
from evonas.config import Settings, build
from evonas.errors import ConfigError, Paused
from evonas.experiment import resume, start
from evonas.networks import build_subnet
from evonas.objectives import activations
from evonas.plan import check, complete
from evonas.progress import Silent
from evonas.runners import runner
from evonas.slices import Slice
from evonas.spaces import build_space

COSTS = """
def traffic(network, image_shape, genotype, space):
    assert network(torch.zeros(1, *image_shape, device="meta")).shape == (1, 10) and space.n_genes == len(genotype)
    return sum(p.numel() for p in network.parameters()) / 7 + genotype[0]

def depth(genotype):
    return sum(1 for gene in genotype if gene != 4)

def error(genotype):
    return 0

def wrong(genotype):
    return {BODY}

def unknown(genotype, moon):
    return 1

number = 3
"""
ALGORITHMS = """
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.algorithms.moo.spea2 import SPEA2
from evonas.search.random import RandomSearch

def make(objectives, **parts):
    assert objectives == 2
    return SPEA2(**parts)

def decomposed(**parts):
    return MOEAD(ref_dirs=None, **parts)

def nothing(**parts):
    return None

def broken(**parts):
    return parts["nothing"]

class Mine(RandomSearch):
    pass
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nothing was trusted yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(own_code, "_trusted", set())
    return tmp_path


@pytest.fixture
def costs(home: Path) -> Path:
    path = home / "my_costs.py"
    path.write_text("import torch\n" + COSTS.replace("{BODY}", "1 / 0"))
    return path


@pytest.fixture
def algorithms(home: Path) -> Path:
    path = home / "my_algorithms.py"
    path.write_text(ALGORITHMS)
    return path


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def in_slices(settings: Settings, run: Path) -> None:
    """The run, stopped at every checkpoint."""
    with pytest.raises(Paused):
        start(settings, run, Silent(), share=Slice(0.001))
    while True:
        try:
            resume(run, Silent(), share=Slice(0.001))
            return
        except Paused:
            continue


# Objectives -----------------------------------------------------------------------------------------------------


def searching(file: Path, *more: str, trusted: bool = True) -> Settings:
    if trusted:
        own_code.trust(f"{file}:traffic")
    return tiny_settings("search.algorithm=nsga2", "retrain.enabled=false", *more)


def test_an_own_objective_is_searched_recorded_taken_up_and_reported(costs: Path) -> None:
    settings = searching(costs, f"problem.objectives=[loss,{costs}:traffic,{costs}:depth]")
    whole, part = costs.parent / "whole", costs.parent / "part"
    result = start(settings, whole, Silent())
    in_slices(settings, part)
    assert compared(part) == compared(whole)
    space = build_space(settings.space)
    for row in (*rows(whole / "history.csv"), *rows(whole / "pareto.csv")):
        genotype = tuple(json.loads(row["genotype"]))
        params = sum(p.numel() for p in build_subnet(space, genotype, 1, 10).parameters())
        assert float(row["traffic"]) == params / 7 + genotype[0]
        assert float(row["depth"]) == sum(gene != 4 for gene in genotype)
    assert list(result["best"]["objectives"]) == ["loss", "traffic", "depth"]
    assert 0 < result["front"]["hypervolume"] < 1
    recorded = build(config.read_yaml(whole / "config.yaml")).problem
    assert recorded.objectives == ("loss", "traffic", "depth")
    digest = own_code._digest(costs.read_bytes())
    assert recorded.own["traffic"].name == f"{costs}:traffic" and recorded.own["traffic"].sha256 == digest
    assert call("report", whole) == 0 and "traffic" in (whole / "report.html").read_text()


def test_the_command_line_trusts_what_the_user_names_and_a_strangers_run_runs_nothing(
    costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = costs.parent / "ran"
    costs.write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n" + costs.read_text())
    settings = searching(costs, f"problem.objectives=[loss,{costs}:traffic]", trusted=False)
    with pytest.raises(ConfigError, match=r"not named yourself on this machine; .*`evonas trust .*costs.py:traffic`"):
        start(settings, costs.parent / "run", Silent())
    assert not mark.exists() and not (costs.parent / "run").exists()
    sets = [word for assignment in (*TINY, "retrain.enabled=false") for word in ("--set", assignment)]
    objectives = ("--set", f"problem.objectives=[loss,{costs}:traffic]")
    assert call("run", "nsga2", *sets, *objectives, "--out", costs.parent / "run") == 0
    assert mark.exists()
    mark.unlink()
    own_code._trusted.clear()
    (costs.parent / "state" / "evonas" / "own-code").unlink()  # as on another machine
    (costs.parent / "run" / "result.json").unlink()
    assert call("resume", costs.parent / "run") == 2
    assert call("run", "--config", costs.parent / "run" / "config.yaml", "--out", costs.parent / "other") == 2
    assert call("show", costs.parent / "run") == 0
    assert not mark.exists() and not (costs.parent / "other").exists()
    assert call("trust", f"{costs}:traffic") == 0
    assert call("resume", costs.parent / "run") == 0
    costs.write_text(costs.read_text() + "#")
    (costs.parent / "run" / "result.json").unlink()
    assert call("trust", f"{costs}:traffic") == 0
    capsys.readouterr()
    assert call("resume", costs.parent / "run") == 2
    assert "has changed since the run began" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("objectives", "body", "message"),
    [
        ("FILE:wrong", "1 / 0", r"the objective wrong of \[.*\] cannot be computed: line \d+ of my_costs.py: Zero"),
        ("FILE:wrong", "'much'", r"the objective wrong of \[.*\] is 'much'; expected a finite number"),
        ("FILE:wrong", "float('nan')", "is nan; expected a finite number"),
        ("FILE:unknown", "1", "the objective unknown takes 'moon'; expected some of space, genotype, network"),
        ("FILE:number", "1", "the objective number is no function; expected one of space"),
        ("FILE:missing", "1", "my_costs.py has no 'missing'"),
        ("FILE:error", "1", "an objective of your own is called 'error', which has a meaning; call it otherwise"),
        ("FILE:depth,FILE:depth", "1", "objectives holds a name twice"),
        ("dept", "1", r"problem.objectives: 'dept' is unknown.*, or FILE.py:function of your own"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_objective_is_one_line_and_nothing_is_written(
    costs: Path, objectives: str, body: str, message: str
) -> None:
    costs.write_text("import torch\n" + COSTS.replace("{BODY}", body))
    with pytest.raises(ConfigError, match=message) as caught:
        settings = searching(costs, f"problem.objectives=[loss,{objectives.replace('FILE', str(costs))}]")
        start(settings, costs.parent / "run", Silent())
    assert "\n" not in str(caught.value) and not (costs.parent / "run").exists()


def test_a_table_has_columns_and_no_functions(costs: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"problem.objectives: 'depth' is a function, and on a table objectives are its columns"
    ):
        build({"table": {"file": "nb-macro"}, "problem": {"objectives": ["error", f"{costs}:depth"]}})


def test_installed_packages_offer_objectives_and_algorithms(
    costs: Path, algorithms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(costs.parent))
    points = {"evonas.objectives": ("deep", "my_costs:depth"), "evonas.algorithms": ("spea2", "my_algorithms:make")}
    monkeypatch.setattr(
        config, "entry_points", lambda group: [EntryPoint(*points[group], group)] if group in points else []
    )
    settings = searching(costs, "problem.objectives=[loss,deep]", trusted=False)
    result = start(check(settings.model_copy(update={}).model_dump(mode="json")), costs.parent / "run", Silent())
    assert list(result["best"]["objectives"]) == ["loss", "deep"]
    data = {"search": {"algorithm": "spea2"}, "table": {"file": "nb-macro"}, "space": {"name": "nb-macro"}}
    assert complete(check(data)).search.algorithm == "spea2"


def test_activations_are_what_the_layers_write() -> None:
    layers = [torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(5 * 36, 2)]
    network = torch.nn.Sequential(*layers).to("meta")
    assert activations(network, (3, 8, 8)) == 5 * 36 + 5 * 36 + 5 * 36 + 2


def test_activations_can_be_an_objective(home: Path) -> None:
    result = start(searching(home, "problem.objectives=[loss,activations]", trusted=False), home / "run", Silent())
    assert result["best"]["objectives"]["activations"] > 64


# Algorithms -----------------------------------------------------------------------------------------------------


def test_an_own_pymoo_algorithm_searches_a_supernet_fairly_and_is_taken_up(algorithms: Path) -> None:
    own_code.trust(f"{algorithms}:make")
    settings = tiny_settings(f"search.algorithm={algorithms}:make", "retrain.enabled=false")
    whole, part = algorithms.parent / "whole", algorithms.parent / "part"
    result = start(settings, whole, Silent())
    in_slices(settings, part)
    assert compared(part) == compared(whole)
    assert result["algorithm"] == "make" and result["front"]["size"] >= 1
    history = rows(whole / "history.csv")
    assert {row["origin"] for row in history} == {"initial", "parent", "child", "final"}
    by_generation: dict[str, set[str]] = {}
    for row in history:
        by_generation.setdefault(row["generation"], set()).add(row["state"])
    assert all(len(states) == 1 for states in by_generation.values()), "what is compared is of one state"
    search = build(config.read_yaml(whole / "config.yaml")).search
    assert search.algorithm == f"{algorithms}:make" and search.sha256 == own_code._digest(algorithms.read_bytes())


def on_table(algorithm: str) -> Any:
    search = {"algorithm": algorithm, "population": 12, "generations": 4}
    return check({"search": search, "table": {"file": "nb-macro"}, "space": {"name": "nb-macro"}})


def test_an_algorithm_named_on_the_command_line_runs_under_its_short_name(
    algorithms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(algorithms.parent)
    more = ("--set", "search.population=12", "--set", "search.generations=4")
    assert call("run", "my_algorithms.py:SPEA2", "--table", "nb-macro", *more) == 0
    assert call("run", "--table", "nb-macro", "--set", "search.algorithm=my_algorithms.py:Mine", *more) == 0
    found = {path.name: json.loads((path / "result.json").read_text()) for path in Path("runs").iterdir()}
    assert {name: result["algorithm"] for name, result in found.items()} == {
        "SPEA2-nb-macro-0": "SPEA2",
        "Mine-nb-macro-0": "Mine",
    }
    assert call("show", "runs/SPEA2-nb-macro-0") == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("decomposed", "my_algorithms.py:decomposed fails: line .*TypeError"),
        ("nothing", "my_algorithms.py:nothing gives a NoneType; expected an algorithm of pymoo's with mating and"),
        ("broken", "my_algorithms.py:broken fails: line .* of my_algorithms.py: KeyError: 'nothing'"),
        ("missing", "my_algorithms.py has no 'missing'"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_algorithm_is_one_line_and_nothing_is_written(
    algorithms: Path, name: str, message: str
) -> None:
    own_code.trust(f"{algorithms}:{name}")
    settings = on_table(f"{algorithms}:{name}")
    with pytest.raises(ConfigError, match=message) as caught:
        runner(settings).start(settings, algorithms.parent / "run", Silent())
    assert "\n" not in str(caught.value) and not (algorithms.parent / "run").exists()


def test_an_algorithm_of_a_stranger_is_not_run(algorithms: Path) -> None:
    settings = on_table(f"{algorithms}:make")
    with pytest.raises(ConfigError, match="that you have not named yourself on this machine"):
        runner(settings).start(settings, algorithms.parent / "run", Silent())
