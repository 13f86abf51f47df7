"""docs/reliability.md: every promise names its tests, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


@cache
def functions_in(path: Path) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 40
    missing = [f"{file}::{name}" for file, name in NAMED if name not in functions_in(ROOT / file)]
    assert not missing


def test_every_promise_names_a_test() -> None:
    promises = [
        line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith(("| ---", "| promise"))
    ]
    assert len(promises) > 25
    assert all(re.search(r"\| `tests/.*::test_\w+` \|$", line) for line in promises)
