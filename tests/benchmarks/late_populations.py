"""Writes populations.json: genotypes of generations 5, 10 and the last of searches on digits, for `population.py`.

    python tests/benchmarks/late_populations.py [--seed 0]

One search for each depth, in the space that is timed but half as wide. Genotypes are strings of one digit a gene.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

from population import LATE, OPERATIONS, POPULATION, STAGES, STRIDES

from evonas.config import build, with_assignments
from evonas.experiment import start
from evonas.progress import Silent

GENERATIONS = {"generation 5": 5, "generation 10": 10, "last generation": 15}


def main() -> None:
    """Search at every depth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    found = {layers: searched(layers, seed) for layers in STAGES}
    LATE.write_text(json.dumps({"seed": seed, "populations": found}, indent=1) + "\n")


def searched(layers: int, seed: int) -> dict[str, list[str]]:
    """The populations of one search."""
    chain = {"layers": STAGES[layers], "strides": STRIDES, "operations": OPERATIONS, "width": 8}
    settings = build(
        with_assignments(
            {"space": chain, "seed": seed, "threads": 1, "dataset": {"fitness_share": 0.3}},
            [
                "supernet.epochs=10",
                "finetune.epochs=1",
                f"search.population={POPULATION}",
                f"search.generations={max(GENERATIONS.values()) + 1}",
                "retrain.epochs=1",
                "retrain.references=0",
            ],
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        start(settings, run, Silent())
        with (run / "history.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["origin"] != "final"]
    return {
        name: ["".join(map(str, json.loads(row["genotype"]))) for row in rows if int(row["generation"]) == generation]
        for name, generation in GENERATIONS.items()
    }


if __name__ == "__main__":
    main()
