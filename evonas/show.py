"""`evonas show RUN`: a run in text, finished or not. Reads files alone, no torch."""

from __future__ import annotations

import re
from itertools import accumulate
from math import isnan
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from evonas.config import read_yaml
from evonas.errors import printable
from evonas.progress import duration
from evonas.run import read_result, read_table, require_run, trusted

AUDITED = {
    "global": "global",
    "top10": "true top 10 %",
    "top5": "true top 5 %",
    "top10 sample": "sample of the top",
}
SEARCHED = {"population": "population", "final": "final candidates"}
WHOLE = {"table": "whole table"}
CHOICES = ("final", "global")  # regions whose regret is shown, the first that a row has
MANY = 40  # generations that are all shown
# What makes up a cell, by the words that introduce a list of it.
IN_CELLS = {"best cell, edge by edge": r"\d+>\d+ ", "best cells, node by node": r"(normal|reduce) \d+: "}


def show(path: Path, console: Console) -> None:
    """Print a run: where it stands, its generations, and its result. Raises RunError for what is no run folder."""
    require_run(path)
    result = read_result(path)
    generations = read_table(path / "generations.csv")
    with trusted(path):
        objectives = read_yaml(path / "config.yaml").get("problem", {}).get("objectives") or ["first objective"]
        parts: list[RenderableType] = [generations_table(generations, objectives[0])] if generations else []
        parts.append(_unfinished(path, len(generations)) if result is None else summary(path, result))
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))


def _unfinished(path: Path, generations: int) -> Text:
    on_table = read_yaml(path / "config.yaml").get("table", {}).get("file") is not None
    start = "not yet searched" if on_table else "in warm-up"
    where = f"{generations} generations measured" if generations else start
    return plain(f"{path}: unfinished, {where}; go on with `evonas resume {path}`")


def plain(text: object) -> Text:
    """Text of a file as it is: rich would take brackets in it for markup, and a terminal some characters for orders."""
    return Text(printable(text))


def generations_table(rows: list[dict[str, str]], objective: str) -> Table:
    """One row a generation, of many generations only those that brought a better one, and the last.

    objective: the first one's name.

    Values of different generations come from different supernet states, and do not compare, where states differ.
    """
    one_state = len({row["state"] for row in rows}) == 1
    states = "all on one state" if one_state else "each on its own supernet state"
    table = Table(title=escape(printable(f"{objective} by generation ({states})")))
    if one_state and len(rows) > MANY:
        best = list(accumulate((float(row["best"]) for row in rows), min))
        better = {0, len(rows) - 1} | {i for i in range(1, len(rows)) if best[i] < best[i - 1]}
        table.caption = f"{len(better)} of {len(rows)} generations: those that brought a better one, and the last"
        rows = [rows[i] for i in sorted(better)]
    for name in ("generation", "state", "n", "best", "median", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            *(plain(row[name]) for name in ("generation", "state", "n")),
            f"{float(row['best']):.4f}",
            f"{float(row['median']):.4f}",
            f"{float(row['seconds']):.1f}",
        )
    return table


def summary(path: Path, result: dict[str, Any]) -> Group:
    """The result for people: the network, its figures, its references, and where the time went."""
    best, seconds = result["best"], result["seconds"]
    searched = result.get("table")
    on = result["dataset"] if searched is None else f"table {Path(searched['file']).name}"
    error_title = "test error %" if searched is None else f"100 - {searched['report']}"
    table = Table(title=escape(printable(f"{result['algorithm']} on {on}, seed {result['seed']}")))
    for name, justify in (("network", "left"), (error_title, "right"), ("params", "right"), ("flops", "right")):
        table.add_column(plain(name), justify=justify)  # type: ignore[arg-type]
    error = "-" if best["test_error"] is None else f"{best['test_error']:.2f}"
    table.add_row("best", error, f"{best['params']:,}", f"{best['flops']:,}", style="bold")
    if searched is not None:
        table.add_row("best of the table", f"{searched['lowest_test_error']:.2f}", "", "")
    front = result.get("front")
    for row in (*(front["retrained"] if front else ()), *result.get("networks", ())):
        table.add_row(plain(row["role"]), f"{row['test_error']:.2f}", f"{row['params']:,}", f"{row['flops']:,}")
    references = result["references"]
    if references is not None:
        for row in (references["largest"], *references["random"]):
            table.add_row(plain(row["role"]), f"{row['test_error']:.2f}", f"{row['params']:,}", f"{row['flops']:,}")
        table.add_row("random, mean", f"{references['random_mean_test_error']:.2f}", "", "")
    spent = ", ".join(
        f"{name} {duration(value)}" for name, value in seconds.items() if name != "total" and value >= 0.5
    )
    return Group(
        table,
        *drawing(best["architecture"]),
        *_front(front),
        *_unfair(result),
        *_measured(result),
        plain(f"{duration(seconds['total'])} on {result['device']}" + (f": {spent}" if spent else "")),
        plain(f"all of it is in {path}"),
    )


def _front(front: dict[str, Any] | None) -> list[Text]:
    if not front:
        return []
    middle = front["knee"]
    lines = [
        f"front of {front['size']} networks, hypervolume {front['hypervolume']:.3f}; "
        f"knee {middle['genotype']}, as the search measured it: "
        + ", ".join(f"{name} {value:,.6g}" for name, value in middle["objectives"].items())
    ]
    if front.get("hypervolume_ratio") is not None:
        lines.append(
            f"true front of {front['true_size']}: {front['hypervolume_ratio']:.2%} of its hypervolume found, inverted "
            f"generational distance {front['inverted_distance']:.5f}"
        )
    return [plain(line) for line in lines]


def _measured(result: dict[str, Any]) -> list[Text]:
    error = result["best"]["supernet_error"]
    said = f"{_source(result)} error {error:.2f} %, {result['evaluations']} evaluations" if error is not None else ""
    return [plain(said)] if said else []


def _source(result: dict[str, Any]) -> str:
    if "table" in result:
        return f"column {result['table']['fitness']}:"
    return "supernet, on the fitness part:"


def _unfair(result: dict[str, Any]) -> list[Text]:
    reasons = ", ".join(result.get("unfair", []))
    return [plain(f"UNFAIR: fitness of different supernet states was compared ({reasons})")] if reasons else []


def drawing(architecture: list[str]) -> list[Text]:
    """A chain drawn in text, one line a layer; cells as a list of their edges or nodes."""
    architecture = [printable(part) for part in architecture]
    for title, pattern in IN_CELLS.items():
        if all(re.match(pattern, part) for part in architecture):
            return [Text(f"{title}:"), Text("\n".join(f"  {part}" for part in architecture))]
    lines = ["  images", *(f"  | {layer}" for layer in architecture), "  classes"]
    return [Text("best network, from the images down:"), Text("\n".join(lines))]


def correlation_tables(rows: list[dict[str, Any]]) -> list[Table]:
    """Kendall's tau with its interval, by state and scorer: on the audit, on what was searched, on the whole table."""
    return [
        table
        for title, regions, scorers in (
            ("the audited networks", AUDITED, None),
            ("what the search measured", SEARCHED, ("supernet loss", "supernet error")),
            ("all rows of the table", WHOLE, None),
        )
        if (table := _taus(title, [row for row in rows if scorers is None or row["scorer"] in scorers], regions))
    ]


def _taus(title: str, rows: list[dict[str, Any]], regions: dict[str, str]) -> Table | None:
    """One row a state and scorer, one column a region that has rows; None where there are none."""
    found: dict[tuple[Any, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["region"] in regions:
            found.setdefault((row["state"], row["scorer"]), {})[row["region"]] = row
    shown = [region for region in regions if any(region in by_region for by_region in found.values())]
    if not shown:
        return None
    sampled = any(not isnan(row["kendall_low"]) for by_region in found.values() for row in by_region.values())
    interval = " (95 % bootstrap interval)" if sampled else ""
    table = Table(title=f"Kendall's tau with the truth, {title}{interval}")
    for name in ("state", "scorer", *(regions[region] for region in shown), "regret"):
        table.add_column(name, justify="left" if name == "scorer" else "right")
    for (state, scorer), by_region in found.items():
        cells = [_tau(by_region[region]) if region in by_region else "-" for region in shown]
        regret = next(by_region[region] for region in (*CHOICES, shown[0]) if region in by_region)["regret"]
        table.add_row(
            "-" if state is None else plain(state), plain(scorer), *cells, "-" if regret is None else f"{regret:.2f}"
        )
    return table


def _tau(row: dict[str, Any]) -> str:
    if isnan(row["kendall_low"]):
        return f"{row['kendall']:.3f}"
    return f"{row['kendall']:.3f} ({row['kendall_low']:.2f} to {row['kendall_high']:.2f})"
