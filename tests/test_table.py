"""Ground-truth tables: what is read, and one clear line for what cannot be."""

from pathlib import Path

import numpy as np
import pytest

from evonas.config import SinglePathSettings, TableSettings
from evonas.errors import TableError
from evonas.spaces import SinglePathSpace
from evonas.table import complete, read

SPACE = SinglePathSpace(SinglePathSettings(layers=(2,), strides=(1,), operations=("conv3", "skip")))
GOOD = "arch,acc,note\n00,90.5,\n01,80,x\n10,-inf,\n11,70,\n"
# Layer 1 keeps the shape too, so 01 and 10 are one network.


def settings(path: Path, **columns: str) -> TableSettings:
    return complete(TableSettings(**{"file": str(path), "genotype": "arch", "fitness": "acc", **columns}))  # type: ignore[arg-type]


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_rows_are_found_by_genotype_or_by_the_network_it_means(tmp_path: Path) -> None:
    table = read(settings(written(tmp_path, "arch,acc\n00,90\n01,80\n11,70\n")), SPACE)
    assert [table.row(g, SPACE) for g in ((0, 0), (0, 1), (1, 0), (1, 1))] == [0, 1, 1, 2]
    assert np.array_equal(table.numbers("acc"), [90, 80, 70])


def test_cells_that_are_not_used_may_hold_anything(tmp_path: Path) -> None:
    table = read(settings(written(tmp_path, GOOD)), SPACE)
    assert np.array_equal(table.numbers("acc", [0, 1]), [90.5, 80])


def test_the_shipped_table_needs_no_columns_named() -> None:
    chosen = complete(TableSettings(file="nb-macro"))  # type: ignore[call-arg]
    assert (chosen.genotype, chosen.fitness, chosen.report) == ("arch", "mean_acc", "mean_acc")


def test_a_relative_path_is_kept_as_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    assert settings(Path("table.csv")).file == str(tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["has no rows"]),
        ("arch,acc\n", ["has no rows"]),
        ("arch,acc,acc\n00,1,2\n", ["'acc'", "twice"]),
        ("code,acc\n00,1\n", ["no column 'arch'", "code, acc"]),
        ("arch,acc\n00,90\n01\n", ["row 2", "line 3", "'acc'"]),
        ("arch,acc\n00,90\n01,1,2\n", ["row 2", "line 3", "3 cells"]),
        ("arch,acc\n00,90\n0x,1\n", ["row 2", "'arch'", "2 digits"]),
        ("arch,acc\n00,90\n1,1\n", ["row 2", "'arch'", "2 digits"]),
        ("arch,acc\n00,90\n02,1\n", ["row 2", "'arch'", "gene 2 is 2", "0 to 1"]),
        ("arch,acc\n00,90\n00,1\n", ["row 2", "'arch'", "second time", "row 1"]),
        ("arch,acc\n00,90\n01,80\n", ["no row for the genotype 11"]),
    ],
)
def test_a_malformed_table_is_refused_by_row_and_column(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(TableError) as caught:
        read(settings(written(tmp_path, text)), SPACE)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "empty"),
        ("ninety", "'ninety'"),
        ("-inf", "'-inf'"),
        ("nan", "'nan'"),
        ("101", "0 to 100"),
        ("-1", "0 to 100"),
    ],
)
def test_a_cell_that_is_no_accuracy_is_refused_by_row_and_column(tmp_path: Path, cell: str, words: str) -> None:
    table = read(settings(written(tmp_path, f"arch,acc\n00,90\n\n01,{cell}\n11,1\n")), SPACE)
    with pytest.raises(TableError, match=r"row 2 \(line 4\), column 'acc'") as caught:
        table.accuracies("acc")
    assert words in str(caught.value)


def test_an_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    table = read(settings(written(tmp_path, GOOD)), SPACE)
    with pytest.raises(TableError, match="no column 'acv'; did you mean 'acc'"):
        table.numbers("acv")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is no file and no shipped table; did you mean 'nb-macro'"):
        complete(TableSettings(file="nb-macros"))  # type: ignore[call-arg]
    with pytest.raises(TableError, match=r"by --set table.genotype=... and --set table.fitness=...; it has arch, acc"):
        complete(TableSettings(file=str(written(tmp_path, GOOD))))  # type: ignore[call-arg]
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00arch")
    with pytest.raises(TableError, match="not CSV in UTF-8"):
        read(settings(tmp_path / "binary.csv"), SPACE)
