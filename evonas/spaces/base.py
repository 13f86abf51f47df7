"""What a search space is: the genotypes it holds and the operators that stay inside it. No networks, no torch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

Genotype = tuple[int, ...]


class Space(ABC):
    """A set of genotypes (tuples of small integers, one a gene) closed under its own operators.

    Methods are handed valid genotypes; `is_valid` and `repair` alone take any. Operators draw from `rng` and nowhere
    else; they are ours where no source is named.

    Laws, tested for every space: `repair` is idempotent and the identity on valid genotypes; `canonical` is idempotent
    and equal for genotypes that mean the same network; `mutate` returns another network; `crossover` takes each unit
    from a parent at the same position. A subclass with units larger than a gene overrides `units`; one whose genes
    cannot all be combined overrides `is_valid` and `repair`, and the operators draw again what is not valid.
    """

    name: str
    tries: int = 1000  # draws outside the space before the last is repaired; an operator that hangs would be worse
    repairs: int = 0  # draws that were repaired so far

    @property
    @abstractmethod
    def cardinalities(self) -> tuple[int, ...]:
        """Number of values of each gene, shape (n_genes,)."""

    @abstractmethod
    def canonical(self, genotype: Genotype) -> Genotype:
        """The one genotype that stands for all that mean the same network."""

    @abstractmethod
    def describe(self, genotype: Genotype) -> list[str]:
        """The architecture for people: one word or phrase a unit, in order."""

    @property
    def n_genes(self) -> int:
        """Length of a genotype."""
        return len(self.cardinalities)

    @property
    def size(self) -> int:
        """Number of genotypes: all combinations of genes, unless a space counts better."""
        return math.prod(self.cardinalities)

    @property
    def units(self) -> tuple[slice, ...]:
        """The genes that operators move together, in order; a unit is one gene unless a space says otherwise."""
        return tuple(slice(i, i + 1) for i in range(self.n_genes))

    def is_valid(self, genotype: Sequence[int]) -> bool:
        """Whether a sequence of integers is a genotype of this space."""
        return len(genotype) == self.n_genes and all(
            0 <= gene < n for gene, n in zip(genotype, self.cardinalities, strict=True)
        )

    def repair(self, genotype: Sequence[int]) -> Genotype:
        """The valid genotype nearest to a sequence of `n_genes` integers: genes out of range go to the nearest value.

        Raises ValueError where the length is wrong, which no repair can mend.
        """
        if len(genotype) != self.n_genes:
            raise ValueError(f"a genotype of {self.name} has {self.n_genes} genes; got {len(genotype)}")
        return tuple(min(max(int(gene), 0), n - 1) for gene, n in zip(genotype, self.cardinalities, strict=True))

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A genotype drawn uniformly."""
        return self._drawn(lambda: rng.integers(self.cardinalities))

    def crossover(self, first: Genotype, second: Genotype, rng: np.random.Generator) -> Genotype:
        """A child that takes each unit from one of the parents with equal probability.

        That is uniform crossover (Syswerda 1989).
        """

        def draw() -> list[int]:
            child = list(first)
            for unit, from_second in zip(self.units, rng.random(len(self.units)) < 0.5, strict=True):
                if from_second:
                    child[unit] = second[unit]
            return child

        return self._drawn(draw)

    def mutate(self, genotype: Genotype, rate: float, rng: np.random.Generator) -> Genotype:
        """Another network: each unit is redrawn with probability `rate`, 0 to 1, one at least.

        Operations have no order, so a unit is redrawn among all its other values (random reset) and not stepped.
        """

        def draw() -> Genotype:
            return self._redrawn(genotype, np.flatnonzero(rng.random(len(self.units)) < rate), rng)

        mutant = self._drawn(draw)
        if self.canonical(mutant) != self.canonical(genotype):
            return mutant
        return self.neighbour(genotype, 1, rng)  # nothing was chosen, or the changes cancelled each other

    def neighbour(self, genotype: Genotype, distance: int, rng: np.random.Generator) -> Genotype:
        """Another network with 1 to `distance` units redrawn; where none is found, the repair of the last draw.

        distance: 1 or more.
        """
        original, mutant = self.canonical(genotype), genotype
        for _ in range(self.tries):
            count = int(rng.integers(1, min(distance, len(self.units)) + 1))
            mutant = self._redrawn(genotype, rng.choice(len(self.units), size=count, replace=False), rng)
            if self.is_valid(mutant) and self.canonical(mutant) != original:
                return mutant
        self.repairs += 1
        return self.repair(mutant)

    def neighbours(self, genotype: Genotype) -> set[Genotype]:
        """Canonical forms of all other networks with one unit changed: what `neighbour` can draw at distance 1."""
        found: set[Genotype] = set()
        for unit in self.units:
            for values in product(*(range(n) for n in self.cardinalities[unit])):
                changed = (*genotype[: unit.start], *values, *genotype[unit.stop :])
                if self.is_valid(changed):
                    found.add(self.canonical(changed))
        return found - {self.canonical(genotype)}

    def _drawn(self, draw: Callable[[], Sequence[int] | np.ndarray]) -> Genotype:
        """What `draw` gives, drawn again where it is not valid: a repair would take genes from no parent."""
        for _ in range(self.tries):
            genotype = tuple(int(gene) for gene in draw())
            if self.is_valid(genotype):
                return genotype
        self.repairs += 1
        return self.repair(genotype)

    def _redrawn(self, genotype: Genotype, chosen: np.ndarray, rng: np.random.Generator) -> Genotype:
        mutant = list(genotype)
        for index in chosen:
            for gene in range(self.n_genes)[self.units[index]]:
                # One of the other n - 1 values, each as likely.
                others = self.cardinalities[gene] - 1
                if others:
                    mutant[gene] = (mutant[gene] + 1 + int(rng.integers(others))) % (others + 1)
        return tuple(mutant)

    def frequencies(self, population: Sequence[Genotype], beta: float) -> list[np.ndarray]:
        """Probability of each value of each gene in a population of one or more, n_genes arrays, each (cardinality,).

        `beta` is the weight of a uniform prior: (count + beta / cardinality) / (members + beta). Source: the
        per-gene categoricals of NAT (arXiv 2005.05859).
        """
        genes = np.asarray(population)
        return [
            (np.bincount(genes[:, i], minlength=n) + beta / n) / (len(genes) + beta)
            for i, n in enumerate(self.cardinalities)
        ]

    def sample_from(self, frequencies: Sequence[np.ndarray], rng: np.random.Generator) -> Genotype:
        """A genotype whose genes are drawn one by one from the method `frequencies`' arrays, each (cardinality,)."""
        return self._drawn(lambda: [int(rng.choice(len(p), p=p)) for p in frequencies])

    def fair(self, rng: np.random.Generator) -> list[Genotype]:
        """As many genotypes as the largest gene has values, each value of each gene in one (FairNAS, arXiv 1907.01845).

        A gene with fewer values than the largest goes round once more. What would have to be repaired is drawn again:
        a repaired genotype would be there more often than the others.
        """
        most = max(self.cardinalities)
        while True:
            columns = [
                np.concatenate([rng.permutation(n) for _ in range(math.ceil(most / n))])[:most]
                for n in self.cardinalities
            ]
            drawn = [tuple(int(column[row]) for column in columns) for row in range(most)]
            if all(self.is_valid(genotype) for genotype in drawn):
                return drawn

    def multiplicity(self, genotype: Genotype) -> int:
        """Number of valid genotypes that mean the same network as this valid one, itself included."""
        return 1

    def extreme(self, key: Callable[[Genotype], Any]) -> Genotype:
        """The genotype with the highest `key`, gene by gene: exact where the key adds up over the genes."""
        genotype = self.repair([0] * self.n_genes)
        for index, values in enumerate(self.cardinalities):
            options = [self.repair([*genotype[:index], value, *genotype[index + 1 :]]) for value in range(values)]
            genotype = max(options, key=key)
        return genotype

    def cost(self, genotype: Genotype, image_shape: tuple[int, int, int], classes: int) -> tuple[int, int] | None:
        """(parameters, multiply-adds for one image) by arithmetic alone; None where the space has no closed form.

        image_shape: (C, H, W). It is defined for all combinations of genes, valid or not.
        """
        return None
