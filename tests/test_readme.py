"""What the README says to type works."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests_support import TINY

from evonas.config import read_yaml, shipped

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
NAMES = {path.stem for path in (Path(__file__).parent.parent / "configs").glob("*.yaml")}


def test_the_python_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(from pathlib.*?)```", README, flags=re.DOTALL)
    changes = '["seed=1", "search.generations=4"]'
    assert changes in code
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace(changes, repr([*TINY, "seed=1"])), names)  # at toy size
    assert names["result"]["complete"] is True
    assert (tmp_path / "runs" / "mine" / "best" / "model.safetensors").is_file()


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
