"""How time grows: measuring with the population and with depth, bookkeeping with the length of the history.

    python tests/benchmarks/growth.py

Each line holds the exponent of time ~ size^exponent between the smallest and the largest size, once a repetition: at
most 1 is no worse than linear; 1.1 is allowed for noise. What networks share lies in their first layers and does not
grow with depth, so that the rest of the work grows by an equal amount a layer, from a smaller beginning: over depth the
size is the number of nodes of the tree, which is the work that there is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figures import PAIRS, made, noise, prepare, report, seconds

from evonas.config import MeasureSettings, build, read_yaml, shipped, with_assignments
from evonas.progress import Silent
from evonas.supernet.measuring import Measurer
from evonas.supernet.prefix_tree import PrefixTree
from evonas.table_search import start

POPULATIONS = (10, 30, 100, 400)
STAGES = {6: [2, 2, 2], 12: [4, 4, 4], 20: [6, 7, 7]}
GENERATIONS = (4, 40)  # some 300 and 20,000 rows


def main() -> None:
    """The three lines."""
    prepare()
    exponents("exponent of measuring over the population", POPULATIONS, [measuring(8, n)[0] for n in POPULATIONS])
    deep = [measuring(layers, 30) for layers in STAGES]
    nodes = [count for _, count in deep]
    exponents("exponent of measuring over depth", nodes, [work for work, _ in deep], layers=list(STAGES))
    searches = [bookkeeping(generations) for generations in GENERATIONS]
    rows = [search() for search in searches]
    exponents("exponent of a search's bookkeeping over its history", rows, searches)


def exponents(figure: str, sizes: Sequence[int], works: Sequence[Callable[[], object]], **about: Any) -> None:
    """Time the works of all sizes in turn, as often as a ratio is timed."""
    for work in works:
        work()
    times = np.array([[seconds(work) for work in works] for _ in range(PAIRS)])
    values = np.log(times[:, -1] / times[:, 0]) / np.log(sizes[-1] / sizes[0])
    medians = [round(float(t), 4) for t in np.median(times, axis=0)]
    report(figure, values, 1.1, sizes=list(sizes), seconds=medians, **about)


def measuring(layers: int, networks: int) -> tuple[Callable[[], object], int]:
    """To measure random networks of a chain of so many layers, in three stages; and the nodes of their tree."""
    stages = STAGES.get(layers, [2, 3, 3])
    chain = {"layers": stages, "strides": [1, 2, 2], "width": 8, "operations": ["skip", "mb3x3", "mb5x6"]}
    _, space, supernet, arithmetic = made(chain)
    rng = np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(networks)]
    measurer = Measurer(supernet, noise(64, 8), MeasureSettings(batch_size=64), arithmetic)
    tree = PrefixTree([[part for _, part in supernet.path(genotype)] for genotype in genotypes])
    return lambda: measurer.measure(genotypes), len({node for nodes in tree.nodes for node in nodes})


def bookkeeping(generations: int) -> Callable[[], int]:
    """A whole search on the shipped table by aging evolution; it returns how many rows its history has."""
    assignments = [f"search.generations={generations}", "search.algorithm=aging", "search.evaluations=null"]
    settings = build(with_assignments({**read_yaml(shipped("table")), "table": {"file": "nb-macro"}}, assignments))

    def search() -> int:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            start(settings, run, Silent())
            return (run / "history.csv").read_bytes().count(b"\n") - 1

    return search


if __name__ == "__main__":
    main()
