"""The public names: those that the pages in docs/reference/ name, and the members of their classes.

After a change that is meant: PYTHONPATH=. python tests/support/public_api.py > tests/public_api.txt
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def named() -> list[str]:
    """The dotted names that the reference names, in its order."""
    pages = (REFERENCE / "python.md", REFERENCE / "analysis.md")
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)]


def found(name: str) -> Any:
    """What a dotted name stands for."""
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)


def members(name: str) -> Iterator[tuple[str, Any]]:
    """What a name stands for, and where that is a class, its public methods and properties."""
    thing = found(name)
    yield name, thing
    if inspect.isclass(thing):
        for key, member in vars(thing).items():
            if not key.startswith("_") and (inspect.isroutine(member) or _is_read(member)):
                yield f"{name}.{key}", member


def _is_read(member: object) -> bool:
    return isinstance(member, property | cached_property)


def code(member: Any) -> Any:
    """The function behind a method or property."""
    for name in ("fget", "func", "__func__"):
        member = getattr(member, name, None) or member
    return inspect.unwrap(member)


def line(name: str, member: Any) -> str:
    """A name with its signature, as the list holds it."""
    if _is_read(member):
        return f"{name}: {code(member).__annotations__.get('return')}"
    if inspect.isclass(member) and issubclass(member, BaseModel | BaseException):
        return name  # the keys of settings are on the page of settings, and are tested there
    signature = str(inspect.signature(code(member)))
    # Annotations as they are written, and no address of a function that is a default.
    return name + re.sub(
        r"ForwardRef\('(.*?)'\)|'(.*?)'", r"\1\2", re.sub(r"<function .*? at 0x[0-9a-f]+>", "<function>", signature)
    )


def api() -> list[str]:
    """One line a public name."""
    return [line(*member) for name in named() for member in members(name)]


if __name__ == "__main__":
    print("\n".join(api()))  # noqa: T201
