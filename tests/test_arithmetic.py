"""Micro-batches when memory is short, and reduced precision held against float32."""

import pytest
import torch
from torch import nn

from evonas.arithmetic import Arithmetic, MicroBatches
from evonas.errors import TrainingError


def gradients(splits: MicroBatches, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of a step on a device that has room for `limit` images."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(5, 3)
    with torch.no_grad():
        model.weight.copy_(torch.randn(3, 5, generator=generator))
        model.bias.zero_()
    images, labels = torch.randn(24, 5, generator=generator), torch.arange(24) % 3

    def part(rows: slice, share: float) -> torch.Tensor:
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows]) * share
        loss.backward()
        if rows.stop - rows.start > limit:
            raise torch.cuda.OutOfMemoryError("after the gradients were there")
        return loss.detach()

    loss = splits.run(24, part, model.zero_grad)
    assert model.weight.grad is not None
    return loss, model.weight.grad


def test_a_shortage_of_memory_halves_the_micro_batch_and_changes_no_gradient() -> None:
    lines: list[str] = []
    whole, split = MicroBatches(), MicroBatches(lines.append)
    expected, found = gradients(whole, 24), gradients(split, 7)
    assert (whole.parts, split.parts) == (1, 4)
    for a, b in zip(expected, found, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert lines == [
        "memory is short: from now on a step of 24 images is made in 2 parts",
        "memory is short: from now on a step of 24 images is made in 4 parts",
    ]
    gradients(split, 7)
    assert len(lines) == 2, "what was learnt is kept"


def test_a_step_of_which_no_image_fits_ends_in_one_line() -> None:
    with pytest.raises(TrainingError, match="no memory for a single image"):
        gradients(MicroBatches(), 0)


def test_bfloat16_is_near_float32() -> None:
    model, images = nn.Conv2d(3, 8, 3), torch.randn(2, 3, 9, 9)
    with torch.no_grad(), Arithmetic(precision=torch.bfloat16).autocast():
        reduced = model(images)
    with torch.no_grad(), Arithmetic().autocast():
        full = model(images)
    assert (full.dtype, reduced.dtype) == (torch.float32, torch.bfloat16)
    assert torch.allclose(full, reduced.float(), atol=0.03)
