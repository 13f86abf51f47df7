"""How well a supernet ranks networks: its scores of an audit against the truth, and from one state to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ranking import DECIMALS, Interval, Pair, Regional, by_region, ceiling_pairs, kendall, ranking
from analysis.schema import Kind, read_checked

Row = dict[str, object]
SUPERNET = {"supernet loss": "loss", "supernet error": "error"}  # scorer to column; lower is better in both
SIZES = ("flops", "params")  # more is held to be better: the baseline that a supernet has to beat
GROUPS = ("all", "uniform", "population")


def rows(
    audit: pd.DataFrame,
    truth: np.ndarray,
    rng: np.random.Generator,
    *,
    seeds: np.ndarray | None = None,
    others: Mapping[str, np.ndarray] | None = None,
    distinct: bool = True,
    resamples: int = 1000,
) -> list[Row]:
    """One row a state, scorer and region: the scorer's ranking of the audit, with 95 % bootstrap intervals.

    audit: as `read_audit` gives it. truth: (rows of the audit,), higher is better. seeds: (rows of the audit, seeds),
    the same in repeated trainings, for the row `ceiling`. others: further scorers, each (rows of the audit,), higher is
    better. distinct: genotypes with one canonical form count as one
    network, with the mean of their scores and of their truth. The scorers that no state changes (flops, params,
    others, ceiling) come last, once, over the genotypes of all states, with state None.
    """
    key = "canonical" if distinct else "genotype"
    seed_names = [f"seed {i}" for i in range(0 if seeds is None else seeds.shape[1])]
    frame = audit[["state", key, *SUPERNET.values(), *SIZES]].assign(truth=truth)
    if seeds is not None:
        frame[seed_names] = seeds
    beside = dict(others or {})
    frame = frame.assign(**beside)
    frame = frame.groupby(["state", key], as_index=False).mean().round(DECIMALS)
    found: list[Row] = []
    for state, audited in frame.groupby("state"):
        for scorer, column in SUPERNET.items():
            found += _rows(int(str(state)), scorer, [_pair(-audited[column], audited)], rng, resamples)
    once = frame.drop_duplicates(key)
    for column in (*SIZES, *beside):
        found += _rows(None, column, [_pair(once[column], once)], rng, resamples)
    if len(seed_names) > 1:
        found += _rows(None, "ceiling", ceiling_pairs(once[seed_names].to_numpy(float)), rng, resamples)
    return found


def population_rows(
    history: pd.DataFrame, truth: np.ndarray, rng: np.random.Generator, resamples: int = 1000
) -> list[Row]:
    """Rows as those of `rows`, for the members of the populations: region `population` by state, and `final`.

    history: columns state, canonical, origin (`final` marks the final candidates), error, loss, params and flops, one
    row a measurement; truth: (rows,), higher is better. A network that was measured twice on a state counts once.
    """
    found: list[Row] = []
    final = history["origin"] == "final"
    members = history.assign(truth=truth)
    for region, chosen in (("population", members[~final]), ("final", members[final])):
        for state, measured in chosen.drop_duplicates(["state", "canonical"]).groupby("state"):
            scores = {scorer: -measured[column] for scorer, column in SUPERNET.items()}
            for scorer, values in (scores | {name: measured[name] for name in SIZES}).items():
                regional = by_region([_pair(values, measured)], rng, resamples)["global"]
                found.append({"state": int(str(state)), "scorer": scorer, "region": region, **_figures(regional)})
    return found


def whole_rows(scores: Mapping[str, np.ndarray], truth: np.ndarray) -> list[Row]:
    """One row a scorer, region `table`: the ranking of every row of a table, without intervals, since it is no sample.

    scores: each (rows,), higher is better, as is truth (rows,).
    """
    none = Interval(np.nan, np.nan)
    return [
        {
            "state": None,
            "scorer": scorer,
            "region": "table",
            **_figures(Regional(ranking(values, truth), none, none)),
        }
        for scorer, values in scores.items()
    ]


def between_states(audit: pd.DataFrame) -> list[Row]:
    """One row a pair of consecutive states, scorer and probe group, over the genotypes that both states scored.

    drift: median change of the scorer's own figure (loss in nats, error in percent; below zero it improved); over the
    group `uniform`, a rise is forgetting. self_consistency: Kendall's tau between the two states. The groups of the
    column `probe` have rows where it stands there; `all` holds every genotype.
    """
    states = {int(str(state)): scored for state, scored in audit.groupby("state")}
    order = sorted(states)
    found: list[Row] = []
    for previous, state in pairwise(order):
        both = states[previous].merge(states[state], on="genotype", suffixes=("_before", ""))
        for scorer, column in SUPERNET.items():
            for group, members in _groups(both):
                before, after = (members[name].to_numpy(float) for name in (f"{column}_before", column))
                finite = np.isfinite(before) & np.isfinite(after)
                before, after = before[finite], after[finite]
                found.append(
                    {
                        "state": state,
                        "previous": previous,
                        "scorer": scorer,
                        "probe": group,
                        "n": len(after),
                        "drift": float(np.median(after - before)) if len(after) else np.nan,
                        "self_consistency": kendall(before, after),
                    }
                )
    return found


def write_correlation(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write such rows as CSV, floats so that reading gives the same bits, empty cells for None and nan."""
    # As objects, so that whole numbers beside an empty cell stay whole.
    pd.DataFrame(list(rows), dtype=object).to_csv(path, index=False)


def read_correlation(path: Path) -> list[Row]:
    """The rows of a correlation.csv with what `states_figure` draws of them. Raises AnalysisError as `read_checked`."""
    names = ("state", "kendall", "kendall_low", "kendall_high")
    kinds: dict[str, Kind] = {"scorer": (str, "a scorer"), "region": (str, "a region"), **dict.fromkeys(names, NUMBER)}
    return _read(path, kinds, "one for each state, scorer and region")


def read_drift(path: Path) -> list[Row]:
    """The rows of a drift.csv with what `drift_figure` draws of them. Raises AnalysisError as `read_checked` does."""
    names = ("state", "drift", "self_consistency")
    kinds: dict[str, Kind] = {"scorer": (str, "a scorer"), "probe": (str, "a group"), **dict.fromkeys(names, NUMBER)}
    return _read(path, kinds, "one for each pair of states, scorer and group")


def _read(path: Path, kinds: Mapping[str, Kind], rows: str) -> list[Row]:
    frame = read_checked(path, kinds, rows=rows, hint="; write it with `evonas correlate`")
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _number(text: str) -> float:
    return float(text) if text else np.nan


NUMBER: Kind = (_number, "a number, or nothing")


def _pair(scores: pd.Series[float], frame: pd.DataFrame) -> Pair:
    return scores.to_numpy(float), frame["truth"].to_numpy(float)


def _groups(both: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for group in GROUPS:
        if group == "all":
            yield group, both
        elif "probe" in both and (both["probe"] == group).any():
            yield group, both[both["probe"] == group]


def _rows(
    state: int | None, scorer: str, pairs: Sequence[Pair], rng: np.random.Generator, resamples: int
) -> Iterator[Row]:
    for region, found in by_region(pairs, rng, resamples).items():
        yield {"state": state, "scorer": scorer, "region": region, **_figures(found)}


def _figures(found: Regional) -> Row:
    """The figures of a row in the order of its columns, each interval behind its figure."""
    figures: Row = {}
    for name, value in found.ranking._asdict().items():
        figures[name] = value
        if name in ("kendall", "spearman"):
            interval = found.kendall if name == "kendall" else found.spearman
            figures[f"{name}_low"], figures[f"{name}_high"] = interval
    return figures
