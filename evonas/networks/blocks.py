"""The blocks of the single-path space. Each maps (N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""

from __future__ import annotations

from torch import Tensor, nn

from evonas.networks.depthwise import DepthwiseConv2d
from evonas.spaces.single_path import Layer, Operation


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, depthwise: bool = False, relu: bool = True
) -> nn.Module:
    """Convolution without bias, batch norm, and ReLU where wanted; "same" padding. depthwise: a kernel a channel."""
    convolution: nn.Module
    if depthwise:
        convolution = DepthwiseConv2d(inputs, kernel, stride)
    else:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    modules: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs)]
    if relu:
        modules.append(nn.ReLU(inplace=True))
    return nn.Sequential(*modules)


class Residual(nn.Module):
    """`body`, added to its input where the layer keeps the shape.

    Shared weights need it: without a residual a layer's input changes altogether with the operation before it, and a
    supernet of plain convolutions hardly learns.
    """

    def __init__(self, layer: Layer, body: nn.Module) -> None:
        super().__init__()
        self.residual = layer.keeps_shape
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        outputs: Tensor = self.body(images)
        return images + outputs if self.residual else outputs


def convolution(layer: Layer, kernel: int) -> nn.Module:
    """One dense convolution."""
    return Residual(layer, conv_bn(layer.inputs, layer.outputs, kernel, layer.stride))


def separable(layer: Layer, kernel: int) -> nn.Module:
    """Depthwise convolution, then 1x1 convolution (MobileNet, arXiv 1704.04861)."""
    depthwise = conv_bn(layer.inputs, layer.inputs, kernel, layer.stride, depthwise=True)
    return Residual(layer, nn.Sequential(depthwise, conv_bn(layer.inputs, layer.outputs, 1)))


def inverted_bottleneck(layer: Layer, kernel: int, expansion: int) -> nn.Module:
    """Expand by 1x1, depthwise, project by 1x1 without ReLU (MobileNetV2, arXiv 1801.04381)."""
    hidden = layer.inputs * expansion
    return Residual(
        layer,
        nn.Sequential(
            conv_bn(layer.inputs, hidden, 1),
            conv_bn(hidden, hidden, kernel, layer.stride, depthwise=True),
            conv_bn(hidden, layer.outputs, 1, relu=False),
        ),
    )


def pooling(pool: nn.Module, layer: Layer) -> nn.Module:
    """Pooling, then batch norm (DARTS does so in its search network) or, where channels change, a 1x1 convolution."""
    if layer.inputs == layer.outputs:
        return nn.Sequential(pool, nn.BatchNorm2d(layer.outputs))
    return nn.Sequential(pool, conv_bn(layer.inputs, layer.outputs, 1, relu=False))


def skip(layer: Layer) -> nn.Module:
    """The identity, or a 1x1 convolution with batch norm where the shape changes (as in NAS-Bench-Macro)."""
    return (
        nn.Identity() if layer.keeps_shape else conv_bn(layer.inputs, layer.outputs, 1, stride=layer.stride, relu=False)
    )


def build_block(operation: Operation, layer: Layer) -> nn.Module:
    """The module of an operation at a layer."""
    kernel = operation.kernel
    match operation.kind:
        case "conv":
            return convolution(layer, kernel)
        case "sep":
            return separable(layer, kernel)
        case "mb":
            return inverted_bottleneck(layer, kernel, operation.expansion)
        case "maxpool":
            return pooling(nn.MaxPool2d(kernel, layer.stride, kernel // 2), layer)
        case "avgpool":
            return pooling(nn.AvgPool2d(kernel, layer.stride, kernel // 2, count_include_pad=False), layer)
        case "skip":
            return skip(layer)
    raise AssertionError(f"no block for {operation.kind}")


def build_stem(channels: int, width: int) -> nn.Module:
    """3x3 convolution from the images' channels to the first stage's width."""
    return conv_bn(channels, width, 3)


def build_head(inputs: int, hidden: int, classes: int) -> nn.Module:
    """Optional 1x1 convolution, average over space, linear classifier: (N, inputs, H, W) to (N, classes)."""
    widen = [conv_bn(inputs, hidden, 1)] if hidden else []
    return nn.Sequential(*widen, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(hidden or inputs, classes))
