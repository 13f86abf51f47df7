"""The rows of a run's tables: what was measured, written so that reading gives the same bits."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence

from evonas.search.fitness import Measurement
from evonas.spaces.base import Space

FIGURES = ("error", "loss", "params", "flops")
Row = dict[str, object]


def measurement_rows(
    space: Space, generation: int, origins: Sequence[str], measured: Sequence[Measurement], seconds: float
) -> list[Row]:
    """Rows of history.csv; the `seconds` that a generation took are spread evenly over its members.

    A table has no loss, which is left empty then; objectives of other names get columns of their own.
    """
    return [
        {
            "generation": generation,
            "state": m.state,
            "genotype": json.dumps(m.genotype),
            "canonical": json.dumps(space.canonical(m.genotype)),
            "origin": origin,
            "error": repr(m.details["error"]),
            "loss": repr(m.details["loss"]) if "loss" in m.details else "",
            "params": int(m.details["params"]),
            "flops": int(m.details["flops"]),
            **{name: repr(value) for name, value in m.details.items() if name not in FIGURES},
            "seconds": f"{seconds / len(measured):.4f}",
        }
        for origin, m in zip(origins, measured, strict=True)
    ]


def front_rows(rows: Sequence[Row], front: Sequence[Measurement], knee: Measurement) -> list[Row]:
    """Rows of pareto.csv: those of `rows` that are on the front, in its order, with the knee marked."""
    by_genotype = {row["genotype"]: row for row in rows}
    return [{**by_genotype[json.dumps(m.genotype)], "knee": int(m is knee)} for m in front]


def model_rows(known: Sequence[Measurement], predictions: Iterable[float], final: Sequence[Measurement]) -> list[Row]:
    """Rows of model.csv: what the model of the final choice was fitted to, beside what it says."""
    candidates = {m.genotype for m in final}
    return [
        {
            "genotype": json.dumps(m.genotype),
            "candidate": int(m.genotype in candidates),
            "measured": repr(m.objectives[0]),
            "predicted": repr(float(prediction)),
        }
        for m, prediction in zip(known, predictions, strict=True)
    ]


def generation_row(
    generation: int, measured: Sequence[Measurement], hypervolume: float | None, repairs: int, seconds: float
) -> Row:
    """A row of generations.csv: best and median of the first objective, on the generation's own state.

    hypervolume: of what was measured, where there are several objectives. repairs: draws that it took to be repaired.
    """
    values = [m.objectives[0] for m in measured]
    return {
        "generation": generation,
        "state": measured[0].state,
        "n": len(measured),
        "best": repr(min(values)),
        "median": repr(statistics.median(values)),
        "hypervolume": "" if hypervolume is None else repr(hypervolume),
        "repairs": repairs,
        "seconds": f"{seconds:.4f}",
    }


def figures_of(row: Row) -> dict[str, float]:
    """The numbers of a row of generations.csv that are worth a curve."""
    return {name: float(str(row[name])) for name in ("best", "median", "hypervolume", "seconds") if row[name] != ""}


def read_generations(
    rows: Sequence[Mapping[str, str]],
    objectives: Sequence[str],
    limits: Mapping[str, float],
    protocol: str,
    generations: int,
) -> list[list[Measurement]]:
    """The measurements of the first `generations` generations, from the rows of history.csv."""
    read: list[list[Measurement]] = [[] for _ in range(generations)]
    for row in rows:
        details = {name: float(row[name]) for name in (*FIGURES, "latency_ms", *objectives) if name in row}
        values = tuple(details[name] for name in objectives)
        genotype = tuple(json.loads(row["genotype"]))
        violations = tuple(details[name] / limit - 1.0 for name, limit in limits.items())
        measured = Measurement(genotype, values, int(row["state"]), protocol, details, violations)
        read[int(row["generation"])].append(measured)
    return read
