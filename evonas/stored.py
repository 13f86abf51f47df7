"""The files of run folders, which may be damaged or a stranger's: what is wrong with them ends in one clear line."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evonas import __version__
from evonas.errors import RunError
from evonas.files import bounded_lines, read_json

FORMAT = 2  # of a run folder; one without format.json has format 1, whose checkpoints have no checksum


def require_run(path: Path) -> None:
    """Raise RunError unless `path` is a run folder that this version reads, and nothing in it leads out of it."""
    if not path.exists():
        raise RunError(f"{path} does not exist; give the folder of a run, such as runs/ga-digits-0")
    if not path.is_dir() or not (path / "config.yaml").is_file() or not (path / "checkpoints").is_dir():
        raise RunError(f"{path} is no run folder (it has no config.yaml and checkpoints/); give the folder of a run")
    _require_contained(path)
    require_known_format(path)


def require_known_format(path: Path) -> None:
    """Raise RunError where a run folder is of a newer format, or its format.json is damaged."""
    file = path / "format.json"
    if not file.exists():
        return  # format 1 had none
    try:
        found = int(read_json(file)["format"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f'{file} is damaged; write {{"format": {FORMAT}}} into it, or put a copy back') from None
    if found > FORMAT:
        raise newer(file, found)


def state_files(run: Path) -> dict[int, Path]:
    """The supernet states that a run has kept, by number."""
    files = (run / "supernet").glob("state-*.safetensors")
    named = [(re.fullmatch(r"state-([0-9]{1,9})\.safetensors", file.name), file) for file in files]
    return dict(sorted((int(match[1]), file) for match, file in named if match))


def newer(path: Path, found: object) -> RunError:
    """The error for a file of a format that came after this version."""
    return RunError(
        f"{path} has format {found}, and evonas {__version__} reads up to {FORMAT}; use the version that wrote it"
    )


def _require_contained(path: Path) -> None:
    """Raise RunError for a link out of the folder, through which a stranger's run would have us write elsewhere."""
    whole = path.resolve()
    for folder, folders, files in os.walk(path):
        for entry in (Path(folder, name) for name in (*folders, *files)):
            kind = entry.lstat().st_mode
            if stat.S_ISLNK(kind) and not entry.resolve().is_relative_to(whole):
                raise RunError(f"{entry} is a link that leads out of the run folder; put a copy in its place")
            if not (stat.S_ISLNK(kind) or stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise RunError(f"{entry} is neither a file nor a folder; remove it")


def read_table(path: Path) -> list[dict[str, str]]:
    """The complete rows of a CSV file as text; none where the file is not there. Raises RunError for what is no CSV."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(bounded_lines(file))
        if lines and not lines[-1].endswith("\n"):
            lines.pop()  # what a kill left of a row
        return list(csv.DictReader(lines, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); put a copy back"
        ) from None


@contextmanager
def trusted(what: object) -> Iterator[None]:
    """Within it, what a run folder holds is taken to be as evonas writes it. Raises RunError where it is not."""
    try:
        yield
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise RunError(f"{what} is not as evonas writes it ({said}); put a copy back, or start the run anew") from None


def read_result(path: Path) -> dict[str, Any] | None:
    """RUN/result.json of a finished run, or None. Raises RunError where it is damaged, or of a newer format."""
    file = path / "result.json"
    try:
        result = read_json(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise RunError(f"{file} is damaged; delete it and `evonas resume {path}`") from None
    found = result.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise newer(file, found)
    return result
