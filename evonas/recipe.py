"""What a retraining recipe does to its images and labels, beside crops, flips and cutout: policies and mixing.

These are torchvision's. They draw from torch's global generator alone, which is taken over for each call and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from evonas.config import RetrainSettings


class GlobalDraws:
    """Within it, torch's global generator on the CPU is at a place of its own, which it returns to the next time."""

    def __init__(self, seed: int) -> None:
        self._state = torch.Generator().manual_seed(seed).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        outside = torch.get_rng_state()
        torch.set_rng_state(self._state)
        try:
            yield
        finally:
            self._state = torch.get_rng_state()
            torch.set_rng_state(outside)


def policy(settings: RetrainSettings, seed: int) -> Callable[[Tensor], Tensor]:
    """Augmentation of uint8 images (N, C, H, W) by retrain.policy, drawn for each image by itself.

    torchvision draws once for a batch, so that images go through one by one: this costs time, and is off by default.
    """
    if settings.policy == "none":
        return lambda images: images
    from torchvision.transforms import v2

    transform = {"autoaugment": _autoaugment, "randaugment": v2.RandAugment}[settings.policy]()
    draws = GlobalDraws(seed)

    def apply(images: Tensor) -> Tensor:
        with draws():
            return torch.stack([transform(image) for image in images])

    return apply


def _autoaugment() -> torch.nn.Module:
    from torchvision.transforms import v2

    # Learnt on CIFAR-10 (arXiv 1805.09501).
    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)  # type: ignore[no-any-return]


def mixing(settings: RetrainSettings, classes: int, seed: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Mixup (arXiv 1710.09412) or CutMix (arXiv 1905.04899) of a batch, one of them at random where both are on.

    Images (N, C, H, W) and labels (N,) become images and probabilities (N, classes), where one is on.
    """
    if not settings.mixup and not settings.cutmix:
        return lambda images, labels: (images, labels)
    from torchvision.transforms import v2

    kinds = []
    if settings.mixup:
        kinds.append(v2.MixUp(alpha=settings.mixup, num_classes=classes))
    if settings.cutmix:
        kinds.append(v2.CutMix(alpha=settings.cutmix, num_classes=classes))
    transform = v2.RandomChoice(kinds)
    draws = GlobalDraws(seed)

    def apply(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with draws():
            mixed: tuple[Tensor, Tensor] = transform(images, labels)
        return mixed

    return apply
