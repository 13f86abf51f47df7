"""The site is made of pages that are there, and of settings and commands as the code has them."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from evonas.cli import app
from evonas.config import SPACE_SETTINGS, Settings, build

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks_of_docs", DOCS / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(nav: Any) -> Iterator[str]:
    """The files that a navigation names."""
    match nav:
        case str():
            yield nav
        case dict():
            yield from pages(list(nav.values()))
        case list():
            for part in nav:
                yield from pages(part)


def keys(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of nested settings."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_page_of_the_navigation_is_there_and_every_page_is_in_it() -> None:
    named = list(pages(yaml.safe_load((TOP / "mkdocs.yml").read_text())["nav"]))
    assert len(named) == len(set(named))
    assert set(named) == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_every_setting_is_on_its_page_with_its_meaning(hooks: ModuleType) -> None:
    page = hooks.settings()
    known = set(keys(build({}).model_dump(mode="json")))
    for name in SPACE_SETTINGS:
        known |= set(keys(build({"space": {"name": name}}).model_dump(mode="json")))
    assert len(known) > 80
    found = dict(re.findall(r"^\| `(\S+)` \| .*? \| (.*) \|$", page, flags=re.MULTILINE))
    assert known - set(found) == {"space.name"}  # which is the heading of each space
    assert all(found.values())
    assert f"| `search.tournament` | `{Settings().search.tournament}` |" in page


def test_every_command_is_on_its_page_with_its_options(hooks: ModuleType) -> None:
    page = hooks.on_page_markdown("{{ commands }}")
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        text = page.partition(f"## evonas {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            words = (*parameter.opts, parameter.metavar or "")
            assert any(word.strip("[]") in text for word in words if word), (name, parameter.name)


@pytest.mark.parametrize("page", [TOP / "README.md", *DOCS.rglob("*.md")], ids=lambda page: page.name)
def test_every_command_on_a_page_is_one_with_options_that_there_are(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE):
        for words in (shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()):
            if words[:1] != ["evonas"] or words[1].startswith("--"):
                continue
            given = [
                re.sub(r"[\[\]]|\.\.\.", "", word) if word.isupper() or "..." in word else word
                for word in takewhile(lambda word: word != ">", words[2:])
            ]
            group.commands[words[1]].make_context(words[1], given)  # raises where an option is unknown


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for needed in ("mkdocs", "mkdocstrings", "material"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert "search.population" in (tmp_path / "site" / "reference" / "settings" / "index.html").read_text()
    assert "evonas.load" in (tmp_path / "site" / "reference" / "python" / "index.html").read_text()


@pytest.mark.slow
def test_the_notebook_runs() -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra notebook is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra notebook is not installed")
    pytest.importorskip("ipykernel", reason="the extra notebook is not installed")
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored without what it printed"
    ran = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(TOP)}}).execute()
    assert "% of the test images wrong" in str([cell.get("outputs") for cell in ran.cells])
