"""`evonas report`: a run as one HTML page that opens offline, whatever state the run is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import report_facts as facts
from analysis.architecture import read_architecture
from analysis.figures import rendered
from analysis.peers import DATASETS, load_peers
from analysis.plots import run_plots
from analysis.run_front import axes_of
from analysis.runs import Run, alone
from analysis.table_files import HEADINGS, comparison_table
from analysis.table_formats import PrintTable
from analysis.tables import comparison, left_out
from evonas.errors import AnalysisError

EXTRA = ("plotly", "jinja2", "markupsafe")
THIS_RUN = {HEADINGS["evonas"]: "this run", HEADINGS["target"]: "target paper"}


def report(run: Run, peers: pd.DataFrame | None = None) -> str:
    """A run as an HTML page, in whatever state it is; the page says what is missing.

    It shows the result, what was run and how to repeat it, front, convergence, network, rank correlation and drift
    where they are known, published methods, versions and hardware. run: as `analysis.runs.read_run` gives it. peers: as
    `load_peers` gives them, None for the shipped ones. The page holds all it needs, plotly's scripts too (about 5 MB),
    and loads nothing. The same files give the same page, wherever their folder lies, under the same versions of plotly
    and matplotlib. Raises AnalysisError where the extra `report` is not installed.

        Path("report.html").write_text(report(read_run(Path("runs/ga-digits-0"))), encoding="utf-8")
    """
    with _extra():
        from analysis.report_charts import convergence_chart, hypervolume_chart, networks_chart
        from analysis.report_page import chart_data, image_data, page, verbatim
    run = replace(run, path=run.path.resolve())  # which messages name, and the page does not
    missing = list(run.problems)

    def known(what: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except AnalysisError as error:
            missing.append(f"no {what}: {error}")
            return None

    makers = {"networks": networks_chart, "convergence": convergence_chart} if run.searched else {}
    if run.searched and len(run.objectives) > 1:
        makers["hypervolume"] = hypervolume_chart
    charts = {name: known(f"chart of the {name}", partial(make, run)) for name, make in makers.items()}
    figures, not_drawn = run_plots(run, without=("convergence", "front"))
    correlated = (run.path / "correlation.csv").is_file()
    content = {
        "title": facts.title(run),
        "run": run,
        "reductions": run.reductions if run.finished else (),
        "commands": facts.commands(run),
        "settings": verbatim(facts.settings_text(run)),
        "what_was_run": facts.what_was_run(run),
        "result": facts.result_facts(run),
        "machine": facts.machine_facts(run),
        "networks": facts.networks_table(run),
        "seconds": facts.seconds_table(run),
        "front": facts.front_table(run) if charts.get("networks") else None,
        "correlation": known("table of the correlation", partial(facts.correlation_table, run)) if correlated else None,
        "charts": {n: (chart_data(chart.figure), _named(run, chart.notes)) for n, chart in charts.items() if chart},
        "axes": [facts.word(name) for name in axes_of(run)],
        "one_state": run.history["state"].nunique() < 2,
        "pictures": {name: image_data(rendered(made, ".svg")) for name, made in figures.items()},
        "architecture": read_architecture(run.path / "best" / "architecture.json") if "architecture" in figures else (),
        "peers": [
            _peers_table(name, run, load_peers() if peers is None else peers)
            for name in DATASETS
            if run.dataset not in DATASETS or name == run.dataset
        ],
        "not_compared": _named(run, left_out([alone(run)])),
        "missing": _named(run, [*missing, *(line for line in not_drawn if not line.startswith(f"{run.path}: "))]),
    }
    return page(content)


def write_report(run: Run, file: Path | None = None, peers: pd.DataFrame | None = None) -> Path:
    """Write `report` to `file`, by default RUN/report.html, in place of what is there; the file.

    Raises AnalysisError where it does not end in .html or cannot be written, and as `report` does.
    """
    path = run.path / "report.html" if file is None else file
    if path.suffix != ".html":
        raise AnalysisError(f"the report {path} ends in {path.suffix!r}; give a file that ends in .html")
    text = report(run, peers)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise AnalysisError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path


@contextmanager
def _extra() -> Iterator[None]:
    """Imports within it may lack what the extra `report` brings, which is a mistake of the user."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA:
            raise
        raise AnalysisError(
            f"the report needs {package}, which is not installed; install it by `pip install 'evonas[report]'`"
        ) from None


def _peers_table(dataset: str, run: Run, peers: pd.DataFrame) -> PrintTable:
    """The comparison with published methods on a data set, with the run where it belongs there."""
    made = comparison_table(dataset, comparison(dataset, [alone(run)], peers), peers)
    return replace(made, groups=[(THIS_RUN.get(heading, heading), rows) for heading, rows in made.groups])


def _named(run: Run, lines: list[str]) -> list[str]:
    """Messages with the name of the run's folder in place of where it lies."""
    return list(dict.fromkeys(line.replace(str(run.path), run.name) for line in lines))
