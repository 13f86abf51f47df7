"""All plots of published results and of runs, as figures by the names of their files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis.architecture import read_architecture
from analysis.architecture_plots import architecture_figure
from analysis.convergence_plots import convergence_figure
from analysis.correlation import read_correlation, read_drift
from analysis.correlation_plots import drift_figure, states_figure
from analysis.front_plots import front_figures
from analysis.peer_plots import COSTS, error_figure
from analysis.peers import DATASETS
from analysis.runs import Run, RunGroup
from analysis.tables import left_out
from evonas.errors import AnalysisError

OF_A_SEARCH = ("convergence", "front")


class Plots(NamedTuple):
    """figures: by the names of their files, without suffix. missing: what could not be drawn and why, one line each."""

    figures: dict[str, Figure]
    missing: list[str]


def plots(groups: Sequence[RunGroup] = (), peers: pd.DataFrame | None = None) -> Plots:
    """The comparison with published methods, a figure for each data set and cost, and the plots of each run.

    groups: as `read_runs` gives them. peers: as `load_peers` gives them, None for the shipped ones. Figures are named
    error-gpu-days-cifar10, and so on, and those of runs by their folder: a number is put behind the name of a folder
    that was there before.
    """
    figures = {
        f"error-{cost}-{dataset}": error_figure(dataset, cost, groups, peers) for dataset in DATASETS for cost in COSTS
    }
    missing = [f"not among the published methods: {line}" for line in left_out(groups)]
    names: set[str] = set()
    for run in (run for group in groups for run in group.runs):
        name, number = run.name, 2
        while name in names:
            name, number = f"{run.name}-{number}", number + 1
        names.add(name)
        found = run_plots(run)
        figures |= {f"{name}-{kind}": made for kind, made in found.figures.items()}
        missing += found.missing
    return Plots(figures, missing)


def run_plots(run: Run, without: Collection[str] = ()) -> Plots:
    """What can be drawn of a run, in whatever state it is.

    convergence; front and hypervolume of several objectives; correlation and drift where RUN has the files of
    `evonas correlate`; architecture. without: names of those that are not wanted.
    """
    makers: dict[str, Callable[[], dict[str, Figure]]] = {
        "convergence": lambda: {"convergence": convergence_figure(run)},
        "front": lambda: front_figures(run),
        "architecture": lambda: {
            "architecture": architecture_figure(read_architecture(run.path / "best" / "architecture.json"))
        },
    }
    if (run.path / "correlation.csv").is_file():
        makers["correlation"] = lambda: {"correlation": states_figure(read_correlation(run.path / "correlation.csv"))}
    if (run.path / "drift.csv").is_file():
        makers["drift"] = lambda: {"drift": drift_figure(read_drift(run.path / "drift.csv"))}
    figures: dict[str, Figure] = {}
    missing = [f"{run.path}: {', '.join(run.problems)}"] if run.problems and run.finished else []
    for kind, make in makers.items():
        if kind in without or (kind in OF_A_SEARCH and not run.searched):
            continue
        try:
            figures |= make()
        except AnalysisError as error:
            missing.append(f"no {kind} of {run.path}: {error}")
    return Plots(figures, missing)
