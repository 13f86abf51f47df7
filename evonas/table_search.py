"""A search on a ground-truth table: the same loop, with nothing to train. Takes seconds and imports no torch.

There are no checkpoints: a run that was stopped is short and decided by its seed, so `resume` does it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.config import Settings
from evonas.datasets import DATASETS
from evonas.errors import ConfigError
from evonas.history import Row, figures_of, front_rows, generation_row, measurement_rows, model_rows
from evonas.logs import Noted, opened, require_packages
from evonas.plan import algorithm, check, complete, one_objective_of_several
from evonas.progress import Reporter, duration
from evonas.result import common, front_result, named
from evonas.run import RunFolder, require_free
from evonas.search.additive import by_model, predicted
from evonas.search.base import Candidate
from evonas.search.final import candidates, ties_settled
from evonas.search.fitness import Measurement, knee, pareto_front
from evonas.search.loop import evaluate, search
from evonas.seeding import Seeds
from evonas.slices import Slice
from evonas.spaces import Space, build_space
from evonas.stopwatch import Stopwatch
from evonas.table import Table, read
from evonas.table import complete as complete_table
from problems.fronts import hypervolume, inverted_distance, measured_hypervolume
from problems.tabular import TabularProblem

if TYPE_CHECKING:
    from evonas.engines.engine import Engine


def effective(settings: Settings) -> Settings:
    """The settings with everything that is chosen at start filled in.

    Raises ConfigError where they name no table, TableError for one that is not there.
    """
    if settings.table.file is None:
        raise ConfigError("table.file is null, and there is no table to search; name one, or use evonas.experiment")
    settings = complete(settings)
    chosen = {
        "device": "cpu",
        "threads": settings.threads or 1,
        "memory_format": settings.memory_format or "contiguous",
        "precision": settings.precision or "float32",
    }
    return settings.model_copy(update={**chosen, "table": complete_table(settings.table)})


def start(
    settings: Settings,
    out: Path,
    reporter: Reporter,
    stopwatch: Stopwatch | None = None,
    share: Slice | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Search the table into the new folder `out`, in one piece and here; returns what result.json holds.

    stopwatch: counts its seconds; None: from now on. share, engine: change nothing. Raises, with nothing written,
    ConfigError for settings, TableError for a table, RunError for a folder or first population that cannot be used;
    later RunError where the folder cannot be written, ConfigError where an algorithm of the user's own fails.
    """
    settings = effective(check(settings.model_dump(mode="json")))
    require_packages(settings.log)
    require_free(out)
    space = build_space(settings.space)
    table = read(settings.table, space)
    problem = tabular_problem(settings, space, table)
    algorithm(
        settings, space, problem, Seeds(settings.seed)
    )  # what it refuses is to be learnt before anything is written
    with RunFolder.create(out, settings) as folder:
        for line in (f"run folder: {out}", *one_objective_of_several(settings)):
            reporter.line(line)
        return _execute(folder, settings, problem, reporter, stopwatch or Stopwatch())


def resume(
    path: Path,
    reporter: Reporter,
    stopwatch: Stopwatch | None = None,
    share: Slice | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Do a stopped run again, to the end that it would have had; returns what result.json holds. It is one piece.

    stopwatch, share, engine: as for `start`. Raises RunError for a folder that is no run, is in use, is damaged or
    cannot be written; ConfigError and TableError where settings or table cannot be used any more.
    """
    with RunFolder.open(path) as folder:
        settings = effective(check(folder.settings().model_dump(mode="json")))
        require_packages(settings.log)
        folder.latest()  # cuts what the stopped process had written
        space = build_space(settings.space)
        problem = tabular_problem(settings, space, read(settings.table, space))
        return _execute(folder, settings, problem, reporter, stopwatch or Stopwatch())


def tabular_problem(settings: Settings, space: Space, table: Table) -> TabularProblem:
    """The problem of effective settings. Raises TableError for columns or rows that cannot be used."""
    assert settings.problem.objectives is not None
    # A table of another space is a mistake to learn of before the search, and reading tells it of small spaces alone.
    table.find(space.fair(np.random.default_rng(0)), space)
    if settings.table.report is not None:
        table.accuracies(settings.table.report)  # a malformed column is a mistake to learn of before the search
    spec = DATASETS[settings.dataset.name]
    size = settings.dataset.image_size or spec.size or 32
    return TabularProblem(
        space,
        table,
        settings.table,
        settings.problem.objectives,
        (3, size, size),
        spec.classes or 10,
        settings.problem.limits.given(),
    )


@dataclass
class Trace:
    """What a search on a table leaves: measurements, origins and repairs by generation, and evaluations spent."""

    generations: list[list[Measurement]] = field(default_factory=list)
    origins: list[list[str]] = field(default_factory=list)
    repairs: list[int] = field(default_factory=list)
    spent: int = 0

    @property
    def known(self) -> list[Measurement]:
        """Every measurement, each genotype once."""
        return list({m.genotype: m for m in chain.from_iterable(self.generations)}.values())


def trace(settings: Settings, problem: TabularProblem, space: Space) -> Trace:
    """Search by effective settings, in memory."""
    found = Trace()
    repaired = 0  # so far

    def record(generation: int, population: Sequence[Candidate], measured: Sequence[Measurement], spent: int) -> None:
        nonlocal repaired
        found.generations.append(list(measured))
        found.origins.append([candidate.origin for candidate in population])
        found.repairs.append(made.repairs - repaired)
        repaired = made.repairs

    made = algorithm(settings, space, problem, Seeds(settings.seed))
    found.spent = search(
        made,
        problem,
        generations=made.rounds(settings.search),
        evaluations=settings.search.evaluations,
        record=record,
    )
    return found


def final(settings: Settings, problem: TabularProblem, space: Space, found: Trace) -> list[Measurement]:
    """The final candidates, best first."""
    limit = settings.final.candidates or settings.search.population
    assert limit is not None
    measured = evaluate(problem, candidates(space, found.generations, limit))
    if settings.final.choice == "model":
        return by_model(space, measured, found.known)
    return ties_settled(space, measured, found.known)


def _execute(
    run: RunFolder, settings: Settings, problem: TabularProblem, reporter: Reporter, stopwatch: Stopwatch
) -> dict[str, Any]:
    stopwatch.ready()
    space = problem.space
    with opened(settings, run.path, stopwatch) as logs:
        found = trace(settings, problem, space)
        chosen = final(settings, problem, space, found)
        with stopwatch("io"):
            for generation, row in enumerate(_write(run, settings, problem, found, chosen)):
                logs.figures("search", generation, figures_of(row))
        logs.front(len(found.generations), [*found.generations, chosen], problem.objectives)
        result = _result(settings, problem, found, chosen, stopwatch)
        run.write_json("result.json", result)
        logs.end(result)
        Noted(reporter, logs).line(f"done in {duration(result['seconds']['total'])}")
    return result


def _write(
    run: RunFolder, settings: Settings, problem: TabularProblem, found: Trace, chosen: Sequence[Measurement]
) -> list[Row]:
    """Write all but result.json; returns the rows of generations.csv."""
    space = problem.space
    rows: list[Row] = []
    for generation, (measured, origins) in enumerate(zip(found.generations, found.origins, strict=True)):
        rows += measurement_rows(space, generation, origins, measured, 0.0)
    last = measurement_rows(space, len(found.generations), ["final"] * len(chosen), chosen, 0.0)
    run.append("history.csv", [*rows, *last])
    bounds = problem.objective_bounds
    volumes = [measured_hypervolume(measured, bounds) for measured in found.generations]
    numbered = enumerate(zip(found.generations, volumes, found.repairs, strict=True))
    rows_of = [generation_row(g, measured, volume, count, 0.0) for g, (measured, volume, count) in numbered]
    run.append("generations.csv", rows_of)
    front = pareto_front(chosen)
    run.write_table("pareto.csv", front_rows(last, front, knee(front)))
    if len(problem.objectives) > 1:
        genotypes, values = problem.true_front()
        true = [dict(zip(problem.objectives, map(repr, row), strict=True)) for row in values.tolist()]
        run.write_table(
            "true_front.csv", [{"genotype": list(g), **row} for g, row in zip(genotypes, true, strict=True)]
        )
    if settings.final.choice == "model":
        predictions = predicted(space, found.known, [m.genotype for m in found.known])
        run.write_table("model.csv", model_rows(found.known, predictions, chosen))
    best = chosen[0].genotype
    run.write_json(
        "best/architecture.json",
        {
            "space": settings.space.model_dump(mode="json"),
            "genotype": list(best),
            "architecture": space.describe(best),
            "dataset": settings.dataset.name,
            "weights": None,
        },
    )
    return rows_of


def _result(
    settings: Settings, problem: TabularProblem, found: Trace, chosen: Sequence[Measurement], stopwatch: Stopwatch
) -> dict[str, Any]:
    assert settings.table.report is not None
    generations = len(found.generations)
    front = pareto_front(chosen) if len(problem.objectives) > 1 else []
    best = chosen[0]
    return {
        **common(settings, problem.space.name, "cpu", generations, found.spent, stopwatch.seconds()),
        "search_gpu_days": 0.0,
        "retrain_gpu_days": 0.0,
        "best": {
            "genotype": list(best.genotype),
            "architecture": problem.space.describe(best.genotype),
            "supernet_error": best.details["error"],
            "test_error": reported_error(settings, problem, best.genotype),
            "params": int(best.details["params"]),
            "flops": int(best.details["flops"]),
            "objectives": named(problem.objectives, best),
        },
        "table": {
            **settings.table.model_dump(),
            "rows": len(problem.table),
            "lowest_test_error": 100.0 - float(np.max(problem.table.accuracies(settings.table.report))),
        },
        "choice": settings.final.choice,
        "front": _front(problem, front),
        "references": None,
        "competitors": [],
        "unfair": [],  # a table's state never changes
    }


def _front(problem: TabularProblem, front: Sequence[Measurement]) -> dict[str, Any] | None:
    """The final front in short, beside the true one of the table."""
    bounds = problem.objective_bounds
    volume = measured_hypervolume(front, bounds)
    found = front_result(problem.space, problem.objectives, front, volume, [])
    if found is None:
        return None
    _, true = problem.true_front()
    whole = hypervolume(true, bounds)
    values = np.array([m.objectives for m in front])
    return {
        **found,
        "true_size": len(true),
        "true_hypervolume": whole,
        "hypervolume_ratio": volume / whole if volume is not None and whole > 0 else None,
        "inverted_distance": inverted_distance(values, true, bounds),
    }


def reported_error(settings: Settings, problem: TabularProblem, genotype: tuple[int, ...]) -> float:
    """100 - the report column of a genotype's row, in percent."""
    assert settings.table.report is not None
    row = problem.table.row(genotype, problem.space)
    return 100.0 - float(problem.table.numbers(settings.table.report, [row])[0])
