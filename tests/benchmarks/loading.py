"""Batches of augmented images: torchvision's transforms in a DataLoader against batches from a resident tensor.

    python tests/benchmarks/loading.py [--images 5000] [--batch 96] [--workers 0 2]

Both crop at random with 4 pixels of padding, flip, and normalise images of 32x32 pixels. The value is images a second
of ours to theirs; workers of the DataLoader persist, so that their start is not in the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from figures import DEVICE, in_turn, noise, prepare, report
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from evonas.arithmetic import Arithmetic
from evonas.data import ImageData
from evonas.seeding import Seeds
from evonas.supernet.training import BatchSource


class Pictures(Dataset[Any]):
    """CIFAR as torchvision keeps it: arrays that become PIL images one by one."""

    def __init__(self, data: ImageData, transform: Any) -> None:
        self._arrays = data.weights.images.cpu().permute(0, 2, 3, 1).numpy()
        self._labels = data.weights.labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self._transform(Image.fromarray(self._arrays[index])), self._labels[index]


def main() -> None:
    """Compare with each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    for name, value in (("images", 5_000), ("batch", 96)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    prepare()
    data = noise(chosen.images, 32)
    source = BatchSource(data, Seeds(0), Arithmetic.named(DEVICE, "channels_last", "float32"))
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.mean, data.std),
        ]
    )
    for workers in chosen.workers:
        loader = DataLoader(
            Pictures(data, transform),
            chosen.batch,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            persistent_workers=workers > 0,
        )
        ratios = in_turn(
            lambda it=loader: exhaust(iter(it)),  # type: ignore[misc]
            lambda: exhaust(source.epoch(data.weights, chosen.batch, "bench", 0)),
        )
        about = {"workers": workers, "images": chosen.images, "batch": chosen.batch, "pixels": 32}
        report("images per second, ours / torchvision's DataLoader", ratios, 10.0, **about)


def exhaust(batches: Iterator[Any]) -> None:
    """Fetch every batch onto the device."""
    for images, labels in batches:
        images.to(DEVICE), labels.to(DEVICE)


if __name__ == "__main__":
    main()
