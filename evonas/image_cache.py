"""Decoded images in a file that is mapped into memory, so that a folder of images is decoded once.

For each folder and size there is one array, PLACE.npy, and beside it PLACE.json, which says of what it is: a digest of
the files' names, sizes and times, and a sum over the pixels. What does not fit, or is damaged, is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL

from evonas.errors import DataError
from evonas.image_files import decoded, survey
from evonas.progress import Reporter

FORMAT = 1  # of the files, and of what decoding makes of an image


def cache_folder() -> Path:
    """Where decoded images are kept: EVONAS_CACHE_DIR, else evonas in XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("EVONAS_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(own) if own else Path(base) / "evonas") / "images"


def images_of(folder: Path, files: Sequence[Path], size: tuple[int, int] | None, reporter: Reporter) -> np.ndarray:
    """All files as uint8 (N, C, H, W), a read-only map of the cache; plain memory where no cache can be written.

    folder: all files are in it. size: (H, W); None: what suits the images (see `survey`). Raises DataError that names a
    file which cannot be read or decoded.
    """
    key = _key(folder, files, size)
    place = cache_folder() / hashlib.sha256(f"{folder.resolve()} {size}".encode()).hexdigest()[:16]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _held(place):
            kept = _read(place, key)
            if kept is None:
                _write(place, key, folder, files, size, reporter)
                kept = _read(place, key)
    except OSError as error:
        logging.getLogger(__name__).warning("decoded images are not kept, %s: %s", place.parent, error.strerror)
        kept = None
    return np.concatenate(list(_batches(files, size, reporter))) if kept is None else kept


def _key(folder: Path, files: Sequence[Path], size: tuple[int, int] | None) -> str:
    """Digest of all that the array depends on."""
    sha = hashlib.sha256(json.dumps([FORMAT, PIL.__version__, size]).encode())
    for file in files:
        try:
            about = file.stat()
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}") from None
        sha.update(f"{file.relative_to(folder)}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return sha.hexdigest()


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """One process at a time: the others wait, and find the array made."""
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(place: Path, key: str) -> np.ndarray | None:
    """The array of a place; None where it is not there, is of other files, or is damaged."""
    try:
        about = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
        if about["key"] != key:
            return None
        images: np.ndarray = np.load(place.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    if list(images.shape) != about.get("shape") or images.dtype != np.uint8:
        return None
    return images if zlib.crc32(images.reshape(-1).data) == about.get("crc32") else None


def _write(
    place: Path,
    key: str,
    folder: Path,
    files: Sequence[Path],
    size: tuple[int, int] | None,
    reporter: Reporter,
) -> None:
    draft, total = place.with_suffix(".tmp"), 0
    shape: list[int] = []
    try:
        # Written and not mapped: on a full disk writing raises, where a store through a map kills the process.
        with draft.open("wb") as file:
            for images in _batches(files, size, reporter):
                if not shape:
                    shape = [len(files), *images.shape[1:]]
                    header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(images.data)
                total = zlib.crc32(images.data, total)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place.with_suffix(".npy"))
        about = {"folder": str(folder.resolve()), "shape": shape, "crc32": total, "key": key}
        draft.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        draft.replace(place.with_suffix(".json"))
    finally:
        draft.unlink(missing_ok=True)


def _batches(files: Sequence[Path], size: tuple[int, int] | None, reporter: Reporter) -> Iterator[np.ndarray]:
    channels, size = survey(files, size)
    with reporter.task(f"images to {size[1]}x{size[0]} pixels", len(files)) as task:
        for images in decoded(files, channels, size):
            yield images
            task.advance(len(images))
