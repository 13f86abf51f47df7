"""Published networks, by space and name."""

from __future__ import annotations

from evonas.spaces.base import Genotype
from evonas.spaces.darts import genotype_of

NAMED: dict[str, dict[str, Genotype]] = {
    "darts": {
        # Second order, CIFAR-10 (arXiv 1806.09055).
        "darts-v2": genotype_of(
            normal=[
                ("sep_conv_3x3", 0),
                ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 0),
                ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 1),
                ("skip_connect", 0),
                ("skip_connect", 0),
                ("dil_conv_3x3", 2),
            ],
            reduce=[
                ("max_pool_3x3", 0),
                ("max_pool_3x3", 1),
                ("skip_connect", 2),
                ("max_pool_3x3", 1),
                ("max_pool_3x3", 0),
                ("skip_connect", 2),
                ("skip_connect", 2),
                ("max_pool_3x3", 1),
            ],
        ),
        # CIFAR-10 (arXiv 1907.05737).
        "pc-darts": genotype_of(
            normal=[
                ("sep_conv_3x3", 1),
                ("skip_connect", 0),
                ("sep_conv_3x3", 0),
                ("dil_conv_3x3", 1),
                ("sep_conv_5x5", 0),
                ("sep_conv_3x3", 1),
                ("avg_pool_3x3", 0),
                ("dil_conv_3x3", 1),
            ],
            reduce=[
                ("sep_conv_5x5", 1),
                ("max_pool_3x3", 0),
                ("sep_conv_5x5", 1),
                ("sep_conv_5x5", 2),
                ("sep_conv_3x3", 0),
                ("sep_conv_3x3", 3),
                ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 2),
            ],
        ),
        # CIFAR-10 (arXiv 1904.12760).
        "p-darts": genotype_of(
            normal=[
                ("skip_connect", 0),
                ("dil_conv_3x3", 1),
                ("skip_connect", 0),
                ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 1),
                ("sep_conv_3x3", 3),
                ("sep_conv_3x3", 0),
                ("dil_conv_5x5", 4),
            ],
            reduce=[
                ("avg_pool_3x3", 0),
                ("sep_conv_5x5", 1),
                ("sep_conv_3x3", 0),
                ("dil_conv_5x5", 2),
                ("max_pool_3x3", 0),
                ("dil_conv_3x3", 1),
                ("dil_conv_3x3", 1),
                ("dil_conv_5x5", 3),
            ],
        ),
    },
}
