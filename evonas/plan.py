"""What is decided before a run starts: the algorithms there are, and what settings leave open. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evonas.config import Settings, build
from evonas.datasets import DATASETS
from evonas.errors import ConfigError, nearest
from evonas.search.aging import AgingEvolution
from evonas.search.base import Algorithm
from evonas.search.ga import GeneticAlgorithm
from evonas.search.random import RandomSearch

# A new algorithm is one entry.
ALGORITHMS: dict[str, type[Algorithm]] = {"ga": GeneticAlgorithm, "random": RandomSearch, "aging": AgingEvolution}


def check(data: Mapping[str, Any]) -> Settings:
    """Settings of plain data, with the names of data set and algorithm known. Raises ConfigError with every problem."""
    problems = []
    for section, key, known in (("dataset", "name", DATASETS), ("search", "algorithm", ALGORITHMS)):
        part = data.get(section)
        name = part.get(key) if isinstance(part, Mapping) else None
        if isinstance(name, str) and name not in known:
            problems.append(f"{section}.{key} {name!r} is unknown{nearest(name, known)}")
    try:
        settings = build(data)
    except ConfigError as error:
        problems.insert(0, str(error))
    if problems:
        raise ConfigError("; ".join(problems))
    return settings


def complete(settings: Settings) -> Settings:
    """The settings with everything filled in that the algorithm and its budget decide."""
    algorithm = ALGORITHMS[settings.search.algorithm]
    objectives = settings.problem.objectives or algorithm.default_objectives
    changes: dict[str, Any] = {
        "search": settings.search.completed(settings.table.file is not None, budget=not algorithm.follows_supernet),
        "problem": settings.problem.model_copy(update={"objectives": objectives}),
    }
    if not algorithm.follows_supernet:
        changes["finetune"] = settings.finetune.model_copy(update={"enabled": False})
    return settings.model_copy(update=changes)


def unfair(settings: Settings) -> list[str]:
    """The settings by which fitness of different supernet states is compared, against invariant I1; none by default."""
    switches = {
        "search.stale": settings.search.stale,
        "finetune.when: candidate": settings.finetune.enabled and settings.finetune.when == "candidate",
        "final.remeasure: false": not settings.final.remeasure,
    }
    return [name for name, on in switches.items() if on]
