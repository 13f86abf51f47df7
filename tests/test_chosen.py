"""Networks trained without a search: published ones, lists of genes, and those of a finished run."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests_support import SMALL_SPACES, TINY, compared

from evonas.chosen import found_by, genotypes, space_of
from evonas.cli import main
from evonas.config import DartsSettings, build
from evonas.errors import ConfigError, Paused, RunError
from evonas.experiment import resume, start
from evonas.plan import check
from evonas.progress import Silent
from evonas.slices import Slice
from evonas.spaces import DartsSpace
from evonas.spaces.named import NAMED

SETS = [part for name in (*TINY, SMALL_SPACES["darts"], "retrain.epochs=1") for part in ("--set", name)]


def evonas(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--quiet"])
    code = left.value.code
    assert isinstance(code, int)
    return code


def test_published_networks_are_known_by_name() -> None:
    space = DartsSpace(DartsSettings())  # type: ignore[call-arg]
    first = NAMED["darts"]["pc-darts"]
    assert genotypes(space, ["pc-darts", first, "p-darts"]) == [first, NAMED["darts"]["p-darts"]]
    assert space_of("darts-v2") == "darts"
    with pytest.raises(ConfigError, match=r"'pcdarts' is no network of darts; did you mean 'pc-darts'\?"):
        genotypes(space, ["pcdarts"])
    with pytest.raises(ConfigError, match=r"\[0, 1\] is no genotype of darts \(32 genes\)"):
        genotypes(space, [(0, 1)])
    with pytest.raises(ConfigError, match="'dart' is no run folder and no published network; did you mean"):
        space_of("dart")


def test_a_published_network_is_trained_from_the_command_line(tmp_path: Path, capsys: Any) -> None:
    assert evonas("retrain", "darts-v2", *SETS, "--out", str(tmp_path / "run")) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["algorithm"] == "retrain"
    assert tuple(result["best"]["genotype"]) == NAMED["darts"]["darts-v2"]
    assert result["best"]["test_error"] <= 100 and result["best"]["supernet_error"] is None
    assert result["seconds"]["warmup"] == 0
    assert not (tmp_path / "run" / "history.csv").exists()
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()
    assert evonas("show", str(tmp_path / "run")) == 0
    assert "retrain on digits, seed 0" in capsys.readouterr().out


def test_several_networks_are_reported_in_order_and_in_slices(tiny: Any, tmp_path: Path) -> None:
    settings = tiny(SMALL_SPACES["darts"], "retrain.genotypes=[p-darts,darts-v2]", "retrain.epochs=1")
    whole = start(settings, tmp_path / "whole", Silent())
    assert [row["role"] for row in whole["networks"]] == ["network 2"]
    assert tuple(whole["networks"][0]["genotype"]) == NAMED["darts"]["darts-v2"]
    assert whole["references"]["largest"]["test_error"] <= 100
    with pytest.raises(Paused):
        start(settings, tmp_path / "slices", Silent(), share=Slice(0))
    while True:
        try:
            result = resume(tmp_path / "slices", Silent(), share=Slice(0))
            break
        except Paused:
            continue
    assert (result["best"], result["networks"]) == (whole["best"], whole["networks"])


@pytest.mark.parametrize("algorithm", ["ga", "nsga2"])
def test_a_finished_run_is_trained_again_with_its_own_settings(tiny: Any, tmp_path: Path, algorithm: str) -> None:
    first = start(tiny(f"search.algorithm={algorithm}"), tmp_path / "run", Silent())
    before = compared(tmp_path / "run")
    again = tmp_path / "again"
    assert evonas("retrain", str(tmp_path / "run"), "--top", "2", "--out", str(again)) == 0
    result = json.loads((again / "result.json").read_text())
    assert result["best"]["genotype"] == first["best"]["genotype"]
    assert result["best"]["test_error"] == first["best"]["test_error"], "the same recipe, seed and images"
    assert result["references"] == first["references"]
    assert len(result["networks"]) == 1
    assert found_by(again, 2) == [tuple(row["genotype"]) for row in (result["best"], *result["networks"])]
    assert compared(tmp_path / "run") == before
    assert found_by(tmp_path / "run", 1) == [tuple(first["best"]["genotype"])]


def test_what_cannot_be_trained_is_said_in_one_line(tiny: Any, tmp_path: Path, capsys: Any) -> None:
    assert evonas("retrain", "[0, 1, 2]", *SETS, "--out", str(tmp_path / "a")) == 2
    assert "[0, 1, 2] is no genotype of darts" in capsys.readouterr().err
    assert evonas("retrain", "resnet", "--out", str(tmp_path / "a")) == 2
    assert "'resnet' is no run folder and no published network" in capsys.readouterr().err
    with pytest.raises(Paused):
        start(tiny(), tmp_path / "half", Silent(), share=Slice(0))
    with pytest.raises(RunError, match="is not finished; go on with it first"):
        found_by(tmp_path / "half", 1)
    with pytest.raises(ConfigError, match=r"retrain.genotypes needs retrain.enabled true"):
        check({"retrain": {"genotypes": ["darts-v2"], "enabled": False}})
    assert build({"retrain": {"genotypes": [[0, 1], "x"]}}).retrain.genotypes == ((0, 1), "x")
    assert evonas("run", "ga", "--table", "nb-macro", "--out", str(tmp_path / "table")) == 0
    capsys.readouterr()
    assert evonas("retrain", str(tmp_path / "table")) == 2
    assert "searched a table" in capsys.readouterr().err


def test_a_slice_leaves_with_75(tmp_path: Path, capsys: Any) -> None:
    run = str(tmp_path / "run")
    small = [part for name in TINY for part in ("--set", name)]
    assert evonas("run", "ga", *small, "--out", run, "--max-seconds", "0") == 75
    assert f"paused, and there is more to do: `evonas resume {run}`" in capsys.readouterr().err
    assert evonas("resume", run, "--max-seconds", "0") == 75
    assert evonas("resume", run) == 0
