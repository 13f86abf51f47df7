"""A checkpoint as bytes: an archive by torch.save that is sealed by a checksum.

Reading one runs nothing that is in it, allocates no more than it holds, and notices every bit that has changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from evonas.packing import pack, unpack

# 1: without a checksum. 2: sealed, with the digests of the tables and what the run searches.
FORMAT = 2
SEAL = b"sha256:"
SEAL_LENGTH = len(SEAL) + 64


class DamagedError(Exception):
    """Bytes that are no whole checkpoint; its text says in what."""


class NewerError(Exception):
    """A checkpoint of a format that came after this version; its text is the format."""


def sealed(about: Mapping[str, Any], state: Mapping[str, Any]) -> bytes:
    """A checkpoint of plain data and tensors. about: plain data that is wanted before the state is."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "about": json.dumps(about), "state": pack(state)}, buffer)
    content = buffer.getvalue()
    # The seal is the archive's comment, whose length is the archive's last field: torch reads the file as it is.
    content = content[:-2] + SEAL_LENGTH.to_bytes(2, "little")
    return content + SEAL + hashlib.sha256(content).hexdigest().encode()


def read_archive(path: Path) -> bytes:
    """The bytes of an archive; of a file that is none, however large, no more than its end is read.

    Raises OSError, or DamagedError.
    """
    try:
        with zipfile.ZipFile(path):
            return path.read_bytes()
    except (ValueError, zipfile.BadZipFile):
        raise DamagedError("it is no whole archive") from None


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """`about` and `state` of a checkpoint, tensors on the CPU; of format 1 `about` has but the lengths of the tables.

    Raises DamagedError or NewerError.
    """
    try:
        _require_plain_archive(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file that is none of ours is refused below, in our words
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if loaded["format"] > FORMAT:
            raise NewerError(str(loaded["format"]))
        if loaded["format"] > 1:
            _require_seal(data)
        if sum(tensor.nbytes for tensor in loaded["state"]["flat"].values()) > len(data):
            raise DamagedError("its tensors are larger than the file")
        about = json.loads(loaded["about"]) if loaded["format"] > 1 else {"lengths": loaded["lengths"]}
        if not all(isinstance(about.get(name, {}), dict) for name in ("lengths", "digests", "searched")):
            raise DamagedError("what it says of the run is not as evonas writes it")
        return about, unpack(loaded["state"])
    except pickle.UnpicklingError:
        raise DamagedError("it holds more than plain data") from None
    except (
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise DamagedError(f"it is no whole archive ({type(error).__name__})") from None


def _require_plain_archive(data: bytes) -> None:
    """Raise DamagedError where an archive unpacks to more than its own size, as none by torch.save does."""
    entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise DamagedError("it is compressed, which no checkpoint is")
    if sum(entry.file_size for entry in entries) > len(data):
        raise DamagedError("its entries are larger than the file")


def _require_seal(data: bytes) -> None:
    content, seal = data[:-SEAL_LENGTH], data[-SEAL_LENGTH:]
    if seal != SEAL + hashlib.sha256(content).hexdigest().encode():
        raise DamagedError("its checksum does not fit")
