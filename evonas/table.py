"""Ground-truth tables: one row a network that others trained for real, as CSV with a header. No torch.

A column is read when it is used, so that cells of other columns may be empty or hold anything.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from evonas.config import TableSettings
from evonas.errors import TableError, nearest
from evonas.files import bounded_lines
from evonas.spaces.base import Genotype, Space

SHIPPED = {
    # Apache-2.0; the notice lies beside it.
    "nb-macro": TableSettings(file="nb-macro", genotype="arch", fitness="mean_acc", report="mean_acc"),  # type: ignore[call-arg]
}
SHIPPED_RUNS = {"nb-macro": ("acc_1", "acc_2", "acc_3")}  # columns of repeated trainings
_TABLES: dict[tuple[object, ...], Table] = {}
ENUMERABLE = 10**6  # genotypes of a space up to which a table is checked to hold them all


@dataclass(frozen=True, eq=False)
class Table:
    """genotypes: one a row. lines: the row's line in the file, for messages. cells: text by column."""

    name: str
    genotypes: tuple[Genotype, ...]
    lines: tuple[int, ...]
    cells: Mapping[str, tuple[str, ...]]
    rows: Mapping[Genotype, int]
    _parsed: dict[str, np.ndarray] = field(default_factory=dict, repr=False)  # whole columns

    def __len__(self) -> int:
        return len(self.genotypes)

    def row(self, genotype: Genotype, space: Space) -> int:
        """The row of a genotype, or of the one that stands for the same network. Raises TableError where none is."""
        if genotype in self.rows:
            return self.rows[genotype]
        network = space.canonical(genotype)
        if network not in self.rows:
            raise _no_row(self.name, genotype, space)
        return self.rows[network]

    def find(self, genotypes: Sequence[Genotype], space: Space) -> list[int]:
        """The row of each genotype. Raises TableError as `row` does."""
        return [self.row(genotype, space) for genotype in genotypes]

    def numbers(self, column: str, rows: Sequence[int] | None = None) -> np.ndarray:
        """A column as finite numbers, shape (rows,). Raises TableError with line and column of what is none."""
        texts = self._column(column)
        if rows is not None:
            return np.array([self._number(texts[row], column, row) for row in rows])
        if column not in self._parsed:
            self._parsed[column] = np.array([self._number(text, column, row) for row, text in enumerate(texts)])
        return self._parsed[column]

    def scores(self, column: str, rows: Sequence[int]) -> np.ndarray:
        """Cells of a column as numbers, shape (n,); nan where a cell holds no finite one."""
        texts = self._column(column)
        values = np.array([_float(texts[row]) for row in rows])
        return np.where(np.isfinite(values), values, math.nan)

    def truth(self, column: str) -> dict[Genotype, float]:
        """A column of accuracies by genotype."""
        return dict(zip(self.genotypes, map(float, self.accuracies(column)), strict=True))

    def accuracies(self, column: str) -> np.ndarray:
        """A column as accuracies in percent, shape (rows,). Raises TableError for what lies outside 0 to 100."""
        values = self.numbers(column)
        for row in np.flatnonzero((values < 0) | (values > 100))[:1]:
            raise TableError(
                f"{self._place(int(row), column)} is {values[row]:g}; expected an accuracy in percent, 0 to 100"
            )
        return values

    def costs(self, column: str) -> np.ndarray:
        """A column as costs, shape (rows,). Raises TableError for what is below zero."""
        values = self.numbers(column)
        for row in np.flatnonzero(values < 0)[:1]:
            raise TableError(f"{self._place(int(row), column)} is {values[row]:g}; expected a cost, 0 or more")
        return values

    def _column(self, column: str) -> tuple[str, ...]:
        require_column(self.name, column, self.cells)
        return self.cells[column]

    def _number(self, text: str, column: str, row: int) -> float:
        value = _float(text)
        if not math.isfinite(value):
            what = "empty" if not text.strip() else repr(text)
            raise TableError(f"{self._place(row, column)} is {what}; expected a finite number")
        return value

    def _place(self, row: int, column: str) -> str:
        return f"table {self.name}: row {row + 1} (line {self.lines[row]}), column {column!r}"


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def complete(settings: TableSettings) -> TableSettings:
    """Table settings with the defaults of a shipped table filled in, or the file's absolute path.

    Raises TableError where no such table is, or a column that has no default is not named.
    """
    assert settings.file is not None
    name = settings.file
    path = Path(name).expanduser()
    if path.is_file():
        settings = settings.model_copy(update={"file": str(path.absolute())})
    elif name in SHIPPED:
        given = {key: value for key, value in settings.model_dump().items() if value is not None}
        settings = SHIPPED[name].model_copy(update=given)
    else:
        raise TableError(f"table {name!r} is no file and no shipped table{nearest(name, SHIPPED)}")
    missing = [f"table.{key}" for key in ("genotype", "fitness") if getattr(settings, key) is None]
    if missing:
        columns = ", ".join(_records(_path(name), name)[0])
        ways = " and ".join(f"--set {name}=..." for name in missing)
        raise TableError(f"name the columns of the table by {ways}; it has {columns}")
    return settings.model_copy(update={"report": settings.report or settings.fitness})


def read(settings: TableSettings, space: Space) -> Table:
    """The table of completed settings, its genotypes checked against the space. Raises TableError where malformed.

    A file that has not changed is read once, since a grid of runs searches one table thousands of times.
    """
    assert settings.file is not None and settings.genotype is not None
    path = _path(settings.file)
    if settings.file in SHIPPED and path.parent == Path(__file__).parent / "tables" and space.name != settings.file:
        # Its codes would be read as operations that they do not mean.
        raise TableError(f"table {settings.file} is of the space {settings.file}, and the settings have {space.name}")
    try:
        about = path.stat()
    except OSError as error:
        raise TableError(f"cannot read the table {settings.file}: {error.strerror}") from None
    key = (path, about.st_mtime_ns, about.st_size, settings.genotype, space.name, space.cardinalities)
    if key not in _TABLES:
        _TABLES.clear()  # one table in memory is enough
        _TABLES[key] = _read(settings, space, path)
    return _TABLES[key]


def _read(settings: TableSettings, space: Space, path: Path) -> Table:
    assert settings.file is not None and settings.genotype is not None
    header, lines, records = _records(path, settings.file)
    require_column(settings.file, settings.genotype, header)
    cells = {name: tuple(record[index] for record in records) for index, name in enumerate(header)}
    genotypes: list[Genotype] = []
    rows: dict[Genotype, int] = {}
    for row, code in enumerate(cells[settings.genotype]):
        place = f"table {settings.file}: row {row + 1} (line {lines[row]}), column {settings.genotype!r}"
        genotype = _genotype(code.strip(), space, place)
        if genotype in rows:
            raise TableError(f"{place} holds {code!r} a second time; it stands in row {rows[genotype] + 1} already")
        rows[genotype] = row
        genotypes.append(genotype)
    table = Table(settings.file, tuple(genotypes), tuple(lines), cells, rows)
    _require_whole(table, space)
    return table


def as_truth(file: str, columns: TableSettings) -> TableSettings:
    """Completed settings of the table `file` with the columns that `columns` names, of which `report` is the truth."""
    fitness = columns.fitness or columns.report
    return complete(columns.model_copy(update={"file": file, "fitness": fitness}))


def require_column(table: str, column: str, columns: Sequence[str] | Mapping[str, object]) -> None:
    """Raise TableError unless `column` is one of the table's, naming the nearest."""
    if column not in columns:
        raise TableError(f"table {table} has no column {column!r}{nearest(column, columns)}")


def _path(file: str) -> Path:
    path = Path(file).expanduser()
    return Path(__file__).parent / "tables" / f"{file}.csv" if file in SHIPPED and not path.is_file() else path


def _records(path: Path, name: str) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, line numbers and cells of a CSV file. Raises TableError for what is none, or is ragged."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(bounded_lines(file), strict=True)
            header = next(reader, [])
            numbered = [(reader.line_num, record) for record in reader if record]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not CSV in UTF-8 ({error})"
        raise TableError(f"cannot read the table {name}: {reason}") from None
    if not header or not numbered:
        raise TableError(f"table {name} has no rows; expected a header line and one line a network")
    twice = {column for column in header if header.count(column) > 1}
    if twice:
        raise TableError(f"table {name} names the column {min(twice)!r} twice")
    for row, (line, record) in enumerate(numbered):
        if len(record) != len(header):
            column = header[len(record)] if len(record) < len(header) else header[-1]
            raise TableError(
                f"table {name}: row {row + 1} (line {line}) has {len(record)} cells and the header {len(header)}; "
                + (f"column {column!r} is missing" if len(record) < len(header) else f"too many after {column!r}")
            )
    return header, [line for line, _ in numbered], [record for _, record in numbered]


def _genotype(code: str, space: Space, place: str) -> Genotype:
    if not (code.isascii() and code.isdigit()) or len(code) != space.n_genes:
        raise TableError(f"{place} is {code!r}; expected {space.n_genes} digits, one a gene of {space.name}")
    genotype = tuple(int(digit) for digit in code)
    for position, (gene, n) in enumerate(zip(genotype, space.cardinalities, strict=True)):
        if gene >= n:
            raise TableError(f"{place} is {code!r}: gene {position + 1} is {gene}; expected 0 to {n - 1}")
    return genotype


def _require_whole(table: Table, space: Space) -> None:
    """Raise TableError where a network of the space has no row."""
    if math.prod(space.cardinalities) > ENUMERABLE:
        return
    for genotype in product(*(range(n) for n in space.cardinalities)):
        if genotype not in table.rows and space.is_valid(genotype) and space.canonical(genotype) not in table.rows:
            raise _no_row(table.name, genotype, space)


def _no_row(table: str, genotype: Genotype, space: Space) -> TableError:
    code = "".join(map(str, genotype))
    return TableError(f"table {table} has no row for the genotype {code} of the space {space.name}")
