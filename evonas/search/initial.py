"""Genotypes that were found before, to start a search from."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from evonas.errors import RunError
from evonas.spaces.base import Genotype, Space


def read_initial(path: Path, space: Space) -> list[Genotype]:
    """Genotypes to start from: the front of a run folder, or a CSV file with a column `genotype` of JSON lists.

    Raises RunError, with the line, for what is no genotype of the space.
    """
    file = path / "pareto.csv" if path.is_dir() else path
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened, strict=True)
            numbered = [(reader.line_num, row.get("genotype")) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not CSV in UTF-8 ({error})"
        raise RunError(f"cannot read the first population from {file}: {reason}") from None
    if not numbered:
        raise RunError(f"{file} has no rows; expected a column `genotype` and one line a genotype, as in pareto.csv")
    return [_genotype(text, space, f"{file} line {line}") for line, text in numbered]


def _genotype(text: str | None, space: Space, place: str) -> Genotype:
    try:
        genes = json.loads(text or "")
    except (json.JSONDecodeError, RecursionError):
        genes = None
    if not isinstance(genes, list) or not all(type(gene) is int for gene in genes) or not space.is_valid(genes):
        raise RunError(
            f"{place}: column 'genotype' is {str(text)[:60]!r}; expected a list of {space.n_genes} integers that is a "
            f"genotype of {space.name} and keeps the limits"
        )
    return tuple(genes)
