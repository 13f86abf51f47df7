"""Networks that are trained without a search: by name, as genotypes, or those that a finished run has found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evonas.errors import ConfigError, RunError, nearest
from evonas.run import read_result, read_table, require_run, trusted
from evonas.search.fitness import spread
from evonas.spaces.base import Genotype, Space
from evonas.spaces.named import NAMED


def genotypes(space: Space, wanted: Sequence[str | Genotype]) -> list[Genotype]:
    """The genotypes of retrain.genotypes, each once. Raises ConfigError for an unknown name or what is no genotype."""
    known = NAMED.get(space.name, {})
    found = []
    for item in wanted:
        if isinstance(item, str):
            if item not in known:
                raise ConfigError(f"retrain.genotypes: {item!r} is no network of {space.name}{nearest(item, known)}")
            found.append(known[item])
        elif not space.is_valid(item):
            raise ConfigError(f"retrain.genotypes: {list(item)} is no genotype of {space.name} ({space.n_genes} genes)")
        else:
            found.append(item)
    return list(dict.fromkeys(found))


def space_of(name: str) -> str:
    """The space that a published network is of. Raises ConfigError for a name that none has."""
    for space, known in NAMED.items():
        if name in known:
            return space
    names = [name for known in NAMED.values() for name in known]
    raise ConfigError(f"{name!r} is no run folder and no published network{nearest(name, names)}")


def found_by(run: Path, top: int) -> list[Genotype]:
    """The `top` networks of a finished run: its best, then members of its front that are spread along it, or without a
    front the next by the final measuring.

    Raises RunError where the run is not finished, or searched a table.
    """
    require_run(run)
    result = read_result(run)
    if result is None:
        raise RunError(f"{run} is not finished; go on with it first (`evonas resume {run}`)")
    if "table" in result:
        raise RunError(f"{run} searched a table; give its network as a list, with --space and --dataset")
    with trusted(run):
        return _found(run, result, top)


def _found(run: Path, result: dict[str, Any], top: int) -> list[Genotype]:
    if result["algorithm"] == "retrain":
        others = [tuple(row["genotype"]) for row in result["networks"]]
    elif result["front"]:
        others = spread([_genotype(row) for row in read_table(run / "pareto.csv")], top)
    else:
        objective = next(iter(result["best"]["objectives"]))
        final = [row for row in read_table(run / "history.csv") if row["origin"] == "final"]
        others = [_genotype(row) for row in sorted(final, key=lambda row: float(row[objective]))]
    best = tuple(int(gene) for gene in result["best"]["genotype"])
    return list(dict.fromkeys([best, *others]))[:top]


def _genotype(row: dict[str, str]) -> Genotype:
    return tuple(int(gene) for gene in json.loads(row["genotype"]))
