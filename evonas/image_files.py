"""Image files decoded to arrays of one shape, several at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median_low

import numpy as np
from PIL import Image, ImageOps

from evonas.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"})
THREADS = min(16, os.cpu_count() or 1)  # Pillow decodes outside Python's lock
TOGETHER = 512  # images that are decoded before the next ones
LARGEST = 64  # pixels a side where no size is asked for
GREY = ("1", "L", "LA", "I", "I;16")
SIDEWAYS = (5, 6, 7, 8)  # orientations in EXIF that swap width and height
ORIENTATION = 0x0112

Size = tuple[int, int]  # (H, W) in pixels


def survey(files: Sequence[Path], size: Size | None) -> tuple[int, Size]:
    """Channels and size in which these images are held: 1 where all are grey, else 3; `size` where it is given.

    Else their own size where all have one of at most LARGEST pixels a side; else a square of the median of the images'
    shorter sides, LARGEST at most. Headers alone are read. Raises DataError that names a file which is no image.
    """
    if size is not None:
        grey = all(_header(file)[0] in GREY for file in files)  # stops at the first that has colour
        return 1 if grey else 3, size
    with ThreadPoolExecutor(THREADS) as pool:
        headers = list(pool.map(_header, files))
    channels = 1 if all(mode in GREY for mode, _ in headers) else 3
    sizes = {found for _, found in headers}
    if len(sizes) == 1 and max(headers[0][1]) <= LARGEST:
        return channels, headers[0][1]
    side = min(LARGEST, median_low(min(found) for _, found in headers))
    return channels, (side, side)


def read_images(files: Sequence[Path], channels: int, size: Size) -> np.ndarray:
    """The images as uint8 (N, channels, H, W), resized to `size`. channels: 1 or 3. Raises DataError as `decoded`."""
    return np.concatenate(list(decoded(files, channels, size)))


def decoded(files: Sequence[Path], channels: int, size: Size) -> Iterator[np.ndarray]:
    """The same, TOGETHER at a time. Raises DataError that names a file which cannot be decoded."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files), TOGETHER):
            part = files[start : start + TOGETHER]
            images = np.empty((len(part), channels, *size), dtype=np.uint8)
            for index, image in enumerate(pool.map(lambda file: _decode(file, channels, size), part)):
                images[index] = image
            yield images


def _header(file: Path) -> tuple[str, Size]:
    """Mode and size of an image as it is to be seen."""
    try:
        with Image.open(file) as image:
            sideways = image.getexif().get(ORIENTATION) in SIDEWAYS
            return image.mode, (image.width, image.height) if sideways else (image.height, image.width)
    except Exception:
        raise _undecodable(file) from None


def _decode(file: Path, channels: int, size: Size) -> np.ndarray:
    try:
        with Image.open(file) as opened:
            # A large photo as JPEG is decoded to no more pixels than twice what is needed; other formats ignore it.
            opened.draft(None, (2 * max(size), 2 * max(size)))
            image = _eight_bit(opened).convert("L" if channels == 1 else "RGB")
            ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # decoders fail in ways of their own, each with a type of its own
        raise _undecodable(file) from None
    if image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)  # Pillow's filters are antialiased
    return np.asarray(image, dtype=np.uint8).reshape(*size, channels).transpose(2, 0, 1)


def _eight_bit(image: Image.Image) -> Image.Image:
    """An image whose conversion to L or RGB loses nothing but transparency and depth beyond eight bits."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips at 255 where it has to scale
        return Image.fromarray((np.asarray(image, dtype=np.float64) / 257).clip(0, 255).round().astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _undecodable(file: Path) -> DataError:
    return DataError(f"{file} cannot be decoded as an image; remove or replace it")
