"""What the command line makes of finished runs: rank correlation with a table, and the table of an ablation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.ablation_report import write_ablation
from analysis.audit import read_audit
from analysis.correlation import between_states, population_rows, rows, whole_rows, write_correlation
from analysis.correlation_plots import scatter_figure, states_figure
from analysis.figures import save_all
from analysis.front_plots import front_figures
from analysis.ranking import kendall, top
from analysis.runs import read_run
from evonas.ablate import Job
from evonas.config import Settings, TableSettings, build, read_yaml, with_assignments
from evonas.errors import RunError
from evonas.history import FIGURES
from evonas.run import read_result, read_table, require_run, trusted
from evonas.search.additive import by_model, predicted
from evonas.search.fitness import Measurement
from evonas.seeding import Seeds
from evonas.spaces import Genotype, Space, build_space
from evonas.table import SHIPPED, SHIPPED_RUNS, Table, as_truth, complete, read, require_column
from problems.tabular import COSTS, cost_columns

CIFAR10 = (3, 32, 32), 10  # image shape and classes; other images give other costs in the same order
REGRET = "regret"
TOP_SAMPLE = "top10 sample"  # region of networks that were drawn from the true top for the audit


@dataclass(frozen=True, eq=False)
class Truth:
    """A table as the truth of a space: its columns of accuracies, repeated trainings, and costs by their names."""

    table: Table
    space: Space
    genotype: str
    column: str
    runs: tuple[str, ...]
    costs: Mapping[str, str]

    def of(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """True accuracies in percent, shape (n,)."""
        return self.table.numbers(self.column, self.table.find(genotypes, self.space))

    def repeated(self, genotypes: Sequence[Genotype]) -> np.ndarray | None:
        """Accuracies of the repeated trainings, shape (n, runs); None where the table has fewer than two."""
        if len(self.runs) < 2:
            return None
        found = self.table.find(genotypes, self.space)
        return np.column_stack([self.table.numbers(name, found) for name in self.runs])

    def sizes(self, genotypes: Sequence[Genotype]) -> dict[str, np.ndarray]:
        """params and flops by name, each (n,): from the table, else counted for CIFAR-10, else left out."""
        found = self.table.find(genotypes, self.space)
        values = {name: self.table.numbers(column, found) for name, column in self.costs.items()}
        counted = [self.space.cost(genotype, *CIFAR10) for genotype in genotypes]
        for position, name in enumerate(COSTS):
            if name not in values and None not in counted:
                values[name] = np.array([cost[position] for cost in counted if cost is not None], float)
        return values

    @property
    def best(self) -> float:
        """The highest true accuracy of the space in percent."""
        return float(self.table.accuracies(self.column).max())


def truth(settings: Settings, file: str | None = None, runs: Sequence[str] = ()) -> Truth:
    """The truth for a run's space: the table `file`, else that of its audit or of its search.

    Columns are those of the settings' table section. Raises TableError for a table that cannot be used, RunError where
    none is named.
    """
    name = file or settings.audit.table or settings.table.file
    if name is None:
        raise RunError("name the table of the truth by --table FILE")
    chosen = as_truth(name, settings.table)
    space = build_space(settings.space)
    table = read(chosen, space)
    assert chosen.report is not None and chosen.file is not None and chosen.genotype is not None
    names = tuple(runs) or (SHIPPED_RUNS.get(chosen.file, ()) if chosen.file in SHIPPED else ())
    for column in (chosen.report, *names):
        table.accuracies(column)
    return Truth(table, space, chosen.genotype, chosen.report, names, cost_columns(table, chosen))


@dataclass(frozen=True)
class Others:
    """Further scorers to rank beside a run's own: columns of a CSV file, in which higher is better."""

    table: Table
    space: Space
    columns: tuple[str, ...]

    def of(self, genotypes: Sequence[Genotype]) -> dict[str, np.ndarray]:
        """Scores by column, each (n,); nan where there is none."""
        found = self.table.find(genotypes, self.space)
        return {name: self.table.scores(name, found) for name in self.columns}


def others(against: Truth, option: str) -> Others:
    """The scorers that `FILE:COLUMN,COLUMN` names; the file has the genotypes in the column that the truth has."""
    file, _, names = option.rpartition(":")
    if not file or not names:
        raise RunError(f"--scores {option!r} names no columns; expected FILE:COLUMN,COLUMN")
    columns = tuple(names.split(","))
    chosen = complete(TableSettings(file=file, genotype=against.genotype, fitness=columns[0]))  # type: ignore[call-arg]
    table = read(chosen, against.space)
    for column in columns:
        require_column(table.name, column, table.cells)
    return Others(table, against.space, columns)


def correlate(run: Path, against: Truth, beside: Others | None = None) -> list[dict[str, object]]:
    """Rank correlation of RUN/audit.csv: RUN/correlation.csv, drift.csv and plots/; returns the rows of the first."""
    audit = read_audit(run / "audit.csv")
    with trusted(run / "audit.csv"):
        true = against.of(list(audit["genotype"]))
    # The members of the population are no sample of the space: they show drift, and have no place in these rankings.
    uniform, best = _samples(audit)
    found = _ranked(audit[uniform], true[uniform], against, beside)
    if best.any():
        sampled = [row for row in _ranked(audit[best], true[best], against, beside) if row["region"] == "global"]
        found += [{**row, "region": TOP_SAMPLE} for row in sampled]
    found += _searched(run, against)
    if beside is not None:
        found += _whole(against, beside)
    write_correlation(run / "correlation.csv", found)
    changes = between_states(audit)
    if changes:
        write_correlation(run / "drift.csv", changes)
    _plots(run / "plots", audit[uniform], true[uniform], found)
    return found


def _samples(audit: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of an audit are the uniform sample of the space, and which that of its true top; each (n,), bool."""
    probe = audit["probe"].to_numpy() if "probe" in audit else np.full(len(audit), "uniform")
    return probe == "uniform", probe == "top"


def _ranked(audit: pd.DataFrame, true: np.ndarray, against: Truth, beside: Others | None) -> list[dict[str, object]]:
    genotypes = list(audit["genotype"])
    more = None if beside is None else beside.of(genotypes)
    return rows(audit, true, Seeds(0).numpy("bootstrap"), seeds=against.repeated(genotypes), others=more)


def _searched(run: Path, against: Truth) -> list[dict[str, object]]:
    """How each population, and the final candidates, are ranked by what the search measured of them."""
    with trusted(run / "history.csv"):
        measured = [row for row in read_table(run / "history.csv") if row["loss"]]
        if not measured:
            return []
        history = pd.DataFrame(measured).astype(dict.fromkeys(FIGURES, float) | {"state": int})
        true = against.of([tuple(json.loads(genotype)) for genotype in history["genotype"]])
    return population_rows(history, true, Seeds(0).numpy("bootstrap"))


def _whole(against: Truth, beside: Others) -> list[dict[str, object]]:
    """How the scorers of another file rank all rows of the table, and sizes beside them."""
    genotypes = against.table.genotypes
    return whole_rows(against.sizes(genotypes) | beside.of(genotypes), against.of(genotypes))


def _plots(folder: Path, audit: pd.DataFrame, true: np.ndarray, found: Sequence[dict[str, Any]]) -> None:
    figures = {"correlation-by-state": states_figure(found)}
    for state in sorted({int(audit["state"].min()), int(audit["state"].max())}):
        chosen = (audit["state"] == state).to_numpy()
        figures[f"scatter-state-{state}"] = scatter_figure(
            -audit["loss"].to_numpy(float)[chosen],
            true[chosen],
            score_label="score on the supernet: -loss (nats)",
            title=f"state {state}",
        )
    save_all(figures, folder)


def fronts(run: Path) -> None:
    """RUN/plots/front and hypervolume, SVG and PNG, of a run with several objectives; nothing for others."""
    save_all(front_figures(read_run(run)), run / "plots")


def ablation(out: Path, jobs: Sequence[Job], against: Truth | None) -> dict[str, pd.DataFrame]:
    """The grid's runs.csv, and one folder of table and plot for each metric that its runs have."""
    grid = pd.DataFrame([_row(job, against) for job in jobs])
    grid.to_csv(out / "runs.csv", index=False)
    labels = {
        REGRET: "regret of the choice (points of accuracy)",
        "test_error": "test error of the retrained choice (%)",
        "tau": "Kendall's tau on the last state, by loss",
        "tau_top10": "Kendall's tau within the true top 10 %, by loss",
        "tau_final": "Kendall's tau among the final candidates",
        "pool_regret": "regret of the best final candidate (points of accuracy)",
        "model_regret": "regret of the final candidate that an additive model says is best (points of accuracy)",
        "tau_model": "Kendall's tau of that model among the final candidates",
    }
    tables = {}
    for metric, label in labels.items():
        if metric in grid and grid[metric].notna().all():
            higher = metric.startswith("tau")
            tables[metric] = write_ablation(out / metric, grid, metric, "full", higher_is_better=higher, label=label)
    return tables


def _row(job: Job, against: Truth | None) -> dict[str, object]:
    result = read_result(job.out)
    assert result is not None, "the grid is complete"
    seconds = result["seconds"]
    row: dict[str, object] = {"arm": job.arm, "seed": job.seed}
    if job.settings.table.file is None:
        row["supernet"] = job.supernet
    row |= {"evaluations": result["evaluations"], "unfair": bool(result["unfair"])}
    row |= {f"{phase}_seconds": seconds[phase] for phase in ("finetune", "measure", "total")}
    genotype = tuple(result["best"]["genotype"])
    row["genotype"] = json.dumps(genotype)
    row["test_error"] = result["best"]["test_error"]
    if against is not None:
        accuracy = float(against.of([genotype])[0])
        row |= {"true_accuracy": accuracy, REGRET: against.best - accuracy}
    if against is not None and job.warmed_up is not None:
        row |= _pool(job, against)
        row |= _taus(job.warmed_up, against, "first_")
        row |= _taus(job.out if (job.out / "audit.csv").is_file() else job.warmed_up, against, "")
    return row


def _pool(job: Job, against: Truth) -> dict[str, object]:
    """How good the final candidates are, and how well their scores rank them, or an additive model would."""
    rows = read_table(job.out / "history.csv")
    final = [_measurement(row) for row in rows if row["origin"] == "final"]
    known = {m.genotype: m for m in map(_measurement, rows) if m.state == final[0].state}
    genotypes = [m.genotype for m in final]
    true = against.of(genotypes)
    modelled = by_model(against.space, final, list(known.values()))[0].genotype
    return {
        "candidates": len(final),
        "pool_regret": against.best - float(true.max()),
        "tau_final": kendall(-np.array([m.objectives[0] for m in final]), true),
        "model_regret": against.best - float(against.of([modelled])[0]),
        "tau_model": kendall(-predicted(against.space, list(known.values()), genotypes), true),
    }


def _measurement(row: Mapping[str, str]) -> Measurement:
    """A row of history.csv by its loss, or by its error where it has none."""
    value = float(row["loss"] or row["error"])
    return Measurement(tuple(json.loads(row["genotype"])), (value,), int(row["state"]), "as measured")


def _taus(run: Path, against: Truth, prefix: str) -> dict[str, object]:
    """Kendall's tau by loss on a run's last audited state; nothing where it was not audited."""
    if not (run / "audit.csv").is_file():
        return {}
    audit = read_audit(run / "audit.csv")
    audit = audit[audit["state"] == audit["state"].max()]
    true, scores = against.of(list(audit["genotype"])), -audit["loss"].to_numpy(float)
    uniform, best = _samples(audit)
    if not best.any():
        best[uniform] = top(true[uniform], 10)
    masks = {"tau": uniform, "tau_top10": best}
    return {prefix + name: kendall(scores[mask], true[mask]) for name, mask in masks.items()}


def settings_of(run: Path, assignments: Iterable[str] = ()) -> Settings:
    """The settings of a run, with further ones put in. Raises RunError for what is no run folder."""
    require_run(run)
    return build(with_assignments(read_yaml(run / "config.yaml"), assignments))
