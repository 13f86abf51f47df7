"""What is decided before a run starts: the algorithms there are, and what settings leave open. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from evonas.config import OWN_CODE, OwnSpaceSettings, RetrainSettings, SearchSettings, Settings, build, entry_points_of
from evonas.datasets import DATASETS
from evonas.errors import ConfigError, nearest
from evonas.own_code import settled as settled_code
from evonas.search.aging import AgingEvolution
from evonas.search.base import Algorithm
from evonas.search.ga import GeneticAlgorithm
from evonas.search.initial import read_initial
from evonas.search.nsga2 import Nsga2Search, Nsga3Search, SmsEmoaSearch
from evonas.search.own import own_algorithm, rehearse
from evonas.search.random import RandomSearch
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.spaces.limited import LimitedSpace
from evonas.spaces.own import settled

# A new algorithm is one entry.
ALGORITHMS: dict[str, type[Algorithm]] = {
    "ga": GeneticAlgorithm,
    "nsga2": Nsga2Search,
    "nsga3": Nsga3Search,
    "sms-emoa": SmsEmoaSearch,
    "random": RandomSearch,
    "aging": AgingEvolution,
}

# What DARTS's cells are trained with where nothing else is set (cnn/train.py of its authors).
DARTS_RECIPE = {"auxiliary": 0.4, "drop_path": 0.2}


def check(data: Mapping[str, Any]) -> Settings:
    """Settings of plain data, with the names of data set and algorithm known. Raises ConfigError with every problem."""
    problems = []
    for section, key, known in (("dataset", "name", DATASETS), ("search", "algorithm", ALGORITHMS)):
        part = data.get(section)
        name = part.get(key) if isinstance(part, Mapping) else None
        own = section == "search" and isinstance(name, str) and _is_own(name)
        if isinstance(name, str) and name not in known and not own:
            problems.append(f"{section}.{key} {name!r} is unknown{nearest(name, known)}")
    try:
        settings = build(data)
    except ConfigError as error:
        problems.insert(0, str(error))
    else:
        if settings.search.protect and settings.search.algorithm != "nsga2":
            problems.append(f"search.protect is for nsga2 and not for {settings.search.algorithm}; leave it false")
        if settings.retrain.genotypes is not None and (settings.table.file or not settings.retrain.enabled):
            problems.append("retrain.genotypes needs retrain.enabled true and no table; they are what is trained")
    if problems:
        raise ConfigError("; ".join(problems))
    return settings


def _is_own(algorithm: str) -> bool:
    return OWN_CODE.fullmatch(algorithm) is not None or algorithm in entry_points_of("evonas.algorithms")


def kind_of(settings: SearchSettings) -> type[Algorithm]:
    """The kind of algorithm that the settings name. Raises ConfigError for code of one's own that must not run."""
    return ALGORITHMS[settings.algorithm] if settings.algorithm in ALGORITHMS else own_algorithm(settings)


def complete(settings: Settings) -> Settings:
    """The settings with everything filled in that the algorithm and its budget decide."""
    code = _settled("algorithm", settings.search.algorithm, settings.search.sha256)  # before it is run
    settings = settings.model_copy(update={"search": settings.search.model_copy(update=code)})
    kind = kind_of(settings.search)
    objectives = settings.problem.objectives or kind.default_objectives
    if len(objectives) < len(kind.default_objectives):  # a settings file may have been made for one objective
        objectives = (*objectives, *(name for name in kind.default_objectives[1:] if name not in objectives))
    search = settings.search.completed(settings.table.file is not None, budget=not kind.follows_supernet)
    recipe = {
        key: value if settings.space.regularised else 0.0
        for key, value in DARTS_RECIPE.items()
        if getattr(settings.retrain, key) is None
    }
    changes: dict[str, Any] = {
        "retrain": settings.retrain.model_copy(update=recipe),
        "search": search.model_copy(update={"init": absolute(search.init)}),
        "problem": settings.problem.model_copy(
            update={
                "objectives": objectives,
                "latency_file": absolute(settings.problem.latency_file),
                "own": {
                    name: own.model_copy(update=_settled("name", own.name, own.sha256))
                    for name, own in settings.problem.own.items()
                    if name in objectives
                },
            }
        ),
    }
    if isinstance(settings.space, OwnSpaceSettings):
        changes["space"] = settled(settings.space)
    if not kind.follows_supernet:
        changes["finetune"] = settings.finetune.model_copy(update={"enabled": False})
    return settings.model_copy(update=changes)


def absolute(path: str | None) -> str | None:
    """A place as it is recorded, so that a run can go on from any folder; None where there is none."""
    return None if path is None else str(Path(path).expanduser().absolute())


def _settled(key: str, name: str, sha256: str | None) -> dict[str, str | None]:
    """Where code of one's own lies, under `key`, and what it is."""
    return dict(zip((key, "sha256"), settled_code(name, sha256), strict=True))


def trainings(settings: Settings) -> tuple[int, int]:
    """How many trainings of completed settings are reported, and how many compete before."""
    retrain = settings.retrain
    references = retrain.references + 1 if retrain.references else 0
    several = len(settings.problem.objectives or ()) > 1
    chosen = len(retrain.genotypes) if retrain.genotypes else retrain.top if several else 1
    competitors = retrain.top if retrain.top > 1 and not several and not retrain.genotypes else 0
    return (chosen + references) * retrain.seeds, competitors


def side_by_side(settings: Settings, threads: int) -> RetrainSettings:
    """Retraining with its threads and jobs decided; `threads` are those of the run.

    Two networks, each on one thread, are trained faster than one after the other on two (docs/cluster.md). The number
    of threads decides the bits of a result and is recorded; the number of jobs does not.
    """
    enough = settings.device == "cpu" and max(trainings(settings)) >= threads
    each = settings.retrain.threads or (1 if enough else threads)
    jobs = settings.retrain.jobs or (max(1, threads // each) if settings.device == "cpu" else 1)
    return settings.retrain.model_copy(update={"threads": each, "jobs": jobs})


class Costed(Protocol):
    """What of a problem decides whether its limits can be kept."""

    limits: Mapping[str, float]

    def costs(self, genotype: Genotype) -> Mapping[str, float]:
        """What a network costs, by name."""

    def lowest_costs(self) -> Mapping[str, float]:
        """The least of each cost."""


def algorithm(settings: Settings, space: Space, problem: Costed, seeds: Seeds) -> Algorithm:
    """The algorithm of completed settings, inside the problem's limits, before its first population.

    Raises ConfigError for limits that cannot be kept, RunError for genotypes to begin with that cannot be used.
    """
    kind = kind_of(settings.search)
    if settings.search.algorithm not in ALGORITHMS:
        rehearse(kind, space, settings.search, len(settings.problem.objectives or kind.default_objectives))
    limited = _limited(space, problem) if problem.limits else space
    made = kind(space if kind.keeps_limits else limited, settings.search, seeds)
    named = settings.search.init
    made.begin_with([] if named is None else read_initial(Path(named), limited), limited)
    return made


def _limited(space: Space, problem: Costed) -> LimitedSpace:
    lowest = problem.lowest_costs()
    broken = [
        f"problem.limits.{name} is {limit:g}, and no network of {space.name} has less than {lowest[name]:,.6g}"
        for name, limit in problem.limits.items()
        if limit < lowest[name]
    ]
    if broken:
        raise ConfigError("; ".join(broken))
    limited = LimitedSpace(space, problem.costs, problem.limits)
    if not limited.is_valid(limited.repair([0] * space.n_genes)):
        limits = ", ".join(f"{name} {limit:g}" for name, limit in problem.limits.items())
        raise ConfigError(f"no network of {space.name} was found that keeps all of problem.limits together ({limits})")
    return limited


def one_objective_of_several(settings: Settings) -> list[str]:
    """A line for the user where a built-in algorithm of one objective was given several, else nothing."""
    kind, objectives = ALGORITHMS.get(settings.search.algorithm), settings.problem.objectives or ()
    if kind is None or len(kind.default_objectives) > 1 or len(objectives) < 2:
        return []
    return [
        f"{settings.search.algorithm} searches by {objectives[0]}, the first of {len(objectives)} objectives, and "
        "reports the front of what it met; nsga2, nsga3 and sms-emoa search for a front"
    ]


def unfair(settings: Settings) -> list[str]:
    """The settings by which fitness of different supernet states is compared, against invariant I1; none by default."""
    switches = {
        "search.stale": settings.search.stale,
        "finetune.when: candidate": settings.finetune.enabled and settings.finetune.when == "candidate",
        "final.remeasure: false": not settings.final.remeasure,
    }
    return [name for name, on in switches.items() if on]
