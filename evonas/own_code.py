"""Code of the user's own, named `FILE.py:NAME` in the settings, or an entry point of an installed package.

A settings file can name code, and may come from a stranger. So a file is run only where the user has named it on this
machine, on the command line, and it still is what it was then: its SHA-256 is in a list of the user's.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from evonas.config import OWN_CODE, entry_points_of
from evonas.errors import ConfigError

_trusted: set[tuple[str, str]] = set()  # (SHA-256, absolute path) of this process


def trust(name: str) -> str:
    """Note that the user has named this code himself; returns `FILE.py:NAME` with an absolute path.

    A name of another kind is returned as it is. Raises ConfigError where the file is not there.
    """
    match = OWN_CODE.fullmatch(name)
    if match is None:
        return name
    file = Path(match["file"]).expanduser().absolute()
    entry = _digest(_code(file)), str(file)
    if not _is_trusted(*entry):
        _trusted.add(entry)
        try:
            _list().parent.mkdir(parents=True, exist_ok=True)
            with _list().open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry) + "\n")
        except OSError:
            pass  # then it holds for this process
    return f"{file}:{match['name']}"


def settled(name: str, sha256: str | None) -> tuple[str, str | None]:
    """The name with an absolute path and the SHA-256 of the file as it is, where there is none yet."""
    match = OWN_CODE.fullmatch(name)
    if match is None:
        return name, sha256
    file = Path(match["file"]).expanduser().absolute()
    return f"{file}:{match['name']}", sha256 or _digest(_code(file))


def loaded(name: str, sha256: str | None, group: str, way_out: str) -> Any:
    """What the name stands for; its file is run. Raises ConfigError where it must not be, or fails.

    sha256: what the file must be; None: anything. group: of entry points. way_out: the command that trusts it.
    """
    match = OWN_CODE.fullmatch(name)
    if match is None:
        return _entry_point(name, group)
    file = Path(match["file"]).expanduser().absolute()
    code = _code(file)
    digest = _digest(code)
    if sha256 not in (None, digest):
        raise ConfigError(f"{file} has changed since the run began; put the file of then back, or start a new run")
    if not _is_trusted(digest, str(file)):
        raise ConfigError(
            f"the settings name code, {file}, that you have not named yourself on this machine; read it, and if you "
            f"trust it, `{way_out} {file}:{match['name']}`"
        )
    # The bytes that were looked at are those that run, whatever becomes of the file.
    module = ModuleType(f"evonas_own_{digest[:12]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, str(file), "exec"), module.__dict__)
    except Exception as error:
        raise ConfigError(f"{file} cannot be run: {reason(error)}") from None
    if not hasattr(module, match["name"]):
        raise ConfigError(f"{file} has no {match['name']!r}")
    return getattr(module, match["name"])


def _entry_point(name: str, group: str) -> Any:
    try:
        return entry_points_of(group)[name].load()
    except Exception as error:
        raise ConfigError(f"{name}, of an installed package, cannot be loaded: {reason(error)}") from None


def _code(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}, code of your own: {error.strerror}") from None


def _digest(code: bytes) -> str:
    return hashlib.sha256(code).hexdigest()


def _is_trusted(digest: str, file: str) -> bool:
    if (digest, file) in _trusted:
        return True
    try:
        lines = _list().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return json.dumps((digest, file)) in lines


def _list() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "evonas" / "own-code"


def reason(error: Exception) -> str:
    """An exception of the user's code in one line, with the line of his file."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f"line {frames[-1].lineno} of {Path(frames[-1].filename).name}: " if frames else ""
    return f"{where}{type(error).__name__}: {' '.join(str(error).split())}"
