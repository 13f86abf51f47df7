"""Run folders written by hand, as a run with full budgets would leave them. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from evonas.config import build, read_yaml, shipped, to_yaml, with_assignments
from evonas.spaces import build_space

CHAIN = ["conv3 3->16", "skip 16->16", "mb3x6 16->32 /2"]
HEADER = "generation,state,genotype,canonical,origin,error,loss,params,flops,seconds\n"
HISTORY = (
    HEADER + '0,0,"[0, 1]","[0, 1]",initial,12.5,0.5,1000,2000,0.1\n'
    '1,1,"[1, 1]","[1, 1]",child,11.5,0.4,1500,2500,0.1\n'
)
GENERATIONS = (
    "generation,state,n,best,median,hypervolume,repairs,seconds\n0,0,1,12.5,12.5,,0,0.1\n1,1,1,11.5,11.5,,0,0.1\n"
)


def write_run(
    path: Path,
    *assignments: str,
    dataset: str = "cifar10",
    seed: int = 0,
    error: object = 2.6,
    days: object = 0.4,
    **changes: Any,
) -> Path:
    """A finished run of the data set's shipped settings with `assignments`; `changes` replace keys of result.json."""
    file = shipped(dataset)
    assert file is not None
    settings = build(with_assignments(read_yaml(file), [f"seed={seed}", *assignments]))
    result = {
        "complete": True,
        "algorithm": settings.search.algorithm,
        "dataset": settings.dataset.name,
        "seed": seed,
        "device": "NVIDIA H100",
        "images": {"weights": 40_000, "fitness": 10_000},
        "search_gpu_days": days,
        "best": {"genotype": [1, 1], "architecture": ["conv3"], "test_error": error, "params": 3_000_000, "flops": 1},
        "unfair": [],
        **changes,
    }
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(to_yaml(settings))
    (path / "history.csv").write_text(HISTORY)
    (path / "generations.csv").write_text(GENERATIONS)
    (path / "pareto.csv").write_text(HISTORY)
    (path / "result.json").write_text(json.dumps(result))
    return path


def write_architecture(run: Path, phrases: object = CHAIN) -> Path:
    """Put an architecture.json beside the best network of a run; the run."""
    (run / "best").mkdir(exist_ok=True)
    (run / "best" / "architecture.json").write_text(json.dumps({"space": {"name": "x"}, "architecture": phrases}))
    return run


def write_correlation(run: Path, scorer: str = "flops") -> None:
    """Put the files of `evonas correlate` into a run, with a scorer of that name."""
    rows = ["state,scorer,region,kendall,kendall_low,kendall_high"]
    for region in ("global", "top10", "top5"):
        rows += [f"{state},supernet loss,{region},0.{state},0.0,0.9" for state in (1, 2)]
        rows.append(f",{scorer},{region},0.5,0.4,0.6")
    (run / "correlation.csv").write_text("\n".join([*rows, ""]))
    drift = "state,previous,scorer,probe,n,drift,self_consistency\n2,1,supernet loss,uniform,9,-0.1,0.8\n"
    (run / "drift.csv").write_text(drift)


def two_objectives(run: Path) -> Path:
    """A run with a front: its history has two generations on states 0 and 1, and two final candidates."""
    rows = [(0, 0, "initial", 9, 100), (0, 0, "initial", 8, 200), (1, 1, "child", 7, 150), (2, 1, "final", 7, 150)]
    text = HEADER + "".join(f'{g},{s},"[{i}]","[{i}]",{o},{e},,{p},1,0\n' for i, (g, s, o, e, p) in enumerate(rows))
    (run / "history.csv").write_text(text)
    (run / "pareto.csv").write_text(HEADER + '2,1,"[2]","[2]",final,7,,150,1,0\n')
    (run / "generations.csv").write_text("generation,state,best,median,hypervolume\n0,0,8,8.5,0.5\n1,1,7,7,0.6\n")
    return run


def long_run(run: Path, rows: int, generations: int) -> Path:
    """A run of two objectives whose history has so many rows, of 100 genotypes of its space, spread over generations.

    Each generation is measured on its own supernet state, and no final front is there.
    """
    settings = write_run(run, "problem.objectives=[error,params]") / "config.yaml"
    space, rng = build_space(build(read_yaml(settings)).space), np.random.default_rng(0)
    genotypes = [json.dumps(space.sample(rng)) for _ in range(100)]
    errors, sizes = 3 + rng.gamma(3, 2, rows), rng.integers(500_000, 4_000_000, rows)
    lines = [HEADER]
    for row, (error, size) in enumerate(zip(errors, sizes, strict=True)):
        generation, genotype = row * generations // rows, genotypes[row % 100]
        lines.append(
            f'{generation},{generation},"{genotype}","{genotype}",child,{error:.3f},0.5,{size},{9 * size},0.1\n'
        )
    (run / "history.csv").write_text("".join(lines))
    lines = [f"{g},{g},{3 + 5 / (g + 1):.4f},{5 + 5 / (g + 1):.4f},0.5\n" for g in range(generations)]
    (run / "generations.csv").write_text("".join(["generation,state,best,median,hypervolume\n", *lines]))
    (run / "pareto.csv").unlink()
    return run
