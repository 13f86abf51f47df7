"""The run folder: what a run leaves on disk, written so that a kill at any moment loses nothing.

Checkpoints are written beside their place, synced and renamed; the last two are kept. History grows by appending: a
checkpoint records how long each table was and what it held, and opening a run cuts off what came after.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from evonas import __version__
from evonas.config import Settings, build, read_yaml, to_yaml
from evonas.errors import RunError
from evonas.stored import FORMAT, newer, read_result, read_table, require_run, state_files, trusted

TABLES = ("history.csv", "generations.csv", "audit.csv", "incidents.csv")
LOG = "log.jsonl"  # cut like a table, but nothing depends on it, and it may be gone or changed
KEPT_CHECKPOINTS = 2
Say = Callable[[str], None]


class RunFolder:
    """One run's folder, held by one process at a time through a lock that the kernel frees with its holder."""

    def __init__(self, path: Path, lock: TextIO) -> None:
        self.path = path
        self._lock = lock
        self._damaged: set[int] = set()  # checkpoints that could not be read

    @classmethod
    def create(cls, path: Path, settings: Settings) -> RunFolder:
        """Make a new run folder, which appears in one rename and already holds config.yaml.

        Raises RunError where `path` exists and is not empty, whatever it holds.
        """
        require_free(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise _no_new(path, error) from None
        try:
            with ExitStack() as undo:
                undo.callback(shutil.rmtree, draft, ignore_errors=True)
                draft.chmod(0o755)
                about = {"format": FORMAT, "evonas": __version__}
                write_synced(draft / "format.json", (json.dumps(about) + "\n").encode())
                write_synced(draft / "config.yaml", to_yaml(settings).encode())
                (draft / "checkpoints").mkdir()
                lock = undo.enter_context(_locked(draft))
                draft.rename(path)  # replaces an empty folder, fails on any other
                _sync_folder(path.parent)
                undo.pop_all()
        except OSError as error:
            require_free(path)
            raise _no_new(path, error) from None
        return cls(path, lock)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Take hold of an existing run folder. Raises RunError where it is none, is in use, or cannot be written."""
        require_run(path)
        with _writing(path, path):
            lock = _locked(path)
            for draft in (*path.glob("*.tmp"), *path.glob("*/*.tmp")):
                draft.unlink()  # what a kill left half-written
        return cls(path, lock)

    def close(self) -> None:
        """Let go of the run folder."""
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def settings(self) -> Settings:
        """The effective settings of the run. Raises ConfigError where config.yaml is damaged."""
        return build(read_yaml(self.path / "config.yaml"))

    # Checkpoints ------------------------------------------------------------------------------------------------

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Save plain data and tensors, with the tables as they are. Raises RunError where that cannot be written."""
        from evonas.checkpoint import sealed

        numbers = sorted(self._checkpoints())
        with self._writing("checkpoints"):
            found = {name: self.path / name for name in TABLES if (self.path / name).exists()}
            lengths = {name: path.stat().st_size for name, path in found.items()}
            digests = {name: _digest(path, lengths[name]) for name, path in found.items()}
            lengths[LOG] = self._size(LOG)
            data = sealed({"lengths": lengths, "digests": digests, "searched": self._searched}, state)
            write_synced(self._checkpoint_path(max(numbers, default=-1) + 1), data)
            whole = [number for number in numbers if number not in self._damaged]
            for old in (*self._damaged, *whole[: -(KEPT_CHECKPOINTS - 1)]):
                self._checkpoint_path(old).unlink(missing_ok=True)
        self._damaged.clear()

    def latest(self, say: Say = lambda line: None) -> dict[str, Any] | None:
        """The newest checkpoint that is whole, on the CPU; None where none was written yet. Cuts the tables to it.

        say: is told of newer ones that are damaged. Raises RunError, with nothing changed, where checkpoints are there
        and none is whole, or one is of a newer format or of another search.
        """
        from evonas.checkpoint import DamagedError, NewerError, opened, read_archive

        reasons: dict[int, str] = {}
        for number in sorted(self._checkpoints(), reverse=True):
            path = self._checkpoint_path(number)
            try:
                about, state = opened(read_archive(path))
                lengths = self._lengths(about)
            except NewerError as error:
                raise newer(path, error) from None
            except (OSError, DamagedError) as error:
                reasons[number] = f"{path.name}: {getattr(error, 'strerror', None) or error}"
                continue
            self._require_own(path, about)
            if reasons:
                say(f"damaged checkpoints of {self.path} ({'; '.join(reasons.values())}); going on from {path.name}")
            self._damaged = set(reasons)
            self._cut(lengths)
            return state
        if reasons:
            raise RunError(
                f"no checkpoint of {self.path} can be read ({'; '.join(reasons.values())}); put a copy back, or start "
                f"the run anew by `evonas run --config {self.path / 'config.yaml'}`"
            )
        self._cut(dict.fromkeys((*TABLES, LOG), 0))
        return None

    def _lengths(self, about: Mapping[str, Any]) -> dict[str, int]:
        """How long each table was. Raises DamagedError where one is shorter by now, or was changed."""
        from evonas.checkpoint import DamagedError

        lengths = {name: about["lengths"].get(name, 0) for name in TABLES}
        for name, length in lengths.items():
            path = self.path / name
            if not isinstance(length, int) or not 0 <= length <= self._size(name):
                raise DamagedError(f"{name} is shorter than it was")
            digest = about.get("digests", {}).get(name)  # format 1 has none
            if length and digest is not None and digest != _digest(path, length):
                raise DamagedError(f"{name} is not what it was")
        log = about["lengths"].get(LOG, 0)
        return {**lengths, LOG: min(log, self._size(LOG)) if isinstance(log, int) and log >= 0 else 0}

    def _size(self, name: str) -> int:
        path = self.path / name
        return path.stat().st_size if path.exists() else 0

    @cached_property
    def _searched(self) -> dict[str, Any]:
        """What a checkpoint cannot be carried over from: another space, or another algorithm."""
        settings = self.settings()
        return {"space": settings.space.model_dump(mode="json"), "algorithm": settings.search.algorithm}

    def _require_own(self, path: Path, about: Mapping[str, Any]) -> None:
        for name, ours in self._searched.items():
            theirs = about.get("searched", {}).get(name, ours)
            if theirs != ours:
                raise RunError(
                    f"{path} is of a search by other settings ({name} {theirs}, and config.yaml has {ours}); put its "
                    "own config.yaml back"
                )

    def _cut(self, lengths: Mapping[str, int]) -> None:
        for name, length in lengths.items():
            path = self.path / name
            if path.exists():
                os.truncate(path, length) if length else path.unlink()

    def _checkpoints(self) -> list[int]:
        names = (path.name for path in (self.path / "checkpoints").glob("*.pt"))
        return [int(name[:-3]) for name in names if re.fullmatch(r"[0-9]{6,12}\.pt", name)]

    def _checkpoint_path(self, number: int) -> Path:
        return self.path / "checkpoints" / f"{number:06d}.pt"

    # Tables and results -----------------------------------------------------------------------------------------

    def append(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows to a table of TABLES, with its header where it is new."""
        assert name in TABLES and rows
        path = self.path / name
        new = not path.exists()
        with self._writing(name), path.open("a", newline="", encoding="utf-8") as file:
            file.write(_csv(rows, header=new))
            file.flush()
            os.fsync(file.fileno())

    def write_table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Write a whole table at once."""
        self._write(name, _csv(rows, header=True).encode())

    def write_json(self, name: str, data: object) -> None:
        """Write JSON, where `name` may lie in a sub-folder."""
        self._write(name, (json.dumps(data, indent=2) + "\n").encode())

    def write_weights(self, name: str, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        """Write contiguous tensors as safetensors, where `name` may lie in a sub-folder."""
        from safetensors.torch import save

        self._write(name, save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, dict(metadata)))

    def _write(self, name: str, data: bytes) -> None:
        with self._writing(name):
            (self.path / name).parent.mkdir(exist_ok=True)
            write_synced(self.path / name, data)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        with _writing(self.path, self.path / name):
            yield

    def read_table(self, name: str) -> list[dict[str, str]]:
        """The rows of a table as text; none where it is not there yet."""
        return read_table(self.path / name)


def require_free(path: Path) -> None:
    """Raise RunError unless `path` is free for a new run: absent, or an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        what = "exists and is not empty" if path.is_dir() else "is a file"
        what = "holds a run" if (path / "config.yaml").exists() else what
        raise RunError(
            f"{path} {what}; choose another --out, or go on with it by `evonas resume {path}`"
            if what == "holds a run"
            else f"{path} {what}; choose another --out"
        )


def write_synced(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole under its name or not there, power loss included."""
    draft = path.with_name(path.name + ".tmp")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)  # on a full disk it would take what little room there is
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writing(run: Path, path: Path) -> Iterator[None]:
    """Within it, what the system refuses becomes a RunError. What was synced before is not touched by it."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {error.filename or path}: {error.strerror}; the last checkpoint is whole: when "
            f"there can be written again, go on with `evonas resume {run}`"
        ) from None


def _no_new(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot make the run folder {path}: {error.strerror}; choose another --out")


def _digest(path: Path, length: int) -> str:
    """SHA-256 of the first bytes of a file."""
    sha, left = hashlib.sha256(), length
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, 1 << 20))):
            sha.update(chunk)
            left -= len(chunk)
    return sha.hexdigest()


def _locked(path: Path) -> TextIO:
    file = (path / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise RunError(f"{path} is in use by {holder}; wait for it, or stop it") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def _csv(rows: Iterable[Mapping[str, object]], header: bool) -> str:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


__all__ = [
    "FORMAT",
    "LOG",
    "RunFolder",
    "read_result",
    "read_table",
    "require_free",
    "require_run",
    "state_files",
    "trusted",
    "write_synced",
]
