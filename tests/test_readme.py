"""What the README says to type works."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests_support import TINY

from evonas.config import build, read_yaml, shipped
from evonas.data import load

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
NAMES = {path.stem for path in (Path(__file__).parent.parent / "configs").glob("*.yaml")}


def test_the_python_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(from pathlib.*?)```", README, flags=re.DOTALL)
    changes = '["seed=1", "search.generations=4"]'
    assert changes in code
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace(changes, repr([*TINY, "seed=1"])), names)  # at toy size
    assert names["result"]["complete"] is True
    (code,) = re.findall(r"```python\n(import evonas.*?)```", README, flags=re.DOTALL)
    exec(code, names)
    images = load(build({}).dataset, torch.device("cpu")).open_test("the README's snippet")
    mean, std = (torch.tensor(getattr(names["about"], name)).view(1, -1, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        found = names["network"]((images.images / 255 - mean) / std).argmax(dim=1)
    error = 100.0 * float((found != images.labels).float().mean())
    assert error == pytest.approx(names["result"]["best"]["test_error"], abs=0.3)


def test_the_snippet_of_a_problem_from_outside_runs() -> None:
    (code,) = re.findall(r"```python\n(import numpy.*?)```", README, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len({member.objectives for member in names["front"]}) >= 10


def test_the_snippet_of_the_comparison_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(from analysis.*?)```", README, flags=re.DOTALL)
    runs = '[Path("runs/ga-cifar10-0"), Path("runs/ga-cifar10-1")]'
    assert runs in code
    exec(code.replace(runs, "[]"), {})
    assert "hand-crafted" in capsys.readouterr().out


def test_every_settings_file_that_is_named_is_shipped() -> None:
    named = set(re.findall(r"--config ([a-z0-9_-]+)", README))
    assert named and named <= NAMES
    for name in named:
        path = shipped(name)
        assert path is not None and read_yaml(path)


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (Path(__file__).parent.parent / link).exists(), link
