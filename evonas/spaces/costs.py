"""Parameters and multiply-adds of layers by arithmetic: each function returns (parameters, multiply-adds)."""

from __future__ import annotations

from collections.abc import Iterable

Counts = tuple[int, int]


def convolution(inputs: int, outputs: int, kernel: int, positions: int, groups: int = 1, norm: bool = True) -> Counts:
    """A convolution without bias, and its batch norm's scale and shift. positions: pixels of the output."""
    weights = inputs // groups * outputs * kernel**2
    return weights + 2 * outputs * norm, weights * positions


def linear(inputs: int, classes: int) -> Counts:
    """A linear layer with bias, whose additions are not counted."""
    return (inputs + 1) * classes, inputs * classes


def total(parts: Iterable[Counts]) -> Counts:
    """The sums over several layers."""
    params, flops = zip(*parts, strict=True)
    return sum(params), sum(flops)
