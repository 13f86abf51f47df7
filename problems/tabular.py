"""Fitness from a ground-truth table, as a pymoo problem. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from evonas.config import TableSettings
from evonas.errors import TableError, nearest
from evonas.spaces.base import Genotype, Space
from evonas.table import Table
from problems.fronts import non_dominated
from problems.genotypes import GenotypeProblem

COSTS = ("params", "flops")


def cost_columns(table: Table, settings: TableSettings) -> dict[str, str]:
    """The columns of params and flops, by these names; none for a cost that the table does not have."""
    named = {name: getattr(settings, name) for name in COSTS}
    return {name: column or name for name, column in named.items() if column is not None or name in table.cells}


class TabularProblem(GenotypeProblem):
    """Minimise columns of a table over the genotypes of a space; nothing is trained and no state ever changes.

    n_var integer variables, one a gene, within 0 to cardinality - 1. `evaluate(X)` takes an (n, n_var) matrix of
    genotypes and gives F of shape (n, n_obj); asked for a dictionary it also gives error (100 - fitness, percent),
    params, flops and every objective by its name, each of shape (n,).

    settings: completed (`evonas.table.complete`). objectives: error, params, flops (multiply-adds), or names of
    columns, taken as they are. image_shape, (C, H, W), and classes count the costs of networks whose table has no
    columns for them. limits: the most that a network may cost, of params and flops. Raises TableError for columns that
    are missing or malformed, and other limits; `evaluate` raises it for a network that has no row, and pymoo's
    AssertionError for rows of another length.
    """

    state = 0

    def __init__(
        self,
        space: Space,
        table: Table,
        settings: TableSettings,
        objectives: Sequence[str],
        image_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(space, len(objectives), limits)
        assert settings.fitness is not None
        self.table = table
        self.objectives = tuple(objectives)
        self.protocol = f"{table.name}, {settings.fitness}"
        self._images = image_shape, classes
        self._columns = {"error": 100.0 - table.accuracies(settings.fitness)}
        for name, column in cost_columns(table, settings).items():
            self._columns[name] = table.costs(column)
        for name in self.objectives:
            if name not in (*self._columns, *COSTS):
                self._columns[name] = self._objective(name)
        for name in self.limits:
            if name not in COSTS:
                raise TableError(f"problem.limits.{name} is not for tables; limit {' or '.join(COSTS)}")
        self._measured: set[Genotype] = set()  # canonical forms

    def _objective(self, name: str) -> np.ndarray:
        if name == "latency_ms" and name not in self.table.cells:
            raise TableError(f"latency_ms is not measured for a table; name a column of {self.table.name} instead")
        if name not in self.table.cells:
            others = (column for column in self.table.cells if column not in COSTS)
            known = ("error", *COSTS, *others)
            raise TableError(f"objective {name!r} is no column of the table {self.table.name}{nearest(name, known)}")
        return self.table.numbers(name)

    @cached_property
    def objective_bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest value of each objective, n_obj pairs: of an error 0 and 100, of a column the table's.

        Raises TableError as `costs` does.
        """
        return [(0.0, 100.0) if name == "error" else self._range(name) for name in self.objectives]

    def _range(self, name: str) -> tuple[float, float]:
        if name in self._columns:
            values = self._columns[name]
        else:
            values = np.array([self._counted(genotype)[COSTS.index(name)] for genotype in self.table.genotypes], float)
        return float(values.min()), float(values.max())

    def true_front(self) -> tuple[list[Genotype], np.ndarray]:
        """The non-dominated of all valid rows that keep the limits: genotypes and objectives (m, n_obj), minimised.

        Distinct in their values, in order of the first objective. Empty where no row keeps the limits. Raises
        TableError as `costs` does.
        """
        genotypes = [genotype for genotype in self.table.genotypes if self.space.is_valid(genotype)]
        out = self._values(genotypes)
        values = np.column_stack([out[name] for name in self.objectives]).astype(float)
        kept = np.flatnonzero((self.violations(out) <= 0).all(axis=1))
        if not len(kept):
            return [], np.zeros((0, len(self.objectives)))
        front = kept[non_dominated(values[kept])]
        _, first = np.unique(values[front], axis=0, return_index=True)
        rows = front[first]
        return [genotypes[row] for row in rows], values[rows]

    def is_measured(self, genotype: Genotype) -> bool:
        """Whether this network was measured before, under any of its genotypes, so that it costs nothing again."""
        return self.space.canonical(genotype) in self._measured

    def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        genotypes = self.genotypes(X)
        self._measured.update(self.space.canonical(genotype) for genotype in genotypes)
        values = self._values(genotypes)
        out["F"] = np.column_stack([values[name] for name in self.objectives]).astype(float)
        out.update(values)
        if self.limits:
            out["G"] = self.violations(values)

    def _values(self, genotypes: Sequence[Genotype]) -> dict[str, np.ndarray]:
        """Error, params, flops and the objectives of genotypes by name, each (n,)."""
        rows = self.table.find(genotypes, self.space)
        values = {name: column[rows] for name, column in self._columns.items()}
        missing = [name for name in COSTS if name not in values]
        if missing:
            costs = np.array([self._counted(genotype) for genotype in genotypes], dtype=float)
            values.update({name: costs[:, COSTS.index(name)] for name in missing})
        return values

    def costs(self, genotype: Genotype) -> dict[str, float]:
        """What a network costs: params and flops (multiply-adds).

        Raises TableError where the table has no row of it, or no column of a cost that the space does not count.
        """
        row = self.table.row(genotype, self.space)
        counted = dict(zip(COSTS, self._counted(genotype), strict=True)) if set(COSTS) - set(self._columns) else {}
        return {name: float(self._columns[name][row] if name in self._columns else counted[name]) for name in COSTS}

    def lowest_costs(self) -> dict[str, float]:
        """The least that a valid network of the table costs, each by itself. Raises TableError as `costs` does."""
        costs = [self.costs(genotype) for genotype in self.table.genotypes if self.space.is_valid(genotype)]
        return {name: min(cost[name] for cost in costs) for name in COSTS}

    def _counted(self, genotype: Genotype) -> tuple[int, int]:
        cost = self.space.cost(genotype, *self._images)
        if cost is None:
            raise TableError(
                f"the table {self.table.name} has no columns 'params' and 'flops'; name them by --set table.params=... "
                "and --set table.flops=..."
            )
        return cost
