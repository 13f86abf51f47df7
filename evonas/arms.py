"""The arms of an ablation: each is the configured method with one decision changed. No torch.

Names and questions follow the fields that the paper's two claims touch: whether fine-tuning along the search helps,
and whether it matters that fitness of different supernet states is never compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evonas.config import Settings

Change = dict[str, Any]
ONLY = {"population": 0.0, "gene": 0.0, "neighbour": 0.0, "uniform": 0.0}


@dataclass(frozen=True)
class Arm:
    """question: what the arm answers. change: settings by dotted key. warms_up: whether it has its own supernet."""

    question: str
    change: Callable[[Settings], Change]
    warms_up: bool = False


def _fixed(**change: Any) -> Callable[[Settings], Change]:
    return lambda settings: {key.replace("__", "."): value for key, value in change.items()}


def _only(part: str, **more: Any) -> Callable[[Settings], Change]:
    return _fixed(finetune__weights={**ONLY, part: 1.0}, **more)


def _equal_passes(settings: Settings) -> Change:
    """No fine-tuning; its passes over the images go into a longer warm-up."""
    assert settings.search.generations is not None
    passes = settings.supernet.epochs + (settings.search.generations - 1) * settings.finetune.epochs
    return {"finetune.enabled": False, "supernet.epochs": round(passes)}


def _half_population(**change: Any) -> Callable[[Settings], Change]:
    """Parents are measured beside children, so half the population gives as many evaluations a generation."""

    def changed(settings: Settings) -> Change:
        assert settings.search.population is not None and settings.search.immigrants is not None
        half = max(4, math.ceil(settings.search.population / 2))
        return {
            "search.population": half,
            "final.candidates": settings.final.candidates or settings.search.population,
            "search.immigrants": settings.search.immigrants // 2,
            **_fixed(**change)(settings),
        }

    return changed


ARMS: dict[str, Arm] = {
    "full": Arm("the method as configured", _fixed()),
    "no-finetune": Arm("is fine-tuning worth anything, at less compute?", _fixed(finetune__enabled=False)),
    "equal-passes": Arm("fine-tuning against as many more passes of warm-up", _equal_passes, warms_up=True),
    "equal-seconds": Arm("fine-tuning against as many more seconds of warm-up", _equal_passes, warms_up=True),
    "uniform": Arm("does fine-tuning have to be in the region?", _fixed(finetune__sampler="uniform")),
    "population-only": Arm("sampler: members alone", _only("population")),
    "gene-only": Arm("sampler: gene frequencies alone", _only("gene")),
    "neighbour-only": Arm("sampler: neighbours alone", _only("neighbour")),
    "stale-mu-plus-lambda": Arm(
        "unfair comparison with parents", _fixed(search__scheme="mu_plus_lambda", search__stale=True)
    ),
    "mu-plus-lambda": Arm("parents that survive, measured again", _half_population(search__scheme="mu_plus_lambda")),
    "stale-topk": Arm(
        "unfair comparison with the best ever", _fixed(search__scheme="topk_archive", search__stale=True)
    ),
    "topk": Arm("the best ever as parents, measured again", _fixed(search__scheme="topk_archive")),
    "no-elites": Arm("are elites needed?", _fixed(search__elites=0)),
    "candidate": Arm("train each candidate, then score it", _fixed(finetune__when="candidate")),
    "no-remeasure": Arm("choose by stored fitness", _fixed(final__remeasure=False)),
    "model-choice": Arm(
        "choose by an additive model of the last state", _fixed(final__choice="model", final__sample=50)
    ),
    "random": Arm("as many random networks on the warmed-up supernet", _fixed(search__algorithm="random")),
    "aging": Arm("aging evolution on the warmed-up supernet", _fixed(search__algorithm="aging")),
    "aging-20": Arm(
        "aging evolution with population 20 and sample 5",
        _fixed(search__algorithm="aging", search__population=20, search__tournament=5, search__elites=2),
    ),
    "spos": Arm(
        "policy of SPOS (arXiv 1904.00420): frozen supernet, best ten ever as parents",
        _fixed(finetune__enabled=False, search__scheme="topk_archive", search__archive=10),
    ),
    "cars": Arm(
        "policy of CARS (arXiv 1909.04977): population members trained, parents and offspring measured together",
        _half_population(
            search__scheme="mu_plus_lambda", search__region="parents", finetune__weights={**ONLY, "population": 1.0}
        ),
    ),
    "nat": Arm(
        "policy of NAT (arXiv 2005.05859): gene frequencies of the archive's best trained, the archive measured again",
        _only("gene", search__scheme="topk_archive", search__region="parents"),
    ),
}
SUPERNET_ARMS = tuple(ARMS)
TABLE_ARMS = ("full", "random", "aging", "aging-20")
