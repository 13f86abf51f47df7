"""Measurements, and the guard that keeps those of different supernet states apart (invariant I1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeVar

import numpy as np

from evonas.errors import StaleFitnessError
from evonas.spaces.base import Genotype


@dataclass(frozen=True)
class Measurement:
    """What a genotype was worth on one supernet state by one protocol.

    genotype: integers, (n_genes,). objectives: (n_obj,), minimised, in the problem's order and units. state, protocol:
    measurements compare where both are equal. details: figures by name (error in percent, loss in nats, params, flops
    in multiply-adds), for the record; nothing selects by them but the tie-break by loss. violations: of the problem's
    limits, one each, as shares of the limit; above zero it is broken.
    """

    genotype: Genotype
    objectives: tuple[float, ...]
    state: int
    protocol: str
    details: Mapping[str, float] = field(default_factory=dict)
    violations: tuple[float, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it could not be measured: what it has then is the worst there is."""
        return not all(map(isfinite, (*self.objectives, self.details.get("loss", 0.0))))

    @property
    def feasible(self) -> bool:
        """Whether it was measured, and all limits of the problem are kept."""
        return not self.failed and all(violation <= 0 for violation in self.violations)

    @property
    def rank_key(self) -> tuple[float, ...]:
        """Order within one state: first objective, then loss, then genotype. Only for measurements that compare."""
        return (self.objectives[0], self.details.get("loss", 0.0), *self.genotype)

    def to_plain(self) -> dict[str, Any]:
        """The measurement as plain data."""
        return {
            "genotype": list(self.genotype),
            "objectives": list(self.objectives),
            "state": self.state,
            "protocol": self.protocol,
            "details": dict(self.details),
            "violations": list(self.violations),
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Measurement:
        """The measurement that `to_plain` described. Raises KeyError where a part of it is missing."""
        genotype, objectives, violations = (tuple(data[name]) for name in ("genotype", "objectives", "violations"))
        return cls(genotype, objectives, data["state"], data["protocol"], data["details"], violations)


def require_comparable(measurements: Iterable[Measurement]) -> None:
    """Raise StaleFitnessError unless all measurements come from one state and one protocol."""
    origins = {(m.state, m.protocol) for m in measurements}
    if len(origins) > 1:
        raise StaleFitnessError(
            "fitness of different supernet states or protocols was about to be compared: "
            + ", ".join(f"state {state} by {protocol!r}" for state, protocol in sorted(origins))
        )


def ranked(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Measurements of one state, best first by the first objective. Raises StaleFitnessError for mixed states."""
    measurements = list(measurements)
    require_comparable(measurements)
    return sorted(measurements, key=lambda m: m.rank_key)


def pareto_mask(objectives: np.ndarray) -> np.ndarray:
    """Which rows of (n, k) minimised objectives no other row dominates; shape (n,), bool."""
    no_worse = (objectives[:, None] <= objectives[None]).all(axis=2)
    better = (objectives[:, None] < objectives[None]).any(axis=2)
    return np.asarray(~(no_worse & better).any(axis=0))


def pareto_front(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The non-dominated measurements of one state, in order of the first objective; of equals the first that is given.

    Raises StaleFitnessError for mixed states.
    """
    require_comparable(measurements)
    best = sorted(measurements, key=lambda m: m.rank_key[:2])
    mask = pareto_mask(np.array([m.objectives for m in best]))
    front = [m for m, kept in zip(best, mask, strict=True) if kept]
    return list({m.objectives: m for m in reversed(front)}.values())[::-1]


Member = TypeVar("Member")


def spread(front: Sequence[Member], most: int) -> list[Member]:
    """At most `most` members of a front that is in order, both ends among them where there is room, evenly by place."""
    if most >= len(front):
        return list(front)
    places = np.linspace(0, len(front) - 1, most).round().astype(int)
    return [front[place] for place in places]


def knee(front: Sequence[Measurement]) -> Measurement:
    """The member of a front nearest to its ideal point, each objective scaled to [0, 1] over the front.

    front: one measurement or more. What counts as the knee is our decision.
    """
    values = np.array([m.objectives for m in front])
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    return front[int(np.argmin((scaled**2).sum(axis=1)))]
