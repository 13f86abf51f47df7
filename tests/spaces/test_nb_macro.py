"""The space of NAS-Bench-Macro against its table, which is shipped."""

import itertools
from pathlib import Path

from tests_support import rows

import evonas
from evonas.config import NBMacroSettings
from evonas.spaces import NBMacroSpace

SPACE = NBMacroSpace(NBMacroSettings())  # type: ignore[call-arg]
TABLE = rows(Path(evonas.__file__).parent / "tables" / "nb-macro.csv")


def genes(code: str) -> tuple[int, ...]:
    return tuple(int(digit) for digit in code)


def test_the_published_numbers_of_genotypes_and_networks() -> None:
    genotypes = list(itertools.product(*(range(n) for n in SPACE.cardinalities)))
    assert len(genotypes) == 6561
    assert len({SPACE.canonical(genotype) for genotype in genotypes}) == 3969
    assert {genes(row["arch"]) for row in TABLE} == set(genotypes)


def test_canonical_forms_are_those_of_the_table() -> None:
    for row in TABLE:
        assert SPACE.canonical(genes(row["arch"])) == genes(row["canonical"])


def test_costs_are_those_of_the_table_on_every_row() -> None:
    for row in TABLE:
        assert SPACE.cost(genes(row["arch"]), (3, 32, 32), 10) == (int(row["params"]), int(row["flops"]))


def test_description_names_each_layer() -> None:
    assert SPACE.describe(genes("01200000"))[:3] == ["skip 32->64 /2", "mb3x3 64->64", "mb5x6 64->128 /2"]
