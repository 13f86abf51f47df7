"""Labelled images: read once, split once, held as uint8 tensors on the device."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from evonas.class_names import CLASS_NAMES
from evonas.config import DatasetSettings
from evonas.datasets import DATASETS, Spec
from evonas.errors import DataError, nearest
from evonas.image_files import all_grey, class_folders, list_split, read_images

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 (N, H, W, C), labels (N,)
DIGITS_SPLIT_SEED = 20230715  # of the test part of digits, which scikit-learn ships without an official one
TEST_ORDER_SEED = 0  # of the order of every test part, whatever the order of the files


@dataclass(frozen=True, eq=False)
class Part:
    """images: uint8 (N, C, H, W). labels: int64 (N,). Both on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Part:
        """The same part on `device`; no copy where it is there already."""
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set in its three parts. `weights` trains the supernet, `fitness` measures it, the test part is sealed.

    shape: (C, H, W). mean, std: a channel, of values / 255 over the weights part. digest: of weights and fitness part.
    """

    name: str
    classes: tuple[str, ...]
    weights: Part
    fitness: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop: int
    digest: str
    _test: Part = field(repr=False)
    test_openings: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.weights.images.shape[1:]
        return channels, height, width

    @property
    def train(self) -> Part:
        """Weights and fitness parts together, for training a chosen network from scratch."""
        return Part(
            torch.cat([self.weights.images, self.fitness.images]), torch.cat([self.weights.labels, self.fitness.labels])
        )

    def open_test(self, reason: str) -> Part:
        """The test part; each opening is written down, so that a search can be shown never to have read it."""
        self.test_openings.append(reason)
        return self._test

    def to(self, device: torch.device) -> ImageData:
        """The same data on `device`; openings of the test part are written down in the one list of both."""
        return replace(
            self, weights=self.weights.to(device), fitness=self.fitness.to(device), _test=self._test.to(device)
        )


def load(settings: DatasetSettings, device: torch.device) -> ImageData:
    """Read and split a data set onto `device`; the split depends on `settings` alone.

    Images that are not of `dataset.image_size` (null: the data set's own) are resized, antialiased, here and once.
    Raises DataError where the data set is unknown, not there, or cannot be used.
    """
    if settings.name not in DATASETS:
        raise DataError(f"dataset.name {settings.name!r} is unknown{nearest(settings.name, DATASETS)}")
    spec = DATASETS[settings.name]
    size = settings.image_size or spec.size
    train, test, classes = _read(settings, spec, size)
    _require_enough(train[1], classes)
    train = _subset(train, settings, len(classes))
    _require_enough(train[1], classes)
    weights, fitness = (_part(arrays, size, device) for arrays in _fitness_split(train, settings))
    mean, std = _statistics(weights.images)
    return ImageData(
        name=settings.name,
        classes=classes,
        weights=weights,
        fitness=fitness,
        mean=mean,
        std=std,
        flip=spec.flip if settings.flip is None else settings.flip,
        crop=_crop(settings, spec, weights.images.shape[2]),
        digest=_digest([weights, fitness]),
        _test=_part(_mixed(test), size, device),
    )


def _statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation a channel of values / 255. From counts of values: exact, alike on every device, and small."""
    levels = np.arange(256) / 255
    means, deviations = [], []
    for channel in images.unbind(1):
        counts = torch.bincount(channel.flatten(), minlength=256).cpu().numpy()
        mean = float(np.average(levels, weights=counts))
        means.append(mean)
        deviation = float(np.average((levels - mean) ** 2, weights=counts)) ** 0.5
        deviations.append(max(deviation, 1e-3))  # a channel that is constant must not divide by zero
    return tuple(means), tuple(deviations)


def _crop(settings: DatasetSettings, spec: Spec, height: int) -> int:
    """Padding of the random crop: as set, else the data set's own in proportion to the size in use."""
    if settings.crop is not None:
        return settings.crop
    if spec.crop is None or spec.size is None:
        return height // 8
    return max(1, round(spec.crop * height / spec.size))


# Reading --------------------------------------------------------------------------------------------------------


def _read(settings: DatasetSettings, spec: Spec, size: int | None) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    if settings.name == "digits":
        if settings.dir is not None:
            raise DataError("digits come with evonas and are read from no folder; leave --data-dir out")
        return _read_digits()
    if spec.torchvision is None:
        if settings.dir is None:
            raise DataError(f"{settings.name} needs --data-dir with train/<class>/* and test/<class>/* images")
        if not Path(settings.dir).is_dir():
            raise DataError(f"--data-dir {settings.dir} is no folder; give the one that holds train and test")
        return _read_folders(Path(settings.dir), None, size)
    classes = CLASS_NAMES[settings.name]
    if settings.dir is None:
        cache = Path(os.environ.get("EVONAS_DATA_DIR", Path.home() / ".cache" / "evonas")) / settings.name
        return *_read_torchvision(spec.torchvision, cache, download=True), classes
    folder = Path(settings.dir)
    if not folder.is_dir():
        raise DataError(f"--data-dir {folder} is no folder; give the one that holds {settings.name}")
    if (folder / "train").is_dir():
        return _read_folders(folder, classes, size)
    return *_read_torchvision(spec.torchvision, folder, download=False), classes


def _read_digits() -> tuple[Arrays, Arrays, tuple[str, ...]]:
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    train, test = _split((images, bunch.target), 0.2, DIGITS_SPLIT_SEED)
    return train, test, tuple(str(name) for name in bunch.target_names)


def _read_torchvision(kind: str, folder: Path, download: bool) -> tuple[Arrays, Arrays]:
    """Both splits in torchvision's layout. Raises DataError where they are not there or are not the published files.

    torchvision unpickles CIFAR's files, but only after `_check_integrity` has compared every one of them with its
    published MD5 sum: nothing but the original is ever unpickled. The other two are arrays in files of plain bytes.
    """
    from torchvision import datasets as tv

    cls = getattr(tv, kind)
    splits: list[dict[str, object]] = [{"train": True}, {"train": False}]
    if kind == "SVHN":
        splits = [{"split": "train"}, {"split": "test"}]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"dtype\(\): align")  # NumPy 2.4.0 to 2.4.4, of pickles as old as CIFAR's
            train, test = (cls(folder, download=download, **split) for split in splits)
    except Exception as error:  # by file and by cause of failure it is any of a dozen types, AssertionError among them
        tried = "and could not be downloaded" if download else "in torchvision's layout or as train/<class>/*"
        text = str(error) or type(error).__name__
        reason = re.split(r"\.\s|\n", text)[0][:120]  # torchvision goes on to advise download=True
        raise DataError(
            f"{kind} is not in {folder} {tried} ({reason}); put it there, or give --data-dir with train/<class>/* and "
            "test/<class>/* images"
        ) from None
    return _arrays(train), _arrays(test)


def _arrays(dataset: Any) -> Arrays:
    """Images and labels of a data set of torchvision, which keeps them in three layouts and under two names."""
    images = np.asarray(dataset.data)
    labels = np.asarray(dataset.labels if hasattr(dataset, "labels") else dataset.targets)
    if images.ndim == 3:
        images = images[..., None]
    elif images.shape[1] == 3:  # SVHN comes as (N, C, H, W)
        images = images.transpose(0, 2, 3, 1)
    return images, labels


def _read_folders(
    folder: Path, classes: tuple[str, ...] | None, size: int | None
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Both splits from folders; `classes` are those of a known data set, in the official order of its labels."""
    found = class_folders(folder / "train")
    if classes is None:
        classes = tuple(found)
        if len(classes) < 2:
            raise DataError(f"{folder / 'train'} has one class folder, {found[0]!r}; a classifier needs two at least")
    _require_classes(folder / "train", found, classes)
    _require_classes(folder / "test", class_folders(folder / "test"), classes)
    files = [list_split(folder / split, classes) for split in ("train", "test")]
    channels = 1 if all_grey(files[0][0] + files[1][0]) else 3  # stops at the first that has colour
    shape = None if size is None else (size, size)
    train, test = ((read_images(names, channels, shape), labels) for names, labels in files)
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"train images of {folder} have shape {train[0].shape[1:]} and test images {test[0].shape[1:]}; set "
            "dataset.image_size to bring all to one size"
        )
    return train, test, classes


def _require_classes(split: Path, found: list[str], expected: tuple[str, ...]) -> None:
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


# Splitting ------------------------------------------------------------------------------------------------------


def _split(arrays: Arrays, second: int | float, seed: int) -> tuple[Arrays, Arrays]:
    """Stratified split into two, each in a seeded random order.

    second: images of the second part if an int, their share if a float. Raises ValueError where a part would be smaller
    than the number of classes.
    """
    images, labels = arrays
    rows = train_test_split(np.arange(len(labels)), test_size=second, stratify=labels, random_state=seed)
    return (images[rows[0]], labels[rows[0]]), (images[rows[1]], labels[rows[1]])


def _fitness_split(train: Arrays, settings: DatasetSettings) -> tuple[Arrays, Arrays]:
    try:
        return _split(train, settings.fitness_share, settings.split_seed)
    except ValueError as error:
        raise DataError(
            f"{len(train[1])} training images cannot be split with dataset.fitness_share {settings.fitness_share:g} "
            f"({error}); give more images, or a share nearer to 0.5"
        ) from None


def _subset(train: Arrays, settings: DatasetSettings, classes: int) -> Arrays:
    wanted, available = settings.train_images, len(train[1])
    if wanted is None:
        return train
    if wanted > available:
        raise DataError(f"dataset.train_images is {wanted}, and {settings.name} has {available}; ask for fewer")
    if wanted < 4 * classes:
        raise DataError(f"dataset.train_images is {wanted}; {classes} classes need at least {4 * classes}")
    if wanted == available:
        return train
    if available - wanted < classes:  # a stratified draw leaves out one of each class at least
        raise DataError(
            f"dataset.train_images is {wanted} of {available}; ask for at most {available - classes}, or null for all"
        )
    return _split(train, wanted, settings.split_seed)[1]


def _mixed(test: Arrays) -> Arrays:
    """In an order that mixes the classes: files come class by class, and statistics of such a batch would be skewed."""
    order = np.random.default_rng(TEST_ORDER_SEED).permutation(len(test[1]))
    return test[0][order], test[1][order]


def _require_enough(labels: np.ndarray, classes: tuple[str, ...]) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < 3:
        name = classes[int(counts.argmin())]
        raise DataError(f"class {name!r} has {counts.min()} training images; at least 3 are needed to split them")


def _part(arrays: Arrays, size: int | None, device: torch.device) -> Part:
    images = torch.from_numpy(np.ascontiguousarray(arrays[0].transpose(0, 3, 1, 2)))
    if size is not None and images.shape[2:] != (size, size):
        from torchvision.transforms.v2 import functional as resizing

        chunks = torch.split(images, 4096)
        images = torch.cat([resizing.resize(chunk, [size, size], antialias=True) for chunk in chunks])
    return Part(images.to(device), torch.from_numpy(arrays[1].astype(np.int64)).to(device))


def _digest(parts: list[Part]) -> str:
    """SHA-256 over images and labels of the parts, in order: equal where and only where the split is the same."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(str(tuple(part.images.shape)).encode())
        sha.update(part.images.cpu().numpy().tobytes())
        sha.update(part.labels.cpu().numpy().tobytes())
    return sha.hexdigest()


# Batches --------------------------------------------------------------------------------------------------------


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Batches of one pass over so many images: full ones, or one of all where they do not fill one."""
    return max(1, images // batch_size)


def training_batches(part: Part, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass in an order drawn from `generator` (on the CPU).

    What does not fill a batch is left out, and is another rest each time; fewer images than a batch make one of all.
    """
    permutation = torch.randperm(len(part), generator=generator).to(part.images.device)
    for index in range(batches_per_epoch(len(part), batch_size)):
        chosen = permutation[index * batch_size : (index + 1) * batch_size]
        yield part.images[chosen], part.labels[chosen]


def fixed_batches(part: Part, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All of a part in order, in batches of near-equal size, none smaller than `batch_size` where there is enough."""
    count = batches_per_epoch(len(part), batch_size)
    yield from zip(part.images.tensor_split(count), part.labels.tensor_split(count), strict=True)


__all__ = [
    "ImageData",
    "Part",
    "batches_per_epoch",
    "fixed_batches",
    "load",
    "training_batches",
]
