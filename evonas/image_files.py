"""Folders of images: train/<class>/* and test/<class>/*, decoded once to one array."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from evonas.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"})
THREADS = 4  # Pillow decodes outside Python's lock


def class_folders(split: Path) -> list[str]:
    """Names of the class folders of a split, sorted. Raises DataError where the split is not there or is empty."""
    if not split.is_dir():
        raise DataError(
            f"{split.parent} has no {split.name} folder; expected train/<class>/* and test/<class>/* images in it"
        )
    names = sorted(entry.name for entry in split.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{split} has no class folders; expected {split.name}/<class>/* images")
    return names


def list_split(split: Path, classes: Sequence[str]) -> tuple[list[Path], np.ndarray]:
    """Files of a split in order of class, then name, and their labels (N,). Raises DataError for an empty class."""
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = split / name
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not found:
            raise DataError(f"class {name!r} has no images in {folder}; every class needs some in each split")
        files += found
        labels += [label] * len(found)
    return files, np.array(labels)


def read_images(files: Sequence[Path], channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """The images as uint8 (N, H, W, channels), resized to `size`, (H, W), where given.

    channels: 1 or 3. Raises DataError that names a file which cannot be decoded, or where sizes differ and none is
    given.
    """
    first = _decode(files[0], channels, size)

    def fill(numbers: range) -> None:
        for number in numbers:
            image = _decode(files[number], channels, size)
            if image.shape != first.shape:
                raise DataError(
                    f"{files[number]} is {image.shape[1]}x{image.shape[0]} pixels and {files[0]} {first.shape[1]}x"
                    f"{first.shape[0]}; set dataset.image_size to bring all to one size"
                )
            images[number] = image

    images = np.empty((len(files), *first.shape), dtype=np.uint8)
    chunk = 1000
    with ThreadPoolExecutor(THREADS) as pool:
        parts = [range(i, min(i + chunk, len(files))) for i in range(0, len(files), chunk)]
        for future in [pool.submit(fill, part) for part in parts]:
            future.result()
    return images


def all_grey(files: Sequence[Path]) -> bool:
    """Whether every file holds a greyscale image; headers alone are read."""
    return all(_mode(file) in ("1", "L", "LA", "I", "I;16") for file in files)


def _mode(file: Path) -> str:
    try:
        with Image.open(file) as image:
            return image.mode
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError):
        raise _undecodable(file) from None


def _decode(file: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    try:
        with Image.open(file) as image:
            decoded = _eight_bit(image).convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError):
        raise _undecodable(file) from None
    if size is not None and decoded.size != size[::-1]:
        decoded = decoded.resize(size[::-1], Image.Resampling.BILINEAR)  # Pillow's filters are antialiased
    return np.asarray(decoded, dtype=np.uint8).reshape(decoded.height, decoded.width, channels)


def _eight_bit(image: Image.Image) -> Image.Image:
    """An image whose conversion to L or RGB loses nothing but transparency and depth beyond eight bits."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips at 255 where it has to scale
        return Image.fromarray((np.asarray(image, dtype=np.float64) / 257).clip(0, 255).round().astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _undecodable(file: Path) -> DataError:
    return DataError(f"{file} cannot be decoded as an image; remove or replace it")
