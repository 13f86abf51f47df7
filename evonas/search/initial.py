"""Genotypes that were found before, to start a search from."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from evonas.errors import RunError
from evonas.files import bounded_lines
from evonas.spaces.base import Genotype, Space
from evonas.spaces.limited import LimitedSpace


def read_initial(path: Path, space: Space) -> list[Genotype]:
    """Genotypes to start from: the front of a run folder, or a CSV file with a column `genotype` of JSON lists.

    Those that a limited space leaves out are left out. Raises RunError, with the line, for what is no genotype at all,
    and where none is left.
    """
    file = path / "pareto.csv" if path.is_dir() else path
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(bounded_lines(opened), strict=True)
            header = reader.fieldnames or ()
            numbered = [(reader.line_num, row.get("genotype")) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not CSV in UTF-8 ({error})"
        raise RunError(f"cannot read the first population from {file}: {reason}") from None
    if "genotype" not in header or not numbered:
        what = "rows" if "genotype" in header else "column `genotype`"
        raise RunError(f"{file} has no {what}; expected a column `genotype` and one line a genotype, as in pareto.csv")
    whole = space.space if isinstance(space, LimitedSpace) else space
    genotypes = [_genotype(text, whole, f"{file} line {line}") for line, text in numbered]
    kept = [genotype for genotype in genotypes if space.is_valid(genotype)]
    if not kept:
        raise RunError(
            f"none of the {len(genotypes)} genotypes of {file} keeps problem.limits; raise them, or leave it out"
        )
    return kept


def _genotype(text: str | None, space: Space, place: str) -> Genotype:
    try:
        genes = json.loads(text or "")
    except (ValueError, RecursionError):
        genes = None
    if not isinstance(genes, list) or not all(type(gene) is int for gene in genes) or not space.is_valid(genes):
        raise RunError(
            f"{place}: column 'genotype' is {str(text)[:60]!r}; expected a list of {space.n_genes} integers that is a "
            f"genotype of {space.name}"
        )
    return tuple(genes)
