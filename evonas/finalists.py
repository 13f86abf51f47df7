"""The networks trained from scratch at the end of a run: competitors, the best of them, and its references."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evonas.arithmetic import Arithmetic, Say
from evonas.complexity import Complexity
from evonas.config import RetrainSettings
from evonas.data import ImageData
from evonas.progress import Reporter
from evonas.retrain import ScratchTraining
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.stopwatch import Stopwatch
from evonas.supernet.stretch import Progress

Tell = Callable[[str, int, Mapping[str, float]], None]  # series, step and figures
Job = tuple[str, Genotype, int]  # role, network, and which of its trainings


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
        arithmetic: Arithmetic,
        say: Say = lambda line: None,
        others: str = "front",
    ) -> None:
        """others: what the networks that are reported beside the best are called."""
        self.space = space
        self.settings = settings
        self.trained: list[dict[str, Any]] = []
        self._data = data
        self._complexity = complexity
        self._seeds = seeds
        self._arithmetic = arithmetic
        self._say = say
        self._others = others
        self.micro_batches = 1  # most parts that a step was split into
        self._training: ScratchTraining | None = None  # the network that is half trained
        self._begun: dict[str, Any] | None = None  # its state, as another process left it

    def train(
        self,
        ranked: Sequence[Genotype],
        front: Sequence[Genotype],
        reporter: Reporter,
        tell: Tell,
        stopwatch: Stopwatch,
        offer: Callable[[], None],
        checkpoint: Callable[[], None],
        progress: Progress,
        save_best: Callable[[Genotype, ScratchTraining], None],
    ) -> None:
        """Train what is left to train.

        ranked: genotypes of the final measuring, best first. front: those to report of the front, or those that were
        asked for; none where there is one objective. tell: is given the figures of each epoch.
        offer: called where there may be a checkpoint, between epochs. checkpoint: writes one, behind each network.
        """
        while (job := self._next(ranked, front)) is not None:
            role, genotype, repeat = job
            title = f"retrain {role}" + (f", seed {repeat + 1}" if repeat else "")
            with stopwatch("retrain"):
                training = self._taken_up(role, genotype, repeat)
            with reporter.task(title, self.settings.epochs, training.epoch) as task:
                self._training = training
                while not training.done:
                    epoch, rate = training.epoch, training.rate()
                    with stopwatch("retrain"):
                        loss = training.train_epoch(progress)
                    tell(title, epoch, {"loss": loss, "lr": rate})
                    task.advance(1, f"loss {loss:.3f}")
                    if not training.done:
                        offer()
            with stopwatch("retrain"):
                self.trained.append({**self._scored(role, genotype, training), "repeat": repeat})
            self.micro_batches = max(self.micro_batches, training.micro_batches.parts)
            if (role, repeat) == ("best", 0):
                save_best(genotype, training)
            self._training = None
            checkpoint()

    def _next(self, ranked: Sequence[Genotype], front: Sequence[Genotype]) -> Job | None:
        """The next network to train: its role, and which of its trainings it is."""
        done = {(row["role"], row["repeat"]) for row in self.trained}
        competing = [] if front else self._competing(ranked)
        jobs: list[Job] = [(f"competitor {i + 1}", genotype, 0) for i, genotype in enumerate(competing)]
        if all((role, repeat) in done for role, _, repeat in jobs):
            chosen = self._chosen(ranked)
            others = [genotype for genotype in front if genotype != chosen]
            reported = [(f"{self._others} {i + 2}", genotype) for i, genotype in enumerate(others)]
            reported = [("best", chosen), *reported, *self._references()]
            jobs = [(role, genotype, repeat) for role, genotype in reported for repeat in range(self.settings.seeds)]
        return next(((role, genotype, i) for role, genotype, i in jobs if (role, i) not in done), None)

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

    def _taken_up(self, role: str, genotype: Genotype, repeat: int) -> ScratchTraining:
        part = self._data.weights if role.startswith("competitor") else self._data.train
        training = ScratchTraining(
            self.space,
            genotype,
            self._data,
            part,
            self.settings,
            self._seeds,
            self._arithmetic,
            repeat=repeat,
            say=self._say,
        )
        begun, self._begun = self._begun, None
        if begun is not None:
            training.load_state_dict(begun)
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
        rows = [row for row in self.trained if row["role"].startswith("competitor")]
        return [{key: value for key, value in row.items() if key != "repeat"} for row in rows]

    @property
    def others(self) -> list[dict[str, Any]]:
        """What is reported beside the best, members of the front or networks that were asked for, each as `best`."""
        return self._reported(self._others)

    @property
    def best(self) -> dict[str, Any]:
        """The reported network: role, genotype, params, flops, test_error in percent.

        Of several trainings that is the mean, beside test_errors, one each, and test_error_std (n - 1 in it).
        """
        return self._reported("best")[0]

    @property
    def references(self) -> dict[str, Any] | None:
        """The references with their test errors and the mean of the random ones; None where none were asked for."""
        randoms = self._reported("random")
        if not randoms:
            return None
        return {
            "largest": self._reported("largest")[0],
            "random": randoms,
            "random_mean_test_error": statistics.fmean(row["test_error"] for row in randoms),
        }

    def _reported(self, kind: str) -> list[dict[str, Any]]:
        """One row for each network whose role begins with `kind`, over its trainings."""
        by_role: dict[str, list[dict[str, Any]]] = {}
        for row in self.trained:
            if row["role"].startswith(kind):
                by_role.setdefault(row["role"], []).append(row)
        return [self._over_trainings(rows) for rows in by_role.values()]

    def _over_trainings(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        errors = [row["test_error"] for row in rows]
        found = {key: value for key, value in rows[0].items() if key != "repeat"}
        if self.settings.seeds == 1:
            return found
        return {
            **found,
            "test_error": statistics.fmean(errors),
            "test_errors": errors,
            "test_error_std": statistics.stdev(errors),
        }

    def state_dict(self) -> dict[str, Any]:
        """What is trained, and the network that is half trained."""
        training = self._begun if self._training is None else self._training.state_dict()
        return {"trained": self.trained, "training": training, "parts": self.micro_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.trained, self._begun = state["trained"], state["training"]
        self.micro_batches = state["parts"]
