"""Labelled images: read once, split once, held as uint8 tensors on the device."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from evonas.class_names import CLASS_NAMES
from evonas.config import DatasetSettings
from evonas.datasets import DATASETS, Spec
from evonas.errors import DataError, nearest
from evonas.image_cache import images_of
from evonas.image_folders import list_images
from evonas.progress import Reporter, Silent

DRAWN_TEST_SHARE = 0.2  # of the images of a folder, or of digits, that have no test part of their own
LEAST_TO_SPLIT_TWICE = 5  # images of a class, for a test, a weights and a fitness part
TEST_SPLIT_SEED = 20230715  # of a test part that is drawn; no setting changes it
TEST_ORDER_SEED = 0  # of the order of every test part, whatever the order of the files


class Images(NamedTuple):
    """Images as they are read. arrays: uint8 (N, C, H, W), perhaps a map of a file. labels: (N,). train, test: rows."""

    arrays: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray
    classes: tuple[str, ...]


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

    @property
    def tests(self) -> int:
        """How many images the sealed test part has."""
        return len(self._test)

    @property
    def guess(self) -> float:
        """Error in percent, on the training images, of always naming their most frequent class."""
        counts = torch.bincount(torch.cat([self.weights.labels, self.fitness.labels]))
        return 100.0 * (1.0 - counts.max().item() / counts.sum().item())

    def open_test(self, reason: str) -> Part:
        """The test part; each opening is written down, so that a search can be shown never to have read it."""
        self.test_openings.append(reason)
        return self._test

    def to(self, device: torch.device) -> ImageData:
        """The same data on `device`; openings of the test part are written down in the one list of both."""
        return replace(
            self, weights=self.weights.to(device), fitness=self.fitness.to(device), _test=self._test.to(device)
        )


def load(settings: DatasetSettings, device: torch.device, reporter: Reporter | None = None) -> ImageData:
    """Read and split a data set onto `device`; the split depends on `settings` alone.

    Images that are not of `dataset.image_size` (null: the data set's own) are resized, antialiased, here and once.
    Those of folders are decoded once and kept (see `image_cache`), which `reporter` shows. Raises DataError where the
    data set is unknown, not there, or cannot be used.
    """
    if settings.name not in DATASETS:
        raise DataError(f"dataset.name {settings.name!r} is unknown{nearest(settings.name, DATASETS)}")
    spec = DATASETS[settings.name]
    size = settings.image_size or spec.size
    read = _read(settings, spec, size, reporter or Silent())
    train = _subset(read, settings)
    _require_enough(read.labels[train], read.classes)
    weights, fitness = (_part(read, rows, size, device) for rows in _fitness_split(read, train, settings))
    if spec.classes is None:
        (reporter or Silent()).line(_found(read, weights, fitness))
    mean, std = _statistics(weights.images)
    return ImageData(
        name=settings.name,
        classes=read.classes,
        weights=weights,
        fitness=fitness,
        mean=mean,
        std=std,
        flip=spec.flip if settings.flip is None else settings.flip,
        crop=_crop(settings, spec, weights.images.shape[2]),
        digest=_digest([weights, fitness]),
        _test=_part(read, _mixed(read.test), size, device),
    )


def _found(read: Images, weights: Part, fitness: Part) -> str:
    """What was found in a folder of images, in words."""
    counts = np.bincount(read.labels)
    least, most = int(counts.argmin()), int(counts.argmax())
    channels, height, width = weights.images.shape[1:]
    found = f"from {read.classes[least]!r} ({counts[least]:,} images) to {read.classes[most]!r} ({counts[most]:,})"
    if counts[least] == counts[most]:
        found = f"each of {counts[most]:,} images"
    return (
        f"found {len(read.classes)} classes, {found}, held as {'grey' if channels == 1 else 'RGB'} of {width}x{height} "
        f"pixels: {len(weights):,} for weights, {len(fitness):,} for fitness, {len(read.test):,} for the test"
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


def _read(settings: DatasetSettings, spec: Spec, size: int | None, reporter: Reporter) -> Images:
    if settings.name == "digits":
        if settings.dir is not None:
            raise DataError(
                "digits come with evonas and are read from no folder; leave --data-dir out, or name "
                "the data set that is there (--dataset imagefolder for images of your own)"
            )
        return _read_digits()
    if spec.torchvision is None:
        if settings.dir is None:
            raise DataError(f"{settings.name} needs --data-dir with train/<class>/* and test/<class>/*, or <class>/*")
        if not Path(settings.dir).is_dir():
            raise DataError(f"--data-dir {settings.dir} is no folder; give the one that holds the images")
        return _read_folders(Path(settings.dir), None, size, reporter)
    classes = CLASS_NAMES.get(settings.name)
    if settings.dir is None:
        cache = Path(os.environ.get("EVONAS_DATA_DIR", Path.home() / ".cache" / "evonas")) / settings.name
        return _read_torchvision(spec.torchvision, cache, classes, download=True)
    folder = Path(settings.dir)
    if not folder.is_dir():
        raise DataError(f"--data-dir {folder} is no folder; give the one that holds {settings.name}")
    if (folder / "train").is_dir():
        return _read_folders(folder, classes, size, reporter)
    above = folder.absolute().parent
    if folder.name in ("train", "test") and all((above / split).is_dir() for split in ("train", "test")):
        raise DataError(f"--data-dir {folder} is one split of a data set; give the folder of both, {above}")
    return _read_torchvision(spec.torchvision, folder, classes, download=False)


def _read_digits() -> Images:
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return _with_drawn_test(images, bunch.target, tuple(str(name) for name in bunch.target_names))


def _with_drawn_test(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> Images:
    """Images without a test part of their own: the same stratified share of them, whatever the settings."""
    _require_enough(labels, classes, LEAST_TO_SPLIT_TWICE)
    train, test = _split(np.arange(len(labels)), labels, DRAWN_TEST_SHARE, TEST_SPLIT_SEED)
    return Images(images, labels, train, test, classes)


def _read_folders(folder: Path, classes: tuple[str, ...] | None, size: int | None, reporter: Reporter) -> Images:
    """From folders; `classes` are those of a known data set, in the official order of its labels."""
    listing = list_images(folder, classes)
    # Told before the images are decoded, which may take minutes.
    in_training = listing.labels[: len(listing.files) - listing.tests]
    _require_enough(in_training, listing.classes, 3 if listing.tests else LEAST_TO_SPLIT_TWICE)
    images = images_of(folder, listing.files, None if size is None else (size, size), reporter)
    if not listing.tests:
        return _with_drawn_test(images, listing.labels, listing.classes)
    rows = np.arange(len(listing.files))
    return Images(images, listing.labels, rows[: -listing.tests], rows[-listing.tests :], listing.classes)


def _read_torchvision(kind: str, folder: Path, classes: tuple[str, ...] | None, download: bool) -> Images:
    """Both splits in torchvision's layout. Raises DataError where they are not there or are not the published files.

    classes: None for the names that torchvision has, or the numbers of the labels where it has none.

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
    (first, labels), (second, more) = _arrays(train), _arrays(test)
    rows = np.arange(len(labels) + len(more))
    both = np.concatenate([first, second]), np.concatenate([labels, more])
    return Images(*both, rows[: len(labels)], rows[len(labels) :], classes or _class_names(train, both[1]))


def _class_names(dataset: Any, labels: np.ndarray) -> tuple[str, ...]:
    """The names of the labels, which folders can have too: without a slash."""
    names = getattr(dataset, "classes", None) or range(int(labels.max()) + 1)
    return tuple(str(name).replace("/", "_") for name in names)


def _arrays(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, C, H, W) and labels of a data set of torchvision: kept in three layouts, and under two names."""
    images = np.asarray(dataset.data)
    labels = np.asarray(dataset.labels if hasattr(dataset, "labels") else dataset.targets)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] != 3:  # SVHN comes as (N, C, H, W), CIFAR as (N, H, W, C)
        images = images.transpose(0, 3, 1, 2)
    return images, labels


# Splitting ------------------------------------------------------------------------------------------------------


def _split(rows: np.ndarray, labels: np.ndarray, second: int | float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stratified split of rows into two, each in a seeded random order. labels: of all images, (N,).

    second: rows of the second part if an int, their share if a float. Raises ValueError where a part would be smaller
    than the number of classes.
    """
    first, other = train_test_split(rows, test_size=second, stratify=labels[rows], random_state=seed)
    return first, other


def _fitness_split(read: Images, train: np.ndarray, settings: DatasetSettings) -> tuple[np.ndarray, np.ndarray]:
    try:
        return _split(train, read.labels, settings.fitness_share, settings.split_seed)
    except ValueError as error:
        raise DataError(
            f"{len(train)} training images cannot be split with dataset.fitness_share {settings.fitness_share:g} "
            f"({error}); give more images, or a share nearer to 0.5"
        ) from None


def _subset(read: Images, settings: DatasetSettings) -> np.ndarray:
    """Rows of the training images in use."""
    wanted, available, classes = settings.train_images, len(read.train), len(read.classes)
    _require_enough(read.labels[read.train], read.classes)
    if wanted is None or wanted == available:
        return read.train
    if wanted > available:
        raise DataError(f"dataset.train_images is {wanted}, and {settings.name} has {available}; ask for fewer")
    if wanted < 4 * classes:
        raise DataError(f"dataset.train_images is {wanted}; {classes} classes need at least {4 * classes}")
    if available - wanted < classes:  # a stratified draw leaves out one of each class at least
        raise DataError(
            f"dataset.train_images is {wanted} of {available}; ask for at most {available - classes}, or null for all"
        )
    return _split(read.train, read.labels, wanted, settings.split_seed)[1]


def _mixed(test: np.ndarray) -> np.ndarray:
    """In an order that mixes the classes: files come class by class, and statistics of such a batch would be skewed."""
    return test[np.random.default_rng(TEST_ORDER_SEED).permutation(len(test))]


def _require_enough(labels: np.ndarray, classes: tuple[str, ...], least: int = 3) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < least:
        name = classes[int(counts.argmin())]
        raise DataError(f"class {name!r} has {counts.min()} training images; at least {least} are needed to split them")


def _part(read: Images, rows: np.ndarray, size: int | None, device: torch.device) -> Part:
    images = torch.from_numpy(np.ascontiguousarray(read.arrays[rows]))
    if size is not None and images.shape[2:] != (size, size):
        from torchvision.transforms.v2 import functional as resizing

        chunks = torch.split(images, 4096)
        images = torch.cat([resizing.resize(chunk, [size, size], antialias=True) for chunk in chunks])
    return Part(images.to(device), torch.from_numpy(read.labels[rows].astype(np.int64)).to(device))


def _digest(parts: list[Part]) -> str:
    """SHA-256 over images and labels of the parts, in order: equal where and only where the split is the same."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(str(tuple(part.images.shape)).encode())
        sha.update(part.images.cpu().numpy().reshape(-1).data)
        sha.update(part.labels.cpu().numpy().data)
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
