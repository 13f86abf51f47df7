"""Minutes to a given quality of ranking: Kendall's tau of an nb-macro supernet over the seconds of its warm-up.

    python tests/benchmarks/ranking.py --data-dir DIR [--epochs 16] [--every 2] [--genotypes 200] [--set KEY=VALUE]

DIR: CIFAR-10. The truth is the shipped table of NAS-Bench-Macro. Genotypes drawn uniformly are scored by loss on images
that train nothing. One JSON line every few epochs; seconds are those of training. The rate falls along a cosine,
which makes the last line the one that counts.

Images are shrunk to 16x16 pixels and not cropped at random, which a few epochs do not gain from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from figures import DEVICE, prepare, report, seconds
from scipy.stats import kendalltau

from evonas.arithmetic import Arithmetic
from evonas.config import build, with_assignments
from evonas.data import load
from evonas.networks import build_supernet, initialised
from evonas.search.base import random_networks
from evonas.seeding import Seeds
from evonas.spaces import build_space
from evonas.supernet.measuring import Measurer
from evonas.supernet.training import SupernetTrainer
from evonas.table import as_truth, read


def main() -> None:
    """Train, and score now and then."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=2, metavar="EPOCHS", help="between two lines")
    parser.add_argument("--genotypes", type=int, default=200)
    parser.add_argument("--drawn-from", type=int, default=0, metavar="SEED", help="of the draw of genotypes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments")
    chosen = parser.parse_args()
    prepare(chosen.threads)
    base = {
        "dataset": {
            "name": "cifar10",
            "dir": str(chosen.data_dir.absolute()),
            "image_size": 16,
            "crop": 0,
            "fitness_share": 0.1,
        },
        "space": {"name": "nb-macro", "width": 16},
        "supernet": {"epochs": chosen.epochs, "batch_size": 128, "lr": 0.15, "lr_end": 0.0},
        "measure": {"batch_size": 500},
    }
    settings = build(with_assignments(base, chosen.assignments))
    data = load(settings.dataset, torch.device(DEVICE))
    space = build_space(settings.space)
    arithmetic = Arithmetic.named(DEVICE, "channels_last", "float32")
    seeds = Seeds(settings.seed)
    with initialised(seeds.number("supernet.weights")):
        supernet = arithmetic.placed(build_supernet(space, 3, len(data.classes)))
    trainer = SupernetTrainer(space, supernet, data, settings.supernet, settings.finetune, seeds, arithmetic)
    measurer = Measurer(supernet, data, settings.measure, arithmetic)
    columns = as_truth("nb-macro", settings.table)
    assert columns.report is not None
    truth = read(columns, space).truth(columns.report)
    genotypes = random_networks(space, chosen.genotypes, Seeds(chosen.drawn_from).numpy("benchmark"))
    accuracies = [truth[genotype] for genotype in genotypes]
    spent = 0.0
    for epoch in range(chosen.epochs):
        spent += seconds(lambda epoch=epoch: trainer.warm_up_epoch(epoch))  # type: ignore[misc]
        if (epoch + 1) % chosen.every and epoch + 1 < chosen.epochs:
            continue
        losses = np.array([loss for _, loss in measurer.measure(genotypes)])
        passes = (epoch + 1) * trainer.steps_per_epoch * settings.supernet.batch_size
        tau = kendalltau(-losses, accuracies).statistic
        about = {"seconds": round(spent, 1), "images": passes, "images_per_second": round(passes / spent)}
        report("Kendall's tau by loss", [tau], seed=settings.seed, genotypes=chosen.genotypes, **about)


if __name__ == "__main__":
    main()
