"""The fast gradients of depthwise convolutions equal torch's own."""

import pytest
import torch
from torch import nn

from evonas.networks import depthwise
from evonas.networks.depthwise import DepthwiseConv2d

# (kernel, stride, dilation): plain ones, tiles in one and in both directions, both ways of dilation.
SHAPES = [(3, 1, 1), (5, 1, 1), (5, 2, 1), (7, 1, 1), (7, 2, 1), (3, 1, 2), (5, 1, 2), (3, 2, 2), (5, 2, 2)]


def pair(channels: int, kernel: int, stride: int, dilation: int) -> tuple[DepthwiseConv2d, nn.Conv2d]:
    ours = DepthwiseConv2d(channels, kernel, stride, dilation)
    padding = dilation * (kernel // 2)
    plain = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize(("kernel", "stride", "dilation"), SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 5), (7, 3), (9, 12), (16, 16)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_equal_those_of_conv2d(
    kernel: int, stride: int, dilation: int, size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    ours, plain = pair(5, kernel, stride, dilation)
    images = torch.randn(3, 5, *size).contiguous(memory_format=memory_format)
    results = []
    for module in (ours, plain):
        inputs = images.clone().requires_grad_()
        outputs = module(inputs)
        (outputs * torch.linspace(-1, 1, outputs.numel()).view_as(outputs)).sum().backward()
        results.append((outputs, inputs.grad, module.weight.grad))
    (values, *gradients), (expected, *expected_gradients) = results
    assert torch.equal(values, expected)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_gradients_agree_with_finite_differences() -> None:
    # gradcheck works in float64, which the product leaves to torch; the backward pass is the same.
    ours, _ = pair(2, 5, 2, 2)
    images = torch.randn(2, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    weight = ours.weight.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda i, w: depthwise._FastGradients.apply(i, w, 2, 2), (images, weight))


@pytest.mark.parametrize(("frozen", "left"), [("weight", "images"), ("images", "weight")])
def test_only_the_gradients_that_are_asked_for_are_there(frozen: str, left: str) -> None:
    ours, _ = pair(4, 5, 1, 1)
    images = torch.randn(2, 4, 8, 8, requires_grad=frozen != "images")
    ours.weight.requires_grad_(frozen != "weight")
    ours(images).sum().backward()
    gradients = {"weight": ours.weight.grad, "images": images.grad}
    assert gradients[frozen] is None
    assert gradients[left] is not None
