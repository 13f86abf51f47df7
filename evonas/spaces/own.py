"""Spaces in code of the user's own: `FILE.py:Class`, or an entry point of the group `evonas.spaces`.

A settings file can name code, and may come from a stranger. So a file is run only where the user has named it on this
machine, by `--space` or `evonas check-space`, and it still is what it was then: its SHA-256 is in a list of the user's.
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

from evonas.config import OWN_SPACE, OwnSpaceSettings, entry_points_of_spaces
from evonas.errors import ConfigError
from evonas.spaces.chain import ChainSpace

_trusted: set[tuple[str, str]] = set()  # (SHA-256, absolute path) of this process


def trust(name: str) -> str:
    """Note that the user has named this space himself; returns `FILE.py:Class` with an absolute path.

    A name of another kind is returned as it is. Raises ConfigError where the file is not there.
    """
    match = OWN_SPACE.fullmatch(name)
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


def settled(settings: OwnSpaceSettings) -> OwnSpaceSettings:
    """The settings with an absolute path and the SHA-256 of the file as it is, where they have none yet."""
    match = OWN_SPACE.fullmatch(settings.name)
    if match is None:
        return settings
    file = Path(match["file"]).expanduser().absolute()
    digest = settings.sha256 or _digest(_code(file))
    return settings.model_copy(update={"name": f"{file}:{match['name']}", "sha256": digest})


def build_own(settings: OwnSpaceSettings) -> ChainSpace:
    """The space that the settings name; its file is run. Raises ConfigError where it must not be, or is no space."""
    match = OWN_SPACE.fullmatch(settings.name)
    kind = _entry_point(settings.name) if match is None else _from_file(settings, match["file"], match["name"])
    if not isinstance(kind, type) or not issubclass(kind, ChainSpace):
        raise ConfigError(f"{settings.name} is no space; expected a class derived from evonas.spaces.ChainSpace")
    try:
        space = kind()
        choices = space.choices
    except Exception as error:
        raise ConfigError(f"{settings.name} cannot be made: {_reason(error)}") from None
    if not choices:
        raise ConfigError(f"{settings.name} has no choice; expected a block like {{'conv3': ..., 'conv5': ...}}")
    return space


def _entry_point(name: str) -> Any:
    try:
        return entry_points_of_spaces()[name].load()
    except Exception as error:
        raise ConfigError(f"the installed space {name} cannot be loaded: {_reason(error)}") from None


def _from_file(settings: OwnSpaceSettings, name: str, kind: str) -> Any:
    file = Path(name).expanduser().absolute()
    code = _code(file)
    digest = _digest(code)
    if settings.sha256 not in (None, digest):
        raise ConfigError(f"{file} has changed since the run began; put the file of then back, or start a new run")
    if not _is_trusted(digest, str(file)):
        raise ConfigError(
            f"the settings name code, {file}, that you have not named yourself on this machine; read it, and if you "
            f"trust it, `evonas check-space {file}:{kind}`"
        )
    # The bytes that were looked at are those that run, whatever becomes of the file.
    module = ModuleType(f"evonas_own_{digest[:12]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, str(file), "exec"), module.__dict__)
    except Exception as error:
        raise ConfigError(f"{file} cannot be run: {_reason(error)}") from None
    if not hasattr(module, kind):
        raise ConfigError(f"{file} has no class {kind!r}")
    return getattr(module, kind)


def _code(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}, the code of a space: {error.strerror}") from None


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


def _reason(error: Exception) -> str:
    """An exception of the user's code in one line, with the line of his file."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f"line {frames[-1].lineno} of {Path(frames[-1].filename).name}: " if frames else ""
    return f"{where}{type(error).__name__}: {' '.join(str(error).split())}"
