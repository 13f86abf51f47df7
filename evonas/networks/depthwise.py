"""Depthwise convolution whose gradients are fast on the CPU; its values and its parameters are those of nn.Conv2d.

oneDNN has fast kernels for the gradients of a depthwise convolution without dilation, that of the weight up to three
columns. Beyond, it takes others that are up to ten times slower and cost more than the rest of a block. So here

- the weight gradient of a wide kernel is put together from tiles that the fast kernel takes, since that of each tap
  depends on that tap alone;
- the gradients of a dilated convolution are taken on the grids of pixels between which it carries nothing, as those of
  a convolution without dilation.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TILE = 3  # columns that the fast kernel takes


class DepthwiseConv2d(nn.Conv2d):
    """nn.Conv2d of one group a channel and a square odd kernel, "same" padding, no bias; (N, C, H, W) float.

    stride: 1, or any without dilation, or the dilation.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H/stride, W/stride)."""
        slow = self.kernel_size[1] > TILE or self.dilation[0] > 1
        if slow and input.device.type == "cpu" and input.dtype == torch.float32 and torch.is_grad_enabled():
            return cast(Tensor, _FastGradients.apply(input, self.weight, self.stride[0], self.dilation[0]))
        return super().forward(input)


class _FastGradients(torch.autograd.Function):
    @staticmethod
    def forward(images: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        padding = dilation * (weight.shape[-1] // 2)
        return F.conv2d(images, weight, None, stride, padding, dilation, groups=len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
        images, weight, ctx.stride, ctx.dilation = inputs
        ctx.save_for_backward(images, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = ctx.saved_tensors
        shape, stride, dilation = images.shape, ctx.stride, ctx.dilation
        if dilation > 1:
            grids = 1 if stride > 1 else dilation  # a stride as long as the dilation reads one grid alone
            images, gradient = _apart(images, dilation, grids), _apart(gradient, grids, grids)
            stride = 1
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = _torch_gradients(gradient, images, weight, stride, _same(weight))[0]
            if dilation > 1:
                of_images = _together(of_images, shape, dilation, grids)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient, images, weight, stride)
        return of_images, of_weight, None, None


def _same(weight: Tensor) -> tuple[int, int]:
    return (weight.shape[-1] // 2,) * 2


def _weight_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: int) -> Tensor:
    """(C, 1, K, K), tile by tile."""
    kernel = weight.shape[-1]
    if kernel <= TILE:
        return _torch_gradients(gradient, images, weight, stride, _same(weight), of_weight=True)[1]
    tall = images.shape[2] >= kernel  # else the fast kernel takes no more rows than columns
    rows = kernel if tall else TILE
    result = torch.empty_like(weight)
    for row in [0] if tall else _starts(kernel):
        for column in _starts(kernel):
            left, right = _pads(images.shape[3], gradient.shape[3], kernel, stride, column)
            top, bottom = (0, 0) if tall else _pads(images.shape[2], gradient.shape[2], kernel, stride, row)
            padded = F.pad(images, (left, right, top, bottom))
            tile = weight.new_empty(len(weight), 1, rows, TILE)  # torch asks for the weight and reads its shape alone
            padding = (kernel // 2 if tall else 0, 0)
            found = _torch_gradients(gradient, padded, tile, stride, padding, of_weight=True)[1]
            result[:, :, row : row + rows, column : column + TILE] = found
    return result


def _starts(kernel: int) -> list[int]:
    """First taps of the tiles that cover a kernel; the last may overlap the one before."""
    return [min(start, kernel - TILE) for start in range(0, kernel, TILE)]


def _pads(size: int, outputs: int, kernel: int, stride: int, start: int) -> tuple[int, int]:
    """Padding before and after (negative: cropping) that brings tap `start` to the first pixel of a side."""
    before = kernel // 2 - start
    return before, stride * (outputs - 1) + TILE - size - before


def _apart(images: Tensor, step: int, grids: int) -> Tensor:
    """(N, C, H, W) to (grids * grids * N, C, ceil(H/step), ceil(W/step)): every step-th pixel, a grid after another."""
    height, width = images.shape[2:]
    padded = F.pad(images, (0, -width % step, 0, -height % step))
    return torch.cat([padded[:, :, i::step, j::step] for i in range(grids) for j in range(grids)])


def _together(parts: Tensor, shape: torch.Size, step: int, grids: int) -> Tensor:
    """The inverse of `_apart`; zero where no grid was taken."""
    images, _, height, width = shape
    result = parts.new_zeros(images, shape[1], height, width).contiguous(memory_format=torch.channels_last)
    places = ((i, j) for i in range(grids) for j in range(grids))
    for part, (i, j) in zip(parts.chunk(grids * grids), places, strict=True):
        target = result[:, :, i::step, j::step]
        target.copy_(part[:, :, : target.shape[2], : target.shape[3]])
    return result


def _torch_gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], of_weight: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """torch's own backward pass, for the images or for the weight."""
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        gradient, images, weight, None, [stride] * 2, padding, [1, 1], False, [0, 0], len(weight),
        [not of_weight, of_weight, False],
    )  # fmt: skip
