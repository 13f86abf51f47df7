"""Folders of images: where their splits and classes are. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evonas.errors import DataError
from evonas.image_files import SUFFIXES

TEST_FOLDERS = ("test", "val", "valid", "validation")  # the first that is there holds the test part
LAYOUT = "expected train/<class>/* and test/<class>/* images in it"


class Listing(NamedTuple):
    """Image files in order of split, class and name. labels: (N,). tests: how many at the end are of the test part."""

    files: list[Path]
    labels: np.ndarray
    tests: int
    classes: tuple[str, ...]


def list_images(folder: Path, classes: Sequence[str] | None) -> Listing:
    """The files of a folder with train and test folders, or of one that holds the class folders itself.

    classes: of a known data set, in the official order of its labels, which needs both splits; None: your own, sorted
    by name, and without a test folder none of the files is of the test part. Raises DataError where a folder that is
    needed is not there, or empty.
    """
    train = folder / "train"
    if classes is None:
        if not train.is_dir():
            train = _flat(folder)
        found = class_folders(train)
        if len(found) < 2:
            raise DataError(f"{train} has one class folder, {found[0]!r}; a classifier needs two at least")
        test = next((folder / name for name in TEST_FOLDERS if train != folder and (folder / name).is_dir()), None)
    else:
        found, test = list(classes), folder / "test"
    splits = [train] if test is None else [train, test]
    listed = [_list_split(split, found) for split in splits]
    files = [file for part, _ in listed for file in part]
    labels = np.concatenate([numbers for _, numbers in listed])
    return Listing(files, labels, len(listed[1][0]) if test is not None else 0, tuple(found))


def class_folders(split: Path) -> list[str]:
    """Names of the class folders of a split, sorted. Raises DataError where the split is not there or is empty."""
    if not split.is_dir():
        raise DataError(f"{split.parent} has no {split.name} folder; {LAYOUT}")
    names = sorted(entry.name for entry in split.iterdir() if entry.is_dir() and not _is_hidden(entry))
    if not names:
        raise DataError(f"{split} has no class folders; expected {split.name}/<class>/* images")
    return names


def _flat(folder: Path) -> Path:
    """The folder itself, where it holds class folders and no test folder that lacks its training images."""
    entries = [entry for entry in folder.iterdir() if not _is_hidden(entry)]
    names = [entry.name for entry in entries if entry.is_dir()]
    if not entries:
        raise DataError(f"{folder} is empty; {LAYOUT}, or <class>/*")
    if not names and any(_is_image(entry) for entry in entries):
        raise DataError(
            f"{folder} holds images themselves, and their folders are the classes; give the folder above it, "
            f"{folder.absolute().parent}, if it has one for each class"
        )
    if not names or set(names) <= set(TEST_FOLDERS):
        raise DataError(f"{folder} has no train folder; {LAYOUT}, or <class>/*")
    return folder


def _is_hidden(entry: Path) -> bool:
    return entry.name.startswith((".", "__"))  # __MACOSX is in archives that a Mac has made


def _list_split(split: Path, classes: Sequence[str]) -> tuple[list[Path], np.ndarray]:
    _require_classes(split, class_folders(split), classes)
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = split / name
        found = sorted(entry for entry in folder.iterdir() if _is_image(entry))
        if not found:
            raise DataError(
                f"class {name!r} has no images in {folder}; every class needs some in each split, directly in "
                f"its folder ({' '.join(sorted(SUFFIXES))})"
            )
        files += found
        labels += [label] * len(found)
    return files, np.array(labels)


def _is_image(entry: Path) -> bool:
    return entry.suffix.lower() in SUFFIXES and not _is_hidden(entry)


def _require_classes(split: Path, found: list[str], expected: Sequence[str]) -> None:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing:
        raise DataError(
            f"{split} lacks {len(missing)} of {len(expected)} class folders, {missing[0]!r} first; expected "
            f"{', '.join(expected[:12])}{', ...' if len(expected) > 12 else ''}"
        )
    if extra:
        raise DataError(
            f"{split} has a class folder {extra[0]!r} that is not expected; known: {', '.join(expected[:12])}"
        )
