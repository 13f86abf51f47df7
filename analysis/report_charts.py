"""The interactive charts of a report, by plotly (extra `report`): what a run measured, and how its search came along.

A trace has no colour but a role, in `meta`, to which the page gives one that suits its light or dark ground.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.architecture import describer
from analysis.convergence_plots import MANY, by_state, generations, state_changes
from analysis.front_plots import LABELS, hypervolumes, objective_label, true_front
from analysis.run_files import look
from analysis.run_front import axes_of, front, measured
from analysis.runs import Run
from analysis.table_formats import plain
from evonas.errors import AnalysisError

MOST = 2000  # points of a trace that are drawn; more make a page slow, and lie on each other
WIDE = 8.0  # largest over smallest value, from which on an axis is logarithmic
FEW = 12  # generations, of which each has a tick
LINES, LETTERS = 12, 44  # of the text that a point shows, at most
UNITS = {"error": "{:.2f} % error", "loss": "loss {:.4f} nats", "latency_ms": "{:.4g} ms"} | {
    name: f"{{:,.0f}} {LABELS[name]}" for name in ("params", "flops")
}
LOOKS: dict[str, dict[str, Any]] = {  # by role
    "final": {"name": "final candidates", "marker": {"symbol": "diamond-open", "size": 8}},
    "front": {"name": "front", "marker": {"symbol": "triangle-up", "size": 10}, "line": {"shape": "hv", "width": 1.5}},
    "chosen": {"name": "network chosen", "marker": {"symbol": "star", "size": 16}},
}


class Chart(NamedTuple):
    """A figure, and what a reader has to know of it, in sentences."""

    figure: go.Figure
    notes: list[str]


def networks_chart(run: Run) -> Chart:
    """All networks that a run measured, by two objectives or by one and size, with the front and the network chosen.

    Raises AnalysisError where no network has both figures.
    """
    x, y = axes_of(run)
    rows = measured(run)
    final = rows["origin"] == "final"
    searched, notes = _thinned(rows[~final], "networks of the search")
    at_end, of_final = _thinned(rows[final], "final candidates")
    best, of_front = _thinned(front(run), "networks of the front")
    shown = _Shown(describer(run.settings), [y, x, *run.objectives[2:]])
    figure = go.Figure(layout=_layout(objective_label(x), objective_label(y), rows[y]))
    if len(searched):
        figure.add_trace(_cloud(searched, x, y, shown))
    joined = "markers" if len(run.objectives) > 2 else "lines+markers"
    last = rows[rows["state"] == rows["state"].max()]
    chosen = last[last["genotype"] == str(look(run.result, "best", "genotype"))].tail(1)
    for role, found in (("final", at_end), ("front", best), ("chosen", chosen)):
        if len(found):
            drawn = {"mode": joined if role == "front" else "markers", "hovertext": shown.texts(found), **LOOKS[role]}
            figure.add_trace(go.Scatter(x=found[x], y=found[y], hoverinfo="text", meta=role, **drawn))
    notes += of_final + of_front
    try:
        true = true_front(run) if len(run.objectives) == 2 else None
    except AnalysisError as error:
        notes.append(f"The true front of the table is not drawn: {error}.")
        true = None
    if true is not None:
        order = np.argsort(true[:, 1], kind="stable")
        xy = {"x": true[order, 1], "y": true[order, 0]}
        line = {"shape": "hv", "dash": "dash", "width": 1.5}
        figure.add_trace(go.Scatter(**xy, mode="lines", line=line, name="true front of the table", meta="true"))
    return Chart(figure, notes)


def convergence_chart(run: Run) -> Chart:
    """Best and median of the first objective by generation; values of different supernet states are not joined.

    Raises AnalysisError where no generation is known.
    """
    rows, notes = _thinned(generations(run), "generations")
    changes = state_changes(rows)
    shown = _Shown(describer(run.settings), [axes_of(run)[1], "params", "flops"])
    texts = {"median": rows["generation"].map("generation {}: median ".format), "best": _of_best(run, rows, shown)}
    texts["median"] += rows["median"].map("{:.6g}".format)
    label = objective_label(run.objectives[0]) if run.objectives else "first objective"
    figure = go.Figure(layout=_layout("generation", label, pd.concat([rows["best"], rows["median"]])))
    for name, symbol in (("median", "square-open"), ("best", "circle")):
        points: list[tuple[object, object, object]] = []
        for piece in by_state(rows.assign(text=texts[name])):
            points += [*zip(piece["generation"], piece[name], piece["text"], strict=True), (None, None, None)]
        x, y, text = zip(*points, strict=True)
        drawn = {"mode": "lines+markers", "marker": {"symbol": symbol, "size": 7}, "line": {"width": 1.5}, "meta": name}
        figure.add_trace(go.Scatter(x=x, y=y, hovertext=text, hoverinfo="text", name=name, **drawn))
    figure.update_xaxes(_ticks(rows["generation"]))
    if len(changes) <= MANY:
        for place in changes:
            figure.add_vline(place, line={"dash": "dot", "width": 1}, layer="below")
        notes += ["Dotted lines are where the supernet's state changes."] * bool(changes)
    return Chart(figure, notes)


def hypervolume_chart(run: Run) -> Chart:
    """Hypervolume of each generation by evaluations, and that of the true front where a table has told it.

    Raises AnalysisError where none is known.
    """
    rows, notes = _thinned(hypervolumes(run), "generations")
    if rows.empty:
        raise AnalysisError("generations.csv has no hypervolume")
    figure = go.Figure(layout=_layout("evaluations", "hypervolume (share of box)", rows["volume"]))
    text = [f"generation {generation}: hypervolume {volume:.6g}" for generation, volume in rows["volume"].items()]
    drawn = {"mode": "lines+markers", "line": {"width": 1.5}, "hovertext": text, "hoverinfo": "text"}
    figure.add_trace(go.Scatter(x=rows["evaluations"], y=rows["volume"], name="hypervolume", meta="best", **drawn))
    true = run.figure("front", "true_hypervolume")
    if np.isfinite(true):
        ends = rows["evaluations"].iloc[[0, -1]]
        line = {"dash": "dash", "width": 1.5}
        name = "true front of the table"
        figure.add_trace(go.Scatter(x=ends, y=[true, true], mode="lines", line=line, name=name, meta="true"))
    return Chart(figure, notes)


class _Shown:
    """The text that a point shows: its figures, where it comes from, and its architecture."""

    def __init__(self, describe: Callable[[object], list[str]], first: list[str]) -> None:
        self._describe = describe
        self._names = list(dict.fromkeys([*first, "error", "params"]))

    def texts(self, rows: pd.DataFrame) -> list[str]:
        return [self._text(row) for row in rows.to_dict("records")]

    def _text(self, row: dict[Any, Any]) -> str:
        figures = [figure_text(name, row[name]) for name in self._names if np.isfinite(_float(row.get(name)))]
        where = f"generation {row['generation']}, supernet state {row['state']}, {row['origin']}"
        phrases = [plain(phrase).replace(" ", "\u00a0") for phrase in self._describe(row["genotype"])]  # kept whole
        lines = textwrap.wrap(", ".join(phrases), LETTERS, max_lines=LINES, placeholder=" …")
        text = "\n".join([", ".join(figures), plain(where), *lines]).replace("\u00a0", " ")
        # plotly reads tags and entities in it; a lone > is none, and there is one in every phrase.
        return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")


def figure_text(name: str, value: float) -> str:
    """A figure of a network in words, with its unit."""
    return UNITS[name].format(value) if name in UNITS else f"{plain(name)} {value:.6g}"


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.number) else np.nan


def _of_best(run: Run, rows: pd.DataFrame, shown: _Shown) -> pd.Series[str]:
    """The text of the best network of each generation in `rows`, as far as history.csv has it."""
    searched = run.history[run.history["origin"] != "final"]
    name = axes_of(run)[1]
    values = pd.to_numeric(searched.reindex(columns=[name])[name], errors="coerce").dropna()
    best = searched.loc[values.groupby(searched["generation"]).idxmin()]
    best = best[best["generation"].isin(rows["generation"])]
    texts = dict(zip(best["generation"], shown.texts(best), strict=True))
    known = zip(rows["generation"], rows["best"], strict=True)
    found = [texts.get(generation, f"generation {generation}: best {value:.6g}") for generation, value in known]
    return pd.Series(found, index=rows.index)


def _cloud(rows: pd.DataFrame, x: str, y: str, shown: _Shown) -> go.Scatter:
    """The networks of the search, coloured by generation."""
    marker: dict[str, Any] = {"symbol": "circle", "size": 7, "opacity": 0.75}
    if rows["generation"].nunique() > 1:
        bar = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "len": 0.5, "thickness": 8}
        bar |= {"title": {"text": "generation", "side": "top", "font": {"size": 12}}, **_ticks(rows["generation"])}
        marker |= {"color": rows["generation"], "colorscale": "Cividis", "colorbar": bar}
    text = shown.texts(rows)
    return go.Scatter(
        x=rows[x],
        y=rows[y],
        hovertext=text,
        hoverinfo="text",
        mode="markers",
        marker=marker,
        meta="searched",
        name="networks of the search",
    )


def _thinned(rows: pd.DataFrame, what: str) -> tuple[pd.DataFrame, list[str]]:
    """At most MOST of the rows, evenly spread over them, and a sentence that says so where they are fewer."""
    if len(rows) <= MOST:
        return rows, []
    places = np.linspace(0, len(rows) - 1, MOST).round().astype(int)
    return rows.iloc[places], [f"Of {len(rows):,} {what}, {MOST:,} are drawn, evenly spread over them."]


def _ticks(generations: pd.Series[int]) -> dict[str, Any]:
    """No ticks between generations."""
    return {"dtick": 1} if generations.max() < FEW else {}


def _layout(x: str, y: str, values: pd.Series[float]) -> dict[str, Any]:
    """Axes; the vertical one is logarithmic where `values` lie so far apart that a linear one shows the worst alone."""
    low, high = values.min(), values.max()
    vertical: dict[str, Any] = {"title": {"text": html.escape(y)}}
    if 0 < WIDE * low < high:
        vertical |= {
            "type": "log",
            "dtick": "D2",
            "tickformat": ",.4~g",
            "title": {"text": f"{html.escape(y)}, logarithmic"},
        }
    return {
        "template": None,
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 0, "yanchor": "bottom", "yref": "container"},
        "showlegend": True,
        "xaxis": {"title": {"text": html.escape(x)}},
        "yaxis": vertical,
    }
