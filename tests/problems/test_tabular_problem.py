"""Fitness from a table, through pymoo's interface."""

from pathlib import Path

import numpy as np
import pytest

from evonas.config import SinglePathSettings, TableSettings
from evonas.errors import TableError
from evonas.spaces import SinglePathSpace
from evonas.table import complete, read
from problems import TabularProblem

SPACE = SinglePathSpace(SinglePathSettings(layers=(2,), strides=(1,), operations=("conv3", "skip")))
TEXT = "arch,acc,params,flops,ms\n00,90.5,30,300,3\n01,80.25,20,200,9\n10,79,20,200,9\n11,70,10,100,1\n"


def problem(folder: Path, *objectives: str, text: str = TEXT, **columns: str) -> TabularProblem:
    (folder / "t.csv").write_text(text)
    settings = complete(
        TableSettings(**{"file": str(folder / "t.csv"), "genotype": "arch", "fitness": "acc", **columns})  # type: ignore[arg-type]
    )
    return TabularProblem(SPACE, read(settings, SPACE), settings, objectives)


def test_objectives_are_error_costs_and_columns(tmp_path: Path) -> None:
    found = problem(tmp_path, "error", "params", "ms").evaluate(np.array([[0, 0], [1, 1]]), return_as_dictionary=True)
    assert found["F"].tolist() == [[9.5, 30, 3], [30, 10, 1]]
    assert found["flops"].tolist() == [300, 100]


def test_cost_columns_can_be_named(tmp_path: Path) -> None:
    found = problem(tmp_path, "params", params="ms").evaluate(np.array([[0, 1]]), return_as_dictionary=True)
    assert found["F"].tolist() == [[9.0]]


def test_each_genotype_has_its_own_row_and_a_known_network_costs_nothing(tmp_path: Path) -> None:
    table = problem(tmp_path, "error")
    assert table.evaluate(np.array([[1, 0]])).tolist() == [[21.0]]
    assert table.is_measured((0, 1)), "the same network"
    assert not table.is_measured((0, 0))
    assert table.evaluate(np.array([[0, 1]])).tolist() == [[19.75]]


@pytest.mark.parametrize(
    ("objective", "text", "words"),
    [
        ("latency", TEXT, "objective 'latency' is no column"),
        ("ms", TEXT.replace("200,9\n10", "200,\n10"), r"row 2 \(line 3\), column 'ms' is empty"),
        ("error", TEXT.replace("80.25", "180.25"), r"row 2 \(line 3\), column 'acc' is 180.25"),
    ],
)
def test_columns_that_cannot_be_used_are_refused_at_once(tmp_path: Path, objective: str, text: str, words: str) -> None:
    with pytest.raises(TableError, match=words):
        problem(tmp_path, objective, text=text)
