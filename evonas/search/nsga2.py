"""Several objectives at once: pymoo's NSGA-II and its kin behind ask and tell; the only search module with pymoo in it.

Of a pymoo algorithm we take the parts (selection for mating, survival) and drive them ourselves. Its own loop keeps the
fitness of parents from generation to generation, and would compare it with that of children measured on a later
supernet state. Here parents are asked for again with their children, and survival sees one state alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm as PymooAlgorithm
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling
from pymoo.core.survival import Survival
from pymoo.operators.selection.tournament import TournamentSelection, compare
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.randomized_argsort import randomized_argsort
from pymoo.util.ref_dirs import get_reference_directions

from evonas.config import SearchSettings
from evonas.errors import ConfigError
from evonas.search.base import Algorithm, Candidate, random_networks
from evonas.search.fitness import Measurement, require_comparable
from evonas.seeding import Seeds, numpy_state
from evonas.spaces.base import Genotype, Space


class GenotypeSampling(Sampling):
    """Distinct random networks of a space."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def _do(self, problem: Problem, n_samples: int, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
        return np.array(random_networks(self.space, n_samples, random_state), dtype=int)


class GenotypeCrossover(Crossover):
    """The space's crossover: two parents, one child."""

    def __init__(self, space: Space, probability: float) -> None:
        super().__init__(n_parents=2, n_offsprings=1, prob=probability)
        self.space = space

    def _do(self, problem: Problem, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
        pairs = zip(X[0].tolist(), X[1].tolist(), strict=True)
        children = [self.space.crossover(tuple(first), tuple(second), random_state) for first, second in pairs]
        return np.array([children], dtype=int)


class GenotypeMutation(Mutation):
    """The space's mutation: each unit with probability `rate`, one at least."""

    def __init__(self, space: Space, rate: float) -> None:
        super().__init__()
        self.space = space
        self.rate = rate

    def _do(self, problem: Problem, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
        return np.array([self.space.mutate(tuple(row), self.rate, random_state) for row in X.tolist()], dtype=int)


class GenotypeRepair(Repair):
    """The space's repair."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def _do(self, problem: Problem, X: np.ndarray, **kwargs: Any) -> np.ndarray:
        return np.array([self.space.repair(row) for row in X.tolist()], dtype=int)


class CanonicalDuplicates(DuplicateElimination):
    """Drops what is the same network as another member, whatever its genotype.

    known: canonical forms that are dropped too, each time with probability `novelty`, drawn from `rng`.
    """

    def __init__(
        self,
        space: Space,
        known: set[Genotype] | None = None,
        novelty: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        self.space = space
        self._known = set() if known is None else known
        self._novelty = novelty
        self._rng = rng

    def _do(self, pop: Population, other: Population | None, is_duplicate: np.ndarray) -> np.ndarray:
        seen = set() if other is None else {self._key(member) for member in other}
        for index, member in enumerate(pop):
            key = self._key(member)
            is_duplicate[index] = key in seen or (other is None and self._is_refused(key))
            if other is None:
                seen.add(key)
        return is_duplicate

    def _is_refused(self, key: Genotype) -> bool:
        return self._rng is not None and key in self._known and self._rng.random() < self._novelty

    def _key(self, member: Any) -> Genotype:
        return self.space.canonical(tuple(np.asarray(member.X).tolist()))


class Variables(Problem):
    """A space as pymoo sees it, without values: n_var integers, one a gene, within 0 to cardinality - 1."""

    def __init__(self, space: Space, objectives: int, constraints: int) -> None:
        super().__init__(
            n_var=space.n_genes,
            n_obj=objectives,
            n_ieq_constr=constraints,
            xl=np.zeros(space.n_genes),
            xu=np.array(space.cardinalities) - 1,
            vtype=int,
        )


class StagedSurvival(Survival):
    """Protects networks that are slow to learn: CARS' pNSGA-III (arXiv 1909.04977) with crowding distance for niches.

    Small networks learn faster, and early in the training of a supernet they dominate large ones that will be better.
    Fronts by the objectives and fronts by what the first objective has gained since the state before (attribute
    `change`, minimised) are merged stage by stage, and the first stages survive. A change is the difference between two
    figures of one network, all between the same two states, so what a state adds to all fitness cancels.
    """

    def __init__(self) -> None:
        super().__init__(filter_infeasible=True)

    def _do(
        self, problem: Problem, pop: Population, *args: Any, n_survive: int = 0, random_state: Any = None, **kwargs: Any
    ) -> Population:
        values = pop.get("F").astype(float)
        changes = np.column_stack([np.array(pop.get("change"), dtype=float), values[:, 1:]])
        crowding = get_crowding_function("cd")
        survivors: list[int] = []
        for stage, members in enumerate(_merged(values, changes)):
            distances = crowding.do(values[members], n_remove=0)
            for member, distance in zip(pop[members], distances, strict=True):
                member.set("rank", stage)
                member.set("crowding", float(distance))
            order = randomized_argsort(distances, order="descending", random_state=random_state)
            survivors += [members[place] for place in order[: n_survive - len(survivors)]]
            if len(survivors) == n_survive:
                break
        return pop[survivors]


def _merged(values: np.ndarray, changes: np.ndarray) -> list[np.ndarray]:
    """Stages of row numbers: the union of the first fronts of both, then what is new in the second ones, and so on."""
    seen: set[int] = set()
    stages = []
    for fronts in zip_longest(NonDominatedSorting().do(values), NonDominatedSorting().do(changes), fillvalue=()):
        stage = sorted({int(row) for front in fronts for row in front} - seen)
        if stage:
            stages.append(np.array(stage))
        seen.update(stage)
    return stages


class ParetoSearch(Algorithm):
    """A pymoo algorithm of parents and offspring, with our operators and our rule that both are measured together.

    Mating and survival are those of pymoo (Blank and Deb 2020, IEEE Access 8); subclasses say whose algorithm it is.
    """

    default_objectives = ("error", "params")
    keeps_limits = True

    def __init__(self, space: Space, settings: SearchSettings, seeds: Seeds) -> None:
        settings = settings.completed()
        assert settings.population is not None
        self.space = space
        self.settings = settings
        self._size = settings.population
        self._rng = seeds.numpy("search")
        self._population: Population | None = None  # survivors; their figures are all of one state
        self._known: set[Genotype] = set()  # canonical forms of everything that was ever measured
        self._before: dict[Genotype, float] = {}  # first objective by genotype, as measured the last time

    @abstractmethod
    def _made(self, objectives: int, **parts: Any) -> PymooAlgorithm:
        """The pymoo algorithm for so many objectives, of the given parts."""

    def _fresh(self, members: Population) -> tuple[PymooAlgorithm, Variables]:
        """One that has seen nothing yet, so that no survival remembers figures of an older state; and its variables."""
        objectives, constraints = (members.get(name).shape[1] for name in ("F", "G"))
        made = self._made(
            objectives,
            pop_size=self._size,
            sampling=GenotypeSampling(self.space),
            crossover=GenotypeCrossover(self.space, self.settings.crossover),
            mutation=GenotypeMutation(self.space, self.settings.mutation),
            repair=GenotypeRepair(self.space),
            eliminate_duplicates=CanonicalDuplicates(self.space, self._known, self.settings.novelty, self._rng),
        )
        made.random_state = self._rng  # read by selections that are handed the algorithm and no generator
        return made, Variables(self.space, objectives, constraints)

    def ask(self) -> list[Candidate]:
        """Parents, to be measured again, and as many children."""
        if self._population is None:
            return self._first_population(self._size, self._rng)
        parents = [Candidate(genotype, "parent") for genotype in _genotypes(self._population)]
        made, variables = self._fresh(self._population)
        children = made.mating.do(variables, self._population, self._size, algorithm=made, random_state=self._rng)
        return [*parents, *(Candidate(genotype, "child") for genotype in _genotypes(children))]

    def tell(self, measured: Sequence[Measurement]) -> None:
        """Keep the survivors of what was measured, ranked by these measurements alone.

        Raises StaleFitnessError where they are of several states or protocols.
        """
        require_comparable(measured)
        members = _population(measured)
        members.set("change", self._changes(measured))
        self._before = {m.genotype: m.objectives[0] for m in measured}
        made, variables = self._fresh(members)
        self._population = made.survival.do(
            variables, members, n_survive=self._size, algorithm=made, random_state=self._rng
        )
        self._known.update(self.space.canonical(m.genotype) for m in measured)

    def _changes(self, measured: Sequence[Measurement]) -> np.ndarray:
        """First objective now less that of the time before; of what is new, the median of what is not."""
        changes = np.array([m.objectives[0] - self._before.get(m.genotype, np.nan) for m in measured])
        known = np.sort(changes[np.isfinite(changes)])
        return np.where(np.isfinite(changes), changes, known[len(known) // 2] if len(known) else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Survivors with their figures, what was ever measured, and the random stream."""
        members = [] if self._population is None else [_plain(member) for member in self._population]
        return {
            "population": members,
            "known": [list(genotype) for genotype in sorted(self._known)],
            "before": [[list(genotype), value] for genotype, value in self._before.items()],
            "rng": numpy_state(self._rng),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._rng.bit_generator.state = state["rng"]
        self._known = {tuple(genotype) for genotype in state["known"]}
        self._before = {tuple(genotype): value for genotype, value in state["before"]}
        rows = state["population"]
        self._population = None
        if rows:
            self._population = Population.new(
                **{name: np.array([row[name] for row in rows]) for name in ("X", "F", "G")}
            )
            for member, row in zip(self._population, rows, strict=True):
                for name in row.keys() - {"X", "F", "G"}:
                    member.set(name, row[name])


class Nsga2Search(ParetoSearch):
    """NSGA-II (Deb et al. 2002): fronts by dominance, spread by crowding distance; `search.protect` stages them."""

    def _made(self, objectives: int, **parts: Any) -> PymooAlgorithm:
        if not self.settings.protect:
            return NSGA2(**parts)
        made = NSGA2(survival=StagedSurvival(), **parts)
        made.tournament_type = "comp_by_rank_and_crowding"  # by stage: by dominance the slow would hardly be parents
        return made


class Nsga3Search(ParetoSearch):
    """NSGA-III (Deb and Jain 2014): spread by reference directions (Das and Dennis), for three objectives and more."""

    def _made(self, objectives: int, **parts: Any) -> PymooAlgorithm:
        directions = reference_directions(objectives, self._size)
        return NSGA3(directions, selection=TournamentSelection(func_comp=feasible_then_random), **parts)


class SmsEmoaSearch(ParetoSearch):
    """SMS-EMOA (Beume et al. 2007): those survive that the dominated hypervolume would miss most."""

    def _made(self, objectives: int, **parts: Any) -> PymooAlgorithm:
        if objectives < 2:  # pymoo takes no hypervolume of one
            raise ConfigError("sms-emoa searches by two objectives or more, and there is one; take ga")
        return SMSEMOA(**parts)


def reference_directions(objectives: int, most: int) -> np.ndarray:
    """As many evenly spread directions (Das and Dennis) as do not exceed `most`, shape (n, objectives)."""
    if objectives == 1:  # there is one direction, however many partitions
        return np.ones((1, 1))
    partitions = 1
    while len(get_reference_directions("das-dennis", objectives, n_partitions=partitions + 1)) <= most:
        partitions += 1
    return np.asarray(get_reference_directions("das-dennis", objectives, n_partitions=partitions))


def feasible_then_random(pop: Population, pairs: np.ndarray, random_state: Any = None, **kwargs: Any) -> np.ndarray:
    """NSGA-III's tournament; pymoo's own draws from an unseeded generator where neither is feasible (its issue 794)."""
    chosen = []
    for a, b in pairs:
        violations = pop[a].CV[0], pop[b].CV[0]
        if max(violations) > 0:
            better = partial(compare, method="smaller_is_better", return_random_if_equal=True)
            chosen.append(better(a, violations[0], b, violations[1], random_state=random_state))
        else:
            chosen.append(random_state.choice([a, b]))
    return np.array(chosen, dtype=int)[:, None]


def _genotypes(population: Population) -> list[Genotype]:
    return [tuple(row) for row in population.get("X").astype(int).tolist()]


def _population(measured: Sequence[Measurement]) -> Population:
    """Measurements as pymoo's individuals, in order. They are new ones, so no violation is cached from before."""
    values = np.array([m.objectives for m in measured], dtype=float)
    violations = np.array([m.violations for m in measured], dtype=float).reshape(len(measured), -1)
    failed = np.array([m.failed for m in measured])
    if failed.any():  # as breaking a limit of its own: pymoo takes distances between objectives, so none is infinite
        values[failed] = values[~failed].max(axis=0, initial=0.0)
        violations = np.column_stack([violations, failed.astype(float)])
    return Population.new(X=np.array([m.genotype for m in measured], dtype=int), F=values, G=violations)


def _plain(member: Any) -> dict[str, Any]:
    values: dict[str, Any] = {name: np.asarray(member.get(name)).tolist() for name in ("X", "F", "G")}
    for name, value in member.data.items():  # what survival writes on its members and selection for mating reads
        if name != "change":  # which is written anew for each survival
            values[name] = value if value is None else np.asarray(value).tolist()
    return values
