"""What a report says of a run in words and tables: what was run, what came out, on what, and how to repeat it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import yaml

from analysis.architecture import describer
from analysis.correlation import read_correlation
from analysis.front_plots import objective_label
from analysis.run_files import look, number
from analysis.run_front import axes_of, front
from analysis.runs import Run
from analysis.table_formats import PrintTable, Row
from evonas.datasets import DATASETS

Facts = list[tuple[str, str]]  # names and values
NONE = "–"
MOST = 200  # rows of a table; the files have the others
TAU = ("kendall", "kendall_low", "kendall_high")
FORMATS = {"error": "{:.2f}", "loss": "{:.4f}", "params": "{:,.0f}", "flops": "{:,.0f}"}


def title(run: Run) -> str:
    """What was run, in a few words."""
    seed = "" if run.seed is None else f", seed {run.seed}"
    on = f"table {run.table}" if run.table else run.dataset or "an unknown data set"
    return f"{run.algorithm or 'An unknown algorithm'} on {on}{seed}"


def commands(run: Run) -> Facts:
    """What to type in the folder that holds the run's, with what each does."""
    name = f"./{run.name}" if run.name.startswith("-") else run.name
    run_folder, settings = shlex.quote(name), shlex.quote(f"{name}/config.yaml")
    found = [] if run.finished else [("go on with it", f"evonas resume {run_folder}")]
    if run.settings:
        found.append(("run it again, from its settings alone", f"evonas run --config {settings}"))
    if run.finished and not run.table:
        found.append(("train its network again, in three seeds", f"evonas retrain {run_folder} --set retrain.seeds=3"))
    tables = f"evonas tables {run_folder} --out tables"
    return [*found, ("put it beside published methods", tables), ("make this page", f"evonas report {run_folder}")]


def settings_text(run: Run) -> str:
    """config.yaml as plain ASCII, complete; empty where it is not there or damaged."""
    text: str = yaml.safe_dump(run.settings, sort_keys=False) if run.settings else ""
    return text


def what_was_run(run: Run) -> Facts:
    """The settings that matter most, those that are known."""
    asked, spec = run.settings, DATASETS.get(run.dataset)
    limits = look(asked, "problem", "limits")
    epochs = {part: run.setting(part, "epochs") for part in ("supernet", "finetune", "retrain")}
    facts = {
        "Algorithm": run.algorithm,
        "Data set": run.dataset + (f": {spec.title}" if spec else ""),
        "Table searched": run.table,
        "Search space": _text(look(asked, "space", "name")),
        "Images": _images(run),
        "Seed": _text(run.seed),
    }
    if run.searched:
        set_limits = limits.items() if isinstance(limits, dict) else ()
        facts |= {
            "Minimised": ", ".join(run.objectives),
            "Limits": ", ".join(f"{name} {value}" for name, value in set_limits if isinstance(value, int | float)),
            "Population": _text(look(asked, "search", "population")),
            "Generations": f"{run.generations['generation'].nunique()} measured",
            "Evaluations at most": _text(look(asked, "search", "evaluations")),
        }
    if run.searched and not run.table:
        tuned = look(asked, "finetune", "enabled") is True and epochs["finetune"] > 0
        facts["Warm-up"] = _epochs(epochs["supernet"])
        facts["Fine-tuning"] = f"{_epochs(epochs['finetune'])} a generation" if tuned else "none"
    if not run.table:
        facts["Retraining"] = _epochs(epochs["retrain"]) if look(asked, "retrain", "enabled") is not False else "none"
    return [(name, value) for name, value in facts.items() if value]


def result_facts(run: Run) -> Facts:
    """The figures of the result, those that are known."""
    std = run.figure("best", "test_error_std")
    error = _figure(run.figure("best", "test_error"), "{:.2f} %")
    measured = f"Error, 100 - {look(run.result, 'table', 'report')}" if run.table else "Test error"
    facts = {
        measured: error + ("" if math.isnan(std) else f" ± {std:.2f}") if error else "",
        "Parameters": _figure(run.figure("best", "params"), "{:,.0f}"),
        "Multiply-adds": _figure(run.figure("best", "flops"), "{:,.0f}"),
        "Error by the table" if run.table else "Error on the supernet": _figure(
            run.figure("best", "supernet_error"), "{:.2f} %"
        ),
    }
    if run.searched:
        facts["Evaluations"] = _figure(run.figure("evaluations"), "{:,.0f}")
    if run.searched and not run.table:
        days = "CPU-days of the search" if run.device.startswith("cpu") else "GPU-days of the search"
        facts[days] = _figure(run.figure("search_gpu_days"), "{:.3g}")
    return [(name, value) for name, value in facts.items() if value]


def machine_facts(run: Run) -> Facts:
    """Hardware, versions and commit, as result.json has them."""
    versions = run.result.get("versions")
    facts = {
        "Hardware": run.device,
        "CPU threads": _text(run.result.get("threads")),
        "Seed": _text(run.seed),
        "Commit": _text(run.result.get("commit")),
        **({str(name): _text(value) for name, value in versions.items()} if isinstance(versions, dict) else {}),
    }
    return [(name, value) for name, value in facts.items() if value]


def networks_table(run: Run) -> PrintTable | None:
    """The networks that were trained to the end, or whose error a table has; None where there is none."""
    result, references = run.result, look(run.result, "references")
    rows = [
        ("chosen", result.get("best")),
        *_roles(look(result, "front", "retrained")),
        *_roles(result.get("networks")),
    ]
    if isinstance(references, dict):
        rows += [("largest of the space", references.get("largest")), *_roles(references.get("random"))]
        rows.append(("random, mean", {"test_error": references.get("random_mean_test_error")}))
    if run.table:
        rows.append(("best of the table", {"test_error": look(result, "table", "lowest_test_error")}))
    found = [_network(role, row) for role, row in rows if isinstance(row, dict)]
    found = [cells for cells in found if cells[1] != NONE]
    if not found:
        return None
    caption = "Networks whose test error is known. The test images were read once a training, after all choices."
    if run.table:
        caption = f"Errors as the table has them: 100 - {look(result, 'table', 'report')}."
    columns = ["Network", "Error (%)", "±", "Parameters", "Multiply-adds"]
    if all(cells[2] == NONE for cells in found):  # one training each
        columns.pop(2)
        found = [(*cells[:2], *cells[3:]) for cells in found]
    return _table("networks", caption, columns, range(1, len(columns)), found)


def front_table(run: Run) -> PrintTable:
    """The front, the smallest first. Raises AnalysisError where nothing was measured."""
    x, y = axes_of(run)
    rows, describe = front(run), describer(run.settings)
    names = [name for name in dict.fromkeys([y, x, *run.objectives, "error", "params", "flops"]) if name in rows]
    found = []
    for row in rows.head(MOST).to_dict("records"):
        architecture = ", ".join(describe(row["genotype"])).replace("->", "→")  # within which no line ends
        found.append((*(_figure(row[name], FORMATS.get(name, "{:.6g}")) for name in names), architecture))
    caption = f"The front by {word(y)} and {word(x)}, the smallest first."
    caption += "" if len(rows) <= MOST else f" These are {MOST} of its {len(rows):,} networks."
    columns = (*map(objective_label, names), "architecture")
    return _table("front", caption, columns, set(range(len(names))), found)


def seconds_table(run: Run) -> PrintTable | None:
    """Seconds by phase; None where they are not known."""
    seconds = look(run.result, "seconds")
    rows = [(str(phase), f"{value:,.1f}") for phase, value in _numbers(seconds)]
    caption = "Seconds by phase, resumed runs added up."
    return _table("seconds", caption, ("Phase", "Seconds"), {1}, rows) if rows else None


def correlation_table(run: Run) -> PrintTable:
    """RUN/correlation.csv: Kendall's tau with its interval. Raises AnalysisError where it is damaged."""
    rows = pd.DataFrame(read_correlation(run.path / "correlation.csv"))
    found = [
        (_figure(row["state"], "{:.0f}"), row["scorer"], row["region"], *(_figure(row[n], "{:.3f}") for n in TAU))
        for row in rows.head(MOST).to_dict("records")
    ]
    caption = "Kendall's tau with the truth, and its 95 % bootstrap interval, by supernet state and region."
    columns = ("State", "Scorer", "Region", "Tau", "from", "to")
    return _table("correlation", caption, columns, {0, 3, 4, 5}, found)


def word(objective: str) -> str:
    """An objective without its unit."""
    return objective_label(objective).partition(" (")[0]


def _table(name: str, caption: str, columns: Iterable[str], right: Iterable[int], rows: Iterable[Any]) -> PrintTable:
    return PrintTable(name, "", caption, tuple(columns), frozenset(right), [("", [Row(tuple(row)) for row in rows])])


def _network(role: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = dict(_numbers(row))
    formats = {"test_error": "{:.2f}", "test_error_std": "{:.2f}", "params": "{:,.0f}", "flops": "{:,.0f}"}
    return role, *(_figure(numbers.get(name, math.nan), form) or NONE for name, form in formats.items())


def _roles(rows: object) -> list[tuple[str, object]]:
    """Rows of result.json by their roles."""
    known = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [(_text(row.get("role")), row) for row in known]


def _images(run: Run) -> str:
    counts = [(name, run.figure("images", name)) for name in ("weights", "fitness")]
    return ", ".join(f"{count:,.0f} for {name}" for name, count in counts if not math.isnan(count))


def _numbers(values: object) -> list[tuple[str, float]]:
    """The finite numbers of a mapping."""
    pairs = values.items() if isinstance(values, dict) else []
    return [(key, number(value)) for key, value in pairs if not math.isnan(number(value))]


def _epochs(count: float) -> str:
    return "" if math.isnan(count) else f"{count:g} epochs"


def _figure(value: float, form: str) -> str:
    return "" if math.isnan(value) else form.format(value)


def _text(value: object) -> str:
    """A value of a file in words; empty for none."""
    return "" if value is None else str(value)
