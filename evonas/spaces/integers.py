"""Integer variables of any problem as a space: every combination is valid, and every one is another solution."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.spaces.base import Genotype, Space


class IntegerSpace(Space):
    """Genes with given numbers of values, counted from 0; nothing is known of what they mean."""

    name = "integers"

    def __init__(self, cardinalities: Sequence[int]) -> None:
        self._cardinalities = tuple(int(n) for n in cardinalities)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of values of each gene."""
        return self._cardinalities

    def canonical(self, genotype: Genotype) -> Genotype:
        """The genotype itself."""
        return genotype

    def describe(self, genotype: Genotype) -> list[str]:
        """The values, as text."""
        return [str(gene) for gene in genotype]
