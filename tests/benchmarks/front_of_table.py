"""Our NSGA-II against pymoo's with its default integer operators, on error against multiply-adds of NAS-Bench-201.

Population 50, 20 generations, the same seeds; the last population's share of the true front's hypervolume. A benchmark
and no test:
    python tests/benchmarks/front_of_table.py FILE [SEEDS]
"""

from __future__ import annotations

import sys

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from evonas.config import read_yaml, shipped, with_assignments
from evonas.plan import check
from evonas.spaces import build_space
from evonas.table import read
from evonas.table_search import effective, tabular_problem, trace
from problems.fronts import hypervolume

POPULATION, GENERATIONS = 50, 20


def main() -> None:
    """Means with 95 % intervals, as a Markdown table."""
    path, seeds = shipped("table"), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    assert path is not None
    changes = ["space.name=nb201", f"table.file={sys.argv[1]}", "table.genotype=ops", "table.fitness=c10_test_200"]
    changes += ["table.params=c10_params", "table.flops=c10_flops", "problem.objectives=[error,flops]"]
    changes += [f"search.population={POPULATION}", f"search.generations={GENERATIONS}", "search.evaluations=null"]
    settings = effective(check(with_assignments(read_yaml(path), [*changes, "search.algorithm=nsga2"])))
    space = build_space(settings.space)
    table = read(settings.table, space)
    problem = tabular_problem(settings, space, table)
    bounds = problem.objective_bounds
    whole = hypervolume(problem.true_front()[1], bounds)

    def ours(seed: int) -> np.ndarray:
        chosen = settings.model_copy(update={"seed": seed})
        last = trace(chosen, tabular_problem(chosen, space, table), space).generations[-1]
        return np.array([m.objectives for m in last])

    def plain(seed: int) -> np.ndarray:
        rounded = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}  # pymoo's guide for integers
        operators = {"sampling": IntegerRandomSampling(), "crossover": SBX(**rounded), "mutation": PM(**rounded)}
        algorithm = NSGA2(pop_size=POPULATION, eliminate_duplicates=True, **operators)
        return np.asarray(minimize(problem, algorithm, ("n_gen", GENERATIONS), seed=seed).pop.get("F"))

    kinds = {"evonas": ours, "pymoo": plain}
    found = {
        name: np.array([hypervolume(kind(seed), bounds) / whole for seed in range(seeds)])
        for name, kind in kinds.items()
    }
    found["difference"] = found["evonas"] - found["pymoo"]
    sys.stdout.write("| NSGA-II | share of the true hypervolume |\n| --- | --- |\n")
    for name, shares in found.items():
        sys.stdout.write(f"| {name} | {shares.mean():.5f} ± {1.96 * shares.std(ddof=1) / seeds**0.5:.5f} |\n")


if __name__ == "__main__":
    main()
