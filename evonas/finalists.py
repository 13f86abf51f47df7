"""The networks trained from scratch at the end of a run: competitors, the best of them, and its references."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from evonas.complexity import Complexity
from evonas.config import RetrainSettings
from evonas.data import ImageData
from evonas.progress import Reporter
from evonas.retrain import ScratchTraining
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.stopwatch import Stopwatch


class Finalists:
    """Trains one network after another, with a checkpoint after each epoch.

    With `retrain.top` over 1 and one objective, that many compete: each is trained on the weights part and scored on
    the fitness part, and the one with the lowest error goes on. With several objectives nothing competes, and as many
    members of the front are reported. What is reported, and the references (the largest network of the space and random
    ones), is trained on both parts by one recipe, from the same generators, and scored on the sealed test part.
    """

    def __init__(
        self,
        space: Space,
        data: ImageData,
        complexity: Complexity,
        settings: RetrainSettings,
        seeds: Seeds,
        memory_format: torch.memory_format,
    ) -> None:
        self.space = space
        self.settings = settings
        self.trained: list[dict[str, Any]] = []
        self._data = data
        self._complexity = complexity
        self._seeds = seeds
        self._memory_format = memory_format
        self._training: dict[str, Any] | None = None  # the network that is half trained

    def train(
        self,
        ranked: Sequence[Genotype],
        front: Sequence[Genotype],
        reporter: Reporter,
        stopwatch: Stopwatch,
        checkpoint: Callable[[], None],
        save_best: Callable[[Genotype, ScratchTraining], None],
    ) -> None:
        """Train what is left to train.

        ranked: genotypes of the final measuring, best first. front: those to report of the front; none where there is
        one objective.
        """
        while (job := self._next(ranked, front)) is not None:
            role, genotype = job
            with stopwatch("retrain"):
                training = self._taken_up(role, genotype)
            with reporter.task(f"retrain {role}", self.settings.epochs, training.epoch) as task:
                while not training.done:
                    with stopwatch("retrain"):
                        loss = training.train_epoch()
                    task.advance(1, f"loss {loss:.3f}")
                    self._training = training.state_dict()
                    if not training.done:
                        checkpoint()
            with stopwatch("retrain"):
                self.trained.append(self._scored(role, genotype, training))
            if role == "best":
                save_best(genotype, training)
            self._training = None
            checkpoint()

    def _next(self, ranked: Sequence[Genotype], front: Sequence[Genotype]) -> tuple[str, Genotype] | None:
        """The next network to train, with its role."""
        done = {row["role"] for row in self.trained}
        competing = [] if front else self._competing(ranked)
        jobs = [(f"competitor {i + 1}", genotype) for i, genotype in enumerate(competing)]
        if all(role in done for role, _ in jobs):
            chosen = self._chosen(ranked)
            others = [genotype for genotype in front if genotype != chosen]
            reported = [(f"front {i + 2}", genotype) for i, genotype in enumerate(others)]
            jobs = [("best", chosen), *reported, *self._references()]
        return next(((role, genotype) for role, genotype in jobs if role not in done), None)

    def _competing(self, ranked: Sequence[Genotype]) -> Sequence[Genotype]:
        return ranked[: self.settings.top] if self.settings.top > 1 else []

    def _chosen(self, ranked: Sequence[Genotype]) -> Genotype:
        """The genotype that is reported: the best of the competitors, without them the first of the ranking."""
        rows = self.competitors
        return tuple(min(rows, key=lambda row: row["fitness_error"])["genotype"]) if rows else ranked[0]

    def _references(self) -> list[tuple[str, Genotype]]:
        """The largest network of the space and random ones, distinct in canonical form."""
        count = self.settings.references
        if count == 0:
            return []
        rng = self._seeds.numpy("references")
        drawn: dict[Genotype, Genotype] = {}
        for _ in range(1000 * count):  # a space may hold fewer networks than references were asked for
            genotype = self.space.sample(rng)
            drawn.setdefault(self.space.canonical(genotype), genotype)
            if len(drawn) == count:
                break
        randoms = [(f"random {i + 1}", genotype) for i, genotype in enumerate(drawn.values())]
        return [("largest", self._complexity.largest()), *randoms]

    def _taken_up(self, role: str, genotype: Genotype) -> ScratchTraining:
        part = self._data.weights if role.startswith("competitor") else self._data.train
        training = ScratchTraining(
            self.space, genotype, self._data, part, self.settings, self._seeds, self._memory_format
        )
        if self._training is not None:
            training.load_state_dict(self._training)
        return training

    def _scored(self, role: str, genotype: Genotype, training: ScratchTraining) -> dict[str, Any]:
        cost = self._complexity.of(genotype)
        row: dict[str, Any] = {"role": role, "genotype": list(genotype), "params": cost.params, "flops": cost.flops}
        if role.startswith("competitor"):
            return {**row, "fitness_error": training.error(self._data.fitness)}
        return {**row, "test_error": training.error(self._data.open_test(f"report of {role}"))}

    @property
    def competitors(self) -> list[dict[str, Any]]:
        """What competed for the final choice: role, genotype, params, flops, fitness_error in percent."""
        return [row for row in self.trained if row["role"].startswith("competitor")]

    @property
    def front(self) -> list[dict[str, Any]]:
        """The retrained members of the front beside the best: role, genotype, params, flops, test_error in percent."""
        return [row for row in self.trained if row["role"].startswith("front")]

    @property
    def best(self) -> dict[str, Any]:
        """The reported network: role, genotype, params, flops, test_error in percent."""
        return next(row for row in self.trained if row["role"] == "best")

    @property
    def references(self) -> dict[str, Any] | None:
        """The references with their test errors and the mean of the random ones; None where none were asked for."""
        randoms = [row for row in self.trained if row["role"].startswith("random")]
        if not randoms:
            return None
        return {
            "largest": next(row for row in self.trained if row["role"] == "largest"),
            "random": randoms,
            "random_mean_test_error": statistics.fmean(row["test_error"] for row in randoms),
        }

    def state_dict(self) -> dict[str, Any]:
        """What is trained, and the network that is half trained."""
        return {"trained": self.trained, "training": self._training}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.trained, self._training = state["trained"], state["training"]
