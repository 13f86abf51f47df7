"""The public names, their signatures and their docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path
from typing import Any

import pytest
from public_api import api, code, members, named

import evonas
import problems
from evonas import errors

LIST = Path(__file__).parent / "public_api.txt"
MEMBERS = {name: member for top in named() for name, member in members(top)}
ERRORS = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}


def test_every_public_name_has_the_signature_that_it_is_known_by() -> None:
    # A change that is meant: support/public_api.py says how the list is made anew, and the changelog tells it.
    assert api() == LIST.read_text().splitlines()


def test_what_the_packages_offer_is_on_the_pages_of_the_reference() -> None:
    offered = {f"{package.__name__}.{name}" for package in (evonas, problems) for name in package.__all__}
    assert offered - {"evonas.__version__"} <= set(named())
    assert len(named()) == len(set(named()))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_public_name_is_described_with_the_errors_that_it_raises(name: str) -> None:
    text = MEMBERS[name].__doc__
    assert text and text.strip(), name
    assert not text.startswith(name.rpartition(".")[2] + "("), "made by @dataclass or NamedTuple"
    for raised in _raised(code(MEMBERS[name])):
        assert raised in text, f"{name} raises {raised}"


def _raised(function: Any) -> set[str]:
    """The errors of ours that the body of a function raises itself."""
    if not inspect.isfunction(function):
        return set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return {node.func.id for node in calls if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)} & ERRORS
