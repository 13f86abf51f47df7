"""From the supernet to a stand-alone network."""

from __future__ import annotations

from torch import nn

from evonas.data import ImageData
from evonas.networks import Supernet, build_subnet
from evonas.spaces.base import Genotype, Space


def extract(space: Space, supernet: Supernet, genotype: Genotype, data: ImageData) -> nn.Module:
    """The genotype's subnet with weights and buffers inherited from the supernet, on the supernet's device.

    Under the same batch-norm statistics and in the same batches it gives the supernet's outputs (float32 on the CPU:
    bit for bit), because it runs the same modules in the same order.
    """
    return inherited(space, supernet, genotype, data.shape[0], len(data.classes))


def inherited(space: Space, supernet: Supernet, genotype: Genotype, channels: int, classes: int) -> nn.Module:
    """The same as `extract`, for images of `channels` channels in `classes` classes."""
    subnet = build_subnet(space, genotype, channels, classes, shared=True)
    weights = {
        f"{name}.{key}": value for name, part in supernet.path(genotype) for key, value in part.state_dict().items()
    }
    subnet.load_state_dict(weights, strict=True)
    reference = next(supernet.parameters())
    return subnet.to(device=reference.device)
