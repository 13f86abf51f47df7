"""Fitness through the fine-tuned supernet, as a pymoo problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from evonas.complexity import Complexity
from evonas.errors import ConfigError, nearest
from evonas.latency import Latency
from evonas.objectives import FunctionObjective
from evonas.spaces.base import Genotype, Space
from evonas.supernet.careful import CarefulMeasurer
from evonas.supernet.measuring import Measurer
from evonas.supernet.stretch import Progress
from evonas.supernet.training import SupernetTrainer
from problems.genotypes import GenotypeProblem


class SupernetProblem(GenotypeProblem):
    """Minimise objectives of genotypes, measured on the supernet's present state.

    n_var integer variables, one a gene, within 0 to cardinality - 1. `evaluate(X)` takes an (n, n_var) matrix of
    genotypes and gives F of shape (n, n_obj); asked for a dictionary it also gives the columns error (percent), loss
    (nats), params and flops (multiply-adds), and latency_ms (milliseconds) and functions where they are wanted, each of
    shape (n,). A network that cannot be measured has error 100 and an infinite loss.

    measurer: by which genotypes are measured; another of the same protocol may take its place. Raises ConfigError for
    an objective or limit that there is not; `evaluate` raises it where a function fails, TrainingError where the
    candidates are trained one by one and that runs away, pymoo's AssertionError for rows of another length.

    `adapt(population)` starts a generation: the first leaves the warmed-up supernet as it is (state 0), each later one
    fine-tunes it on the region of the population and counts the state up. The cache of measurements lives exactly as
    long as the state that gave them.
    """

    def __init__(
        self,
        space: Space,
        trainer: SupernetTrainer,
        measurer: Measurer,
        complexity: Complexity,
        objectives: Sequence[str],
        generations: int,
        progress: Progress = lambda steps: None,
        limits: Mapping[str, float] | None = None,
        latency: Latency | None = None,
        functions: Mapping[str, FunctionObjective] | None = None,
    ) -> None:
        """objectives: of error, loss, params, flops, latency_ms and `functions`, which are functions by name.

        generations: over which fine-tuning is spread. limits: the most that a network may cost, by name. latency: for
        the objective or limit latency_ms.
        """
        known = {"error", "loss", "params", "flops", *(functions or {}), *([] if latency is None else ["latency_ms"])}
        for name in (*objectives, *(limits or {})):
            if name not in known:
                raise ConfigError(f"{name!r} is neither measured nor counted{nearest(name, sorted(known))}")
        super().__init__(space, len(objectives), limits)
        self.objectives = tuple(objectives)
        self.state = 0
        self.generations = generations
        self.progress = progress
        self.tuned: dict[str, float] = {}  # mean loss in nats and first rate of the last fine-tuning phase, by name
        self._adapted = 0
        self._untrained: int | None = None  # the phase whose candidates are trained one by one as they are measured
        self._trainer = trainer
        self.measurer = CarefulMeasurer(measurer)
        self._complexity = complexity
        self._latency = latency
        self._functions = dict(functions or {})
        self._measured: dict[Genotype, tuple[float, float]] = {}  # of this state alone; the key is the raw path

    def incidents(self) -> dict[Genotype, str]:
        """What was out of the ordinary about networks that were measured since the last call, by genotype."""
        found, self.measurer.reasons = self.measurer.reasons, {}
        return found

    @property
    def protocol(self) -> str:
        """How fitness is measured; measurements by another protocol do not compare."""
        return self.measurer.protocol

    @cached_property
    def objective_bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest value of each objective in its unit, n_obj pairs, from the space alone.

        Of the loss, that of a guess is highest. Raises ConfigError where a function fails.
        """
        low, high = self._complexity.bounds()
        known = {
            "error": (0.0, 100.0),
            "loss": (0.0, math.log(self._complexity.classes)),
            "params": (float(low.params), float(high.params)),
            "flops": (float(low.flops), float(high.flops)),
        }
        if self._latency is not None:
            known["latency_ms"] = self._latency.bounds()
        known |= {name: function.bounds() for name, function in self._functions.items()}
        return [known[name] for name in self.objectives]

    def adapt(self, population: Sequence[Genotype]) -> None:
        """Fine-tune the supernet on the region of a population: a new state, on which nothing is measured yet.

        The first call trains nothing. Raises TrainingError where the training runs away at every rate that is tried.
        """
        phase = self._adapted - 1
        self._adapted += 1
        if phase < 0 or not self._trainer.finetune.enabled:
            return
        self._measured.clear()
        if self._trainer.finetune.when == "candidate":
            self._untrained = phase
        else:
            phases = self.generations - 1
            loss = self._trainer.fine_tune(population, phase, phases, self.progress)
            self.tuned = {"finetune_loss": loss, "finetune_lr": self._trainer.fine_tune_rate(phase, phases)}
        self.state += 1

    def is_measured(self, genotype: Genotype) -> bool:
        """Whether this path was measured on the present state, so that measuring it again costs nothing."""
        return genotype in self._measured

    def _evaluate(self, X: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        genotypes = self.genotypes(X)
        waiting = [g for g in dict.fromkeys(genotypes) if g not in self._measured]
        self.progress(0)  # the last moment at which training can be kept
        for genotype, scores in zip(waiting, self._scores(waiting), strict=True):
            self._measured[genotype] = scores
        costs = [self.costs(g) for g in genotypes]
        columns: dict[str, list[float]] = {
            "error": [self._measured[g][0] for g in genotypes],
            "loss": [self._measured[g][1] for g in genotypes],
            **{name: [cost[name] for cost in costs] for name in costs[0]},
            **{name: [function.of(g) for g in genotypes] for name, function in self._functions.items()},
        }
        out["F"] = np.column_stack([columns[name] for name in self.objectives]).astype(float)
        out.update({name: np.array(values, dtype=float) for name, values in columns.items()})
        if self.limits:
            out["G"] = self.violations(out)

    def costs(self, genotype: Genotype) -> dict[str, float]:
        """What a network costs: params, flops (multiply-adds), and latency_ms (milliseconds) where it is wanted."""
        cost = self._complexity.of(genotype)
        timed = {} if self._latency is None else {"latency_ms": self._latency.of(genotype)}
        return {"params": float(cost.params), "flops": float(cost.flops), **timed}

    def lowest_costs(self) -> dict[str, float]:
        """The least that a network of the space can cost, each by itself, by the names and in the units of `costs`."""
        low, _ = self._complexity.bounds()
        timed = {} if self._latency is None else {"latency_ms": self._latency.bounds()[0]}
        return {"params": float(low.params), "flops": float(low.flops), **timed}

    def _scores(self, genotypes: Sequence[Genotype]) -> list[tuple[float, float]]:
        if self._untrained is None:
            return self.measurer.measure(genotypes)
        phase, self._untrained = self._untrained, None
        scores = []
        for index, genotype in enumerate(genotypes):
            self._trainer.fine_tune_candidate(genotype, index, len(genotypes), phase, self.generations - 1)
            scores += self.measurer.measure([genotype])
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Where the search stands, and what is measured on this state; the weights belong to the trainer."""
        measured = [[list(genotype), error, loss] for genotype, (error, loss) in self._measured.items()]
        return {"state": self.state, "adapted": self._adapted, "measured": measured}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.state, self._adapted = state["state"], state["adapted"]
        self._measured = {tuple(genotype): (error, loss) for genotype, error, loss in state["measured"]}
