"""The data sets that evonas knows by name. No torch, so that naming one costs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """What is known of a data set before it is read; null of a folder of images, where the images tell."""

    title: str
    classes: int | None
    size: int | None
    flip: bool
    crop: int | None
    torchvision: str | None = None


DATASETS: dict[str, Spec] = {
    "digits": Spec("handwritten digits, 1,797 of 8x8, grey, 10 classes; in scikit-learn", 10, 8, False, 1),
    "cifar10": Spec("CIFAR-10, 60,000 of 32x32, colour, 10 classes", 10, 32, True, 4, "CIFAR10"),
    "cifar100": Spec("CIFAR-100, 60,000 of 32x32, colour, 100 classes", 100, 32, True, 4, "CIFAR100"),
    "fashion_mnist": Spec("Fashion-MNIST, 70,000 of 28x28, grey, 10 classes", 10, 28, True, 2, "FashionMNIST"),
    "svhn": Spec("SVHN, 99,289 of 32x32, colour, 10 classes", 10, 32, False, 2, "SVHN"),
    "imagefolder": Spec("your own images: --data-dir with <class>/*, or train/ and test/", None, None, True, None),
}
