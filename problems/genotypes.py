"""pymoo's view of a space: a matrix of integers, one row a genotype."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evonas.search.nsga2 import Variables
from evonas.spaces.base import Genotype, Space


class GenotypeProblem(Variables):
    """n_var integer variables, one a gene, within 0 to cardinality - 1; n_obj objectives, minimised.

    limits: the most that a network may cost, by name of the cost; n_ieq_constr constraints cost / limit - 1 <= 0.
    """

    def __init__(self, space: Space, objectives: int, limits: Mapping[str, float] | None = None) -> None:
        self.limits = dict(limits or {})
        super().__init__(space, objectives, len(self.limits))
        self.space = space

    def violations(self, costs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The constraints of n networks from their costs, each (n,) in the unit of its limit.

        Shape (n, limits), cost / limit - 1: above zero where broken. `costs` has all names of `limits`.
        """
        rows = len(next(iter(costs.values())))
        columns = [np.asarray(costs[name], float) / limit - 1.0 for name, limit in self.limits.items()]
        return np.column_stack(columns) if columns else np.zeros((rows, 0))

    def genotypes(self, X: np.ndarray) -> list[Genotype]:
        """The rows of a population matrix (n, n_var), each repaired. Raises ValueError for rows of another length."""
        return [self.space.repair(row) for row in np.asarray(X, dtype=int).tolist()]
