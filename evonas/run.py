"""The run folder: what a run leaves on disk, written so that a kill at any moment loses nothing.

Checkpoints are written beside their place, synced and renamed; the last two are kept. History grows by appending: a
checkpoint records how long each table was, and opening a run cuts off what came after.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from evonas.config import Settings, build, read_yaml, to_yaml
from evonas.errors import RunError

FORMAT = 1  # of the run folder and its checkpoints
TABLES = ("history.csv", "generations.csv", "audit.csv")
KEPT_CHECKPOINTS = 2


class RunFolder:
    """One run's folder, held by one process at a time through a lock that the kernel frees with its holder."""

    def __init__(self, path: Path, lock: TextIO) -> None:
        self.path = path
        self._lock = lock

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
            raise RunError(f"cannot make the run folder {path}: {error.strerror}; choose another --out") from None
        try:
            draft.chmod(0o755)
            write_synced(draft / "config.yaml", to_yaml(settings).encode())
            (draft / "checkpoints").mkdir()
            lock = _locked(draft)
            try:
                draft.rename(path)  # replaces an empty folder, fails on any other
            except OSError:
                lock.close()
                raise
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            require_free(path)
            raise
        _sync_folder(path.parent)
        return cls(path, lock)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Take hold of an existing run folder. Raises RunError where it is none, or is in use."""
        require_run(path)
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
        """Save plain data and tensors, with the lengths of the tables as they are now."""
        import torch

        from evonas.packing import pack

        numbers = self._checkpoints()
        lengths = {name: (self.path / name).stat().st_size if (self.path / name).exists() else 0 for name in TABLES}
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, "lengths": lengths, "state": pack(state)}, buffer)
        number = max(numbers, default=-1) + 1
        write_synced(self._checkpoint_path(number), buffer.getvalue())
        for old in sorted(numbers)[: -(KEPT_CHECKPOINTS - 1)]:
            self._checkpoint_path(old).unlink()

    def latest(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read, on the CPU; None where none was written yet. Cuts the tables to it.

        Raises RunError where checkpoints are there and none can be read.
        """
        numbers = sorted(self._checkpoints(), reverse=True)
        for number in numbers:
            loaded = self._load(self._checkpoint_path(number))
            if loaded is not None:
                lengths, state = loaded
                self._cut(lengths)
                return state
        if numbers:
            names = ", ".join(self._checkpoint_path(n).name for n in numbers)
            raise RunError(
                f"no checkpoint of {self.path} can be read ({names}); start the run anew from its config.yaml"
            )
        self._cut(dict.fromkeys(TABLES, 0))
        return None

    def _load(self, path: Path) -> tuple[dict[str, int], dict[str, Any]] | None:
        """Lengths of the tables and state of a checkpoint; None where it is damaged."""
        import pickle
        import warnings

        import torch

        from evonas.packing import unpack

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a file that is none of ours is refused below, in our words
                loaded = torch.load(path, map_location="cpu", weights_only=True)
            if loaded["format"] != FORMAT:
                raise RunError(
                    f"{path} has format {loaded['format']}; this evonas reads {FORMAT}; use the version that wrote it"
                )
            return {name: int(loaded["lengths"].get(name, 0)) for name in TABLES}, unpack(loaded["state"])
        except (
            OSError,
            RuntimeError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            pickle.UnpicklingError,
        ):
            return None

    def _cut(self, lengths: Mapping[str, int]) -> None:
        for name in TABLES:
            path = self.path / name
            if path.exists():
                os.truncate(path, lengths[name]) if lengths[name] else path.unlink()

    def _checkpoints(self) -> list[int]:
        return [int(p.stem) for p in (self.path / "checkpoints").glob("*.pt") if p.stem.isdigit()]

    def _checkpoint_path(self, number: int) -> Path:
        return self.path / "checkpoints" / f"{number:06d}.pt"

    # Tables and results -----------------------------------------------------------------------------------------

    def append(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows to a table of TABLES, with its header where it is new."""
        assert name in TABLES and rows
        path = self.path / name
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            file.write(_csv(rows, header=new))
            file.flush()
            os.fsync(file.fileno())

    def write_table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Write a whole table at once."""
        write_synced(self.path / name, _csv(rows, header=True).encode())

    def write_json(self, name: str, data: object) -> None:
        """Write JSON, where `name` may lie in a sub-folder."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_synced(path, (json.dumps(data, indent=2) + "\n").encode())

    def write_weights(self, name: str, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        """Write contiguous tensors as safetensors, where `name` may lie in a sub-folder."""
        from safetensors.torch import save

        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_synced(path, save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, dict(metadata)))

    def read_table(self, name: str) -> list[dict[str, str]]:
        """The rows of a table as text; none where it is not there yet."""
        return read_table(self.path / name)


def require_free(path: Path) -> None:
    """Raise RunError unless `path` is free for a new run: absent, or an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        what = "holds a run" if (path / "config.yaml").exists() else "exists and is not empty"
        raise RunError(
            f"{path} {what}; choose another --out, or go on with it by `evonas resume {path}`"
            if what == "holds a run"
            else f"{path} {what}; choose another --out"
        )


def require_run(path: Path) -> None:
    """Raise RunError unless `path` is a run folder."""
    if not path.exists():
        raise RunError(f"{path} does not exist; give the folder of a run, such as runs/ga-digits-0")
    if not path.is_dir() or not (path / "config.yaml").is_file() or not (path / "checkpoints").is_dir():
        raise RunError(f"{path} is no run folder (it has no config.yaml and checkpoints/); give the folder of a run")


def read_table(path: Path) -> list[dict[str, str]]:
    """The complete rows of a CSV file as text; none where the file is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_result(path: Path) -> dict[str, Any] | None:
    """RUN/result.json of a finished run, or None. Raises RunError where it is damaged."""
    try:
        text = (path / "result.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        result: dict[str, Any] = json.loads(text)
        assert isinstance(result, dict)
    except (ValueError, AssertionError):
        raise RunError(f"{path / 'result.json'} is damaged; delete it and `evonas resume {path}`") from None
    return result


def state_files(run: Path) -> dict[int, Path]:
    """The supernet states that a run has kept, by number."""
    found = {int(p.stem.removeprefix("state-")): p for p in (run / "supernet").glob("state-*.safetensors")}
    return dict(sorted(found.items()))


def write_synced(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole under its name or not there, power loss included."""
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
