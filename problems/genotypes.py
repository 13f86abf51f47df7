"""pymoo's view of a space: a matrix of integers, one row a genotype."""

from __future__ import annotations

import numpy as np
from pymoo.core.problem import Problem

from evonas.spaces.base import Genotype, Space


class GenotypeProblem(Problem):
    """n_var integer variables, one a gene, within 0 to cardinality - 1; n_obj objectives, minimised."""

    def __init__(self, space: Space, objectives: int) -> None:
        super().__init__(
            n_var=space.n_genes,
            n_obj=objectives,
            xl=np.zeros(space.n_genes),
            xu=np.array(space.cardinalities) - 1,
            vtype=int,
        )
        self.space = space

    def genotypes(self, X: np.ndarray) -> list[Genotype]:
        """The rows of a population matrix (n, n_var), each repaired."""
        return [self.space.repair(row) for row in np.asarray(X, dtype=int).tolist()]
