"""Classes of image files by the best network of a run, read and resized as the images it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from evonas.augmentation import Normaliser
from evonas.errors import DataError
from evonas.found import describe, load
from evonas.image_files import read_images

BATCH = 256  # images that are held at once


class Prediction(NamedTuple):
    """What an image is held for. probabilities: by class, in the order of the network's logits; they sum to one."""

    file: Path
    probabilities: dict[str, float]

    @property
    def best(self) -> str:
        """The class with the highest probability, the first of equals."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


def predict(run: Path, files: Sequence[Path]) -> Iterator[Prediction]:
    """Softmax probabilities of each image, in order, by the retrained best of a run.

    Images are decoded, brought to the run's channels and resized to its (H, W) as they are asked for. Raises, at the
    first of them, RunError where the run has no such network, ConfigError as `evonas.load` does, DataError that names a
    file which is missing; later DataError that names one which is no image.
    """
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        what = "is a folder" if missing.is_dir() else "does not exist"
        raise DataError(f"{missing} {what}; give image files, as in `evonas predict {run} photos/*.jpg`")
    about, network = describe(run), load(run)
    channels, height, width = about.image_shape
    normaliser = Normaliser(about.mean, about.std, torch.device("cpu"))
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        images = torch.from_numpy(read_images(part, channels, (height, width)))
        with torch.inference_mode():
            found = network(normaliser(images)).softmax(dim=1)
        for file, row in zip(part, found.tolist(), strict=True):
            yield Prediction(file, dict(zip(about.classes, row, strict=True)))
