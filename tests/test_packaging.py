"""What is built to be installed: versions that agree, and archives that hold what they should."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import evonas

TOP = Path(__file__).parent.parent
PACKAGES = ("evonas", "problems", "analysis")
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((TOP / "CITATION.cff").read_text())


def test_the_version_is_one() -> None:
    assert PROJECT["version"] == evonas.__version__ == CITATION["version"]


def test_the_citation_names_the_paper() -> None:
    paper = CITATION["preferred-citation"]
    assert PROJECT["urls"] == {"Paper": f"https://doi.org/{paper['doi']}"}
    assert [author["family-names"] for author in paper["authors"]] == ["Yuan", "Xue", "Zhang"]
    assert str(paper["doi"]) in (TOP / "README.md").read_text()


@pytest.mark.slow
def test_wheel_and_source_archive_hold_what_they_should(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds them, is not installed")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)], cwd=TOP, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    (source,) = tmp_path.glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert names >= {f"{package}/py.typed" for package in PACKAGES}
    assert {name for name in names if name.startswith("evonas/configs/")} == {
        f"evonas/configs/{path.name}" for path in (TOP / "configs").glob("*.yaml")
    }
    assert names >= {"evonas/tables/nb-macro.csv", "analysis/peers.csv", "analysis/page/report.html"}
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held >= {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "Makefile", "mkdocs.yml", "pyproject.toml"}
    assert held >= {
        str(path.relative_to(TOP)) for path in (TOP / "docs").rglob("*") if path.suffix in (".md", ".ipynb")
    }
