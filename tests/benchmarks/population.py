"""Measuring a population one by one against measuring it as a tree of prefixes.

    python tests/benchmarks/population.py [--layers 8] [--statistics batch] [--pixels 16] [--images 100]

Populations of 50: random ones, and those of generations 5, 10 and the last of a search on digits in a like space, at
depths of 6, 8, 12 and 20 layers.
Each line has beside the ratio of the times that of the multiply-adds, which counts no batch norm and no memory traffic.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from figures import in_turn, made, noise, prepare, report
from torch import nn

from evonas.complexity import count
from evonas.config import MeasureSettings
from evonas.networks import build_supernet
from evonas.spaces.base import Genotype, Space
from evonas.supernet.measuring import Measurer
from evonas.supernet.prefix_tree import PrefixTree

STAGES = {6: [2, 2, 2], 8: [2, 3, 3], 12: [4, 4, 4], 20: [6, 7, 7]}
STRIDES, OPERATIONS = [1, 2, 2], ["skip", "mb3x3", "mb5x6"]
POPULATION = 50
LATE = Path(__file__).with_name("populations.json")
GOALS = {("random", 8): 1.9}


def main() -> None:
    """Compare at each depth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", choices=STAGES, default=[8])
    parser.add_argument("--statistics", choices=["batch", "recalibrate", "running"], default="batch")
    for name, value in (("pixels", 16), ("images", 100), ("width", 16), ("threads", 1), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    prepare(chosen.threads)
    for layers in chosen.layers:
        compare(layers, chosen)


def compare(layers: int, chosen: argparse.Namespace) -> None:
    """The lines of one depth."""
    chain = {"layers": STAGES[layers], "strides": STRIDES, "operations": OPERATIONS, "width": chosen.width}
    _, space, supernet, arithmetic = made(chain)
    data = noise(chosen.images, chosen.pixels)

    def measurer(shared_mib: int) -> Measurer:
        settings = MeasureSettings(
            batch_norm=chosen.statistics,
            batch_size=chosen.images,
            calibration_images=chosen.images,
            shared_mib=shared_mib,
        )
        return Measurer(supernet, data, settings, arithmetic)

    alone, together = measurer(0), measurer(1024)
    for name, genotypes in populations(space, layers, chosen.seed).items():
        assert together.measure(genotypes) == alone.measure(genotypes)
        report(
            "population one by one / by the tree",
            in_turn(lambda g=genotypes: alone.measure(g), lambda g=genotypes: together.measure(g)),  # type: ignore[misc]
            GOALS.get((name, layers)),
            multiply_adds=round(multiply_adds(space, genotypes, chosen.pixels), 3),
            layers=layers,
            population=name,
            networks=len(genotypes),
            statistics=chosen.statistics,
            images=chosen.images,
            pixels=chosen.pixels,
            width=chosen.width,
        )


def populations(space: Space, layers: int, seed: int) -> dict[str, list[Genotype]]:
    """Different networks, at most 50: drawn, and of three generations of a search, from `late_populations.py`."""
    rng = np.random.default_rng(seed)
    drawn = {"random": [space.sample(rng) for _ in range(POPULATION)]}
    late = json.loads(LATE.read_text())["populations"][str(layers)]
    drawn |= {name: [tuple(map(int, genotype)) for genotype in members] for name, members in late.items()}
    return {name: list(dict.fromkeys(genotypes)) for name, genotypes in drawn.items()}


def multiply_adds(space: Space, genotypes: Sequence[Genotype], pixels: int) -> float:
    """Those of all networks, to those of the nodes of their tree."""
    with torch.device("meta"):
        supernet = build_supernet(space, 3, 10)
    paths: list[list[nn.Module]] = [[part for _, part in supernet.path(genotype)] for genotype in genotypes]
    tree = PrefixTree(paths)
    nodes: dict[int, int] = {}
    total = 0
    for position, numbers in zip(tree.order, tree.nodes, strict=True):
        shape: tuple[int, ...] = (3, pixels, pixels)
        for number, part in zip(numbers, paths[position], strict=True):
            cost, shape = count(part, shape)
            nodes[number] = cost.flops
            total += cost.flops
    return total / sum(nodes.values())


if __name__ == "__main__":
    main()
