"""Run folders as they are found: finished, killed on the way, or damaged; and runs that differ in their seed alone.

Nothing here raises for a file that lacks or is broken: what could be read is there, and `Run.problems` says the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.run_files import TABLES, look, number, read_result, read_settings, read_table
from evonas.config import read_yaml, shipped, short_name
from evonas.datasets import DATASETS
from evonas.errors import AnalysisError
from evonas.stored import require_known_format

TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000}  # that published results train on


class Mean(NamedTuple):
    """Mean, standard deviation (n - 1; nan for n < 2) and number of the values that are known; nan where n is 0."""

    mean: float
    std: float
    n: int


@dataclass(frozen=True, eq=False)
class Run:
    """What a run folder holds.

    settings and result: plain data, empty where the file lacks or is damaged. history, generations and pareto: data
    frames with at least the columns of TABLES, numbers as numbers, without the rows that are damaged. problems: what
    is missing or damaged, one phrase each.
    """

    path: Path
    settings: dict[str, Any]
    result: dict[str, Any]
    history: pd.DataFrame
    generations: pd.DataFrame
    pareto: pd.DataFrame
    problems: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether it came to its result."""
        return bool(self.result)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.resolve().name

    @property
    def algorithm(self) -> str:
        """Name of the algorithm, `retrain` where it searched nothing, empty where no file tells it."""
        if not self.searched:
            return "retrain"
        return short_name(str(look(self.settings, "search", "algorithm") or self.result.get("algorithm") or ""))

    @property
    def searched(self) -> bool:
        """Whether it is a search; `evonas retrain` trains networks that are given."""
        return not look(self.settings, "retrain", "genotypes")

    @property
    def dataset(self) -> str:
        """Name of the data set, empty where no file tells it."""
        return str(look(self.settings, "dataset", "name") or self.result.get("dataset") or "")

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of what was minimised, empty where no file tells them."""
        names = look(self.settings, "problem", "objectives")
        return tuple(map(str, names)) if isinstance(names, list) else ()

    @property
    def table(self) -> str:
        """The ground-truth table that was searched instead of a supernet; empty where it was none."""
        return str(look(self.settings, "table", "file") or look(self.result, "table", "file") or "")

    @property
    def device(self) -> str:
        """The device in words, empty where the run is unfinished."""
        return str(self.result.get("device") or "")

    @property
    def seed(self) -> object:
        """The seed, or None where no file tells it."""
        return self.settings.get("seed", self.result.get("seed"))

    @property
    def unfair(self) -> tuple[str, ...]:
        """Settings by which fitness of different supernet states was compared; empty where it was not."""
        reasons = self.result.get("unfair")
        return tuple(map(str, reasons)) if isinstance(reasons, list) else ()

    def figure(self, *keys: str) -> float:
        """A number of result.json by its keys, as in figure("best", "test_error"); nan where there is none."""
        return number(look(self.result, *keys))

    def setting(self, *keys: str) -> float:
        """A number of config.yaml by its keys, as in setting("retrain", "epochs"); nan where there is none."""
        return number(look(self.settings, *keys))

    @property
    def reductions(self) -> tuple[str, ...]:
        """In what a finished run is smaller than what published results on its data set come from, or may be.

        That is: fewer training images than the data set has, smaller images, fewer retraining epochs than the data
        set's shipped settings with full budgets, or a CPU, whose days are no GPU-days; what its files do not tell is
        held to be reduced. A cheaper search is no reduction: its cost is part of the result. Empty where there is none,
        for data sets without published results, and for the search of a table.
        """
        if self.dataset not in TRAINING_IMAGES or self.table:
            return ()
        found = []
        whole = TRAINING_IMAGES[self.dataset]
        images = self.figure("images", "weights") + self.figure("images", "fitness")
        if not images >= whole:
            found.append(f"{_shown(images)} of {whole:,} training images")
        side, size = DATASETS[self.dataset].size, self.setting("dataset", "image_size")
        if side is not None and size < side:
            found.append(f"images of {size:.0f}x{size:.0f} instead of {side}x{side} pixels")
        full, epochs = _full_epochs(self.dataset), self.setting("retrain", "epochs")
        if not epochs >= full:
            found.append(f"{_shown(epochs)} of {full:,} retraining epochs")
        if not self.device or self.device.startswith("cpu"):
            found.append("computed on a CPU" if self.device else "computed on unknown hardware")
        return tuple(found)


@dataclass(frozen=True, eq=False)
class RunGroup:
    """Runs with the same settings but for their seed, in the order given. label: unique among the groups read."""

    label: str
    runs: tuple[Run, ...]

    @property
    def finished(self) -> tuple[Run, ...]:
        """Those of the runs that came to their result."""
        return tuple(run for run in self.runs if run.finished)

    def figure(self, *keys: str) -> Mean:
        """A number of result.json over the finished runs that have it, as in figure("best", "test_error")."""
        values = np.array([run.figure(*keys) for run in self.finished])
        values = values[np.isfinite(values)]
        if not len(values):
            return Mean(math.nan, math.nan, 0)
        return Mean(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else math.nan, len(values))

    @property
    def dataset(self) -> str:
        """Name of the data set, empty where no file tells it."""
        return self.runs[0].dataset

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the finished runs in words, each once."""
        return tuple(dict.fromkeys(run.device for run in self.finished if run.device))

    @property
    def reductions(self) -> tuple[str, ...]:
        """In what any of the finished runs is smaller than what published results come from (see Run.reductions)."""
        return tuple(dict.fromkeys(reason for run in self.finished for reason in run.reductions))


def read_run(path: Path) -> Run:
    """A run folder, whatever state it is in.

    Raises AnalysisError for what holds no file of a run, RunError for a folder of a newer format.
    """
    known = ("config.yaml", "result.json", *TABLES)
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise AnalysisError(f"{path} {what}; give the folder of a run, such as runs/ga-digits-0")
    if not any((path / name).is_file() for name in known):
        raise AnalysisError(f"{path} is no run folder (it has none of {', '.join(known)}); give the folder of a run")
    require_known_format(path)
    problems: list[str] = []
    settings, result = read_settings(path, problems), read_result(path, problems)
    # What searches nothing has no tables.
    of_tables: list[str] = []
    history, generations, pareto = (read_table(path, name, of_tables) for name in TABLES)
    run = Run(path, settings, result, history, generations, pareto, tuple(problems))
    return replace(run, problems=(*problems, *of_tables)) if run.searched else run


def read_runs(paths: Iterable[Path]) -> list[RunGroup]:
    """Run folders, grouped by their settings without the seed, in the order given; a folder given twice counts once.

    Raises AnalysisError for what holds no file of a run, and for two finished runs of one group with one seed, which
    are not two independent results; RunError for a folder of a newer format.
    """
    distinct: dict[Path, Path] = {}
    for path in paths:
        distinct.setdefault(path.resolve(), path)
    groups: list[list[Run]] = []
    for run in map(read_run, distinct.values()):
        same = next((runs for runs in groups if _without_seed(runs[0]) == _without_seed(run)), None)
        if same is None or not run.settings:
            groups.append([run])
        else:
            same.append(run)
    for runs in groups:
        _require_own_seeds([run for run in runs if run.finished])
    names = [runs[0].name for runs in groups]
    return [RunGroup(_label(runs[0], unique=names.count(runs[0].name) == 1), tuple(runs)) for runs in groups]


def alone(run: Run) -> RunGroup:
    """A run as a group of its own."""
    return RunGroup(_label(run, unique=True), (run,))


def _without_seed(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if key not in ("seed", "log")}


def _label(run: Run, unique: bool) -> str:
    return " ".join(part for part in ("evonas", run.algorithm, f"({run.name if unique else run.path})") if part)


def _require_own_seeds(runs: Sequence[Run]) -> None:
    seen: dict[str, Run] = {}
    for run in runs:
        first = seen.setdefault(repr(run.seed), run)
        if first is not run:
            raise AnalysisError(
                f"{first.path} and {run.path} have the same settings and the same seed {run.seed}; give one of them, "
                "or runs of different seeds"
            )


def _shown(count: float) -> str:
    return "an unknown number" if math.isnan(count) else f"{count:,.0f}"


@cache
def _full_epochs(dataset: str) -> int:
    """Retraining epochs of the data set's shipped settings."""
    full = shipped(dataset)
    assert full is not None, "the package ships the full budgets of data sets with published results"
    epochs: int = read_yaml(full)["retrain"]["epochs"]
    return epochs
