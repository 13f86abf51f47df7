"""The small-model trap on NAS-Bench-Macro with a simulated learning curve: plain NSGA-II against `search.protect`.

State t adds `handicap * share * exp(-t / decay)` points to the true error of a network, where share is its place
between the fewest (0) and the most parameters (1): large networks learn more slowly. A benchmark and no test:
    python tests/benchmarks/small_models.py [SEEDS]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from evonas.config import Settings, read_yaml, shipped, with_assignments
from evonas.plan import algorithm, check
from evonas.search.final import candidates
from evonas.search.fitness import Measurement
from evonas.search.loop import search
from evonas.seeding import Seeds
from evonas.spaces import Genotype, build_space
from evonas.table import read
from evonas.table_search import effective
from problems.fronts import hypervolume
from problems.tabular import TabularProblem

CURVES = ((0.0, 5.0), (10.0, 5.0), (30.0, 5.0), (30.0, 10.0))  # handicap in points, decay in generations
GENERATIONS, POPULATION = 20, 20


class Learning(TabularProblem):
    """The table, with a handicap that shrinks from state to state."""

    def __init__(self, curve: tuple[float, float], *args: Any) -> None:
        super().__init__(*args)
        self.curve = curve
        self.state = -1

    def adapt(self, region: Sequence[Genotype]) -> None:
        """A new state: nothing that was measured counts any more."""
        self.state += 1
        self._measured.clear()

    def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N803
        super()._evaluate(X, out)
        low, high = self._range("params")
        share = (out["params"] - low) / (high - low)
        handicap, decay = self.curve
        out["F"][:, 0] += handicap * share * math.exp(-self.state / decay)


def settings(protect: bool) -> Settings:
    """NSGA-II on the shipped table."""
    path = shipped("table")
    assert path is not None
    changes = [f"search.population={POPULATION}", f"search.generations={GENERATIONS}", "search.evaluations=null"]
    return effective(
        check(with_assignments(read_yaml(path), [*changes, "search.algorithm=nsga2", f"search.protect={protect}"]))
    )


def run(chosen: Settings, curve: tuple[float, float], seed: int) -> tuple[float, float]:
    """Share of the true front's hypervolume by true errors, and the highest true accuracy of the final front."""
    space = build_space(chosen.space)
    table = read(chosen.table, space)
    problem = Learning(curve, space, table, chosen.table, ("error", "params"))
    generations: list[list[Measurement]] = []
    search(
        algorithm(chosen, space, problem, Seeds(seed)),
        problem,
        generations=GENERATIONS,
        record=lambda generation, population, measured, spent: generations.append(list(measured)),
    )
    final = candidates(space, generations, POPULATION)
    rows = [table.row(genotype, space) for genotype in final]
    error = 100.0 - table.numbers("mean_acc", rows)
    values = np.column_stack([error, table.numbers("params", rows)])
    _, true = TabularProblem(space, table, chosen.table, ("error", "params")).true_front()
    box = [(true[:, 0].min(), 12.0), problem.objective_bounds[1]]  # beyond 12 % the front is hardly of interest
    return hypervolume(values, box) / hypervolume(true, box), 100.0 - float(error.min())


def main() -> None:
    """Both forms on the same seeds, as a Markdown table: means with 95 % intervals, and of the paired differences."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    lines = [
        "| handicap, decay | survival | share of the true hypervolume | best true accuracy (%) |",
        "| --- " * 4 + "|",
    ]
    for curve in CURVES:
        plain, protected = (
            np.array([run(settings(protect), curve, seed) for seed in range(seeds)]) for protect in (False, True)
        )
        for name, values in (("plain", plain), ("protected", protected), ("difference", protected - plain)):
            sign = "+" if name == "difference" else ""
            half = 1.96 * values.std(axis=0, ddof=1) / seeds**0.5
            share, accuracy = (f"{mean:{sign}.4f} ± {h:.4f}" for mean, h in zip(values.mean(axis=0), half, strict=True))
            lines.append(f"| {curve[0]:g}, {curve[1]:g} | {name} | {share} | {accuracy} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
