"""Normalisation and augmentation of whole batches, on the batch's device, from a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


class Normaliser:
    """uint8 (N, C, H, W) to float32 of the same shape, zero mean and unit deviation a channel (of values / 255).

    Its constants are put on the device once: to copy them there in each step would make the host wait for the device.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(-1, 1, 1)
        self._shift = torch.tensor([m / s for m, s in zip(mean, std, strict=True)], device=device).view(-1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mul_(self._scale).sub_(self._shift)


def augment(images: Tensor, generator: torch.Generator, *, crop: int, flip: bool) -> Tensor:
    """Random crops of the zero-padded images and random flips, one draw an image; uint8 (N, C, H, W) in and out.

    crop: padding in pixels on each side. flip: mirror half of the images. generator: on the images' device.
    """
    n, _, height, width = images.shape
    device = images.device
    mirrored = torch.rand(n, 1, 1, 1, device=device, generator=generator) < 0.5 if flip else None
    if crop:
        down, right = torch.randint(2 * crop + 1, (2, n), device=device, generator=generator)
        # A view of all crops of each image, of which one is copied, whole rows at a time.
        windows = F.pad(images, (crop,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        images = windows[torch.arange(n, device=device), :, down, right]
    return images if mirrored is None else torch.where(mirrored, images.flip(3), images)


def cutout(images: Tensor, generator: torch.Generator, side: int) -> Tensor:
    """Zero a square of `side` pixels, its centre anywhere in the image (arXiv 1708.04552); (N, C, H, W), normalised."""
    n, _, height, width = images.shape
    keep = torch.ones(n, height, width, dtype=torch.bool, device=images.device)
    inside = []
    for size in (height, width):
        centre = torch.randint(size, (n, 1), device=images.device, generator=generator)
        position = torch.arange(size, device=images.device)[None]
        inside.append((position >= centre - side // 2) & (position < centre - side // 2 + side))
    keep &= ~(inside[0][:, :, None] & inside[1][:, None, :])
    return images * keep[:, None]
