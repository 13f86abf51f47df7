"""The networks trained from scratch at the end of a run: competitors, the best of them, and its references."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from evonas.arithmetic import Say
from evonas.complexity import Complexity
from evonas.config import RetrainSettings
from evonas.engines.crew import Call, Crew
from evonas.progress import Reporter
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.stopwatch import Stopwatch
from evonas.supernet.stretch import Progress


class Job(NamedTuple):
    """A training: what the network is to the run, the network, and which of its trainings it is."""

    role: str
    genotype: Genotype
    repeat: int

    @property
    def key(self) -> tuple[str, int]:
        """What names it within a run."""
        return self.role, self.repeat

    @property
    def title(self) -> str:
        """The same in words."""
        return f"retrain {self.role}" + (f", seed {self.repeat + 1}" if self.repeat else "")


@dataclass(frozen=True)
class Surroundings:
    """What training is done with.

    crew: holds benches (see `engines.bench`). tell: is given the figures of each epoch. offer: called where there may
    be a checkpoint, behind each round of epochs, one of each network in training. checkpoint: writes one, behind each
    network's last. progress: called behind each epoch; may raise. save_best: is given the best network's weights.
    """

    crew: Crew
    reporter: Reporter
    stopwatch: Stopwatch
    tell: Callable[[str, int, Mapping[str, float]], None]  # series, step and figures
    offer: Callable[[], None]
    checkpoint: Callable[[], None]
    progress: Progress
    save_best: Callable[[Genotype, Mapping[str, Tensor]], None]


class Finalists:
    """Trains networks epoch by epoch, each state of them part of the run's checkpoints.

    With `retrain.top` over 1 and one objective, that many compete: each is trained on the weights part and scored on
    the fitness part, and the one with the lowest error goes on. With several objectives nothing competes, and as many
    members of the front are reported. What is reported, and the references (the largest network of the space and random
    ones), is trained on both parts by one recipe, from the same generators, and scored on the sealed test part.
    """

    def __init__(
        self,
        space: Space,
        complexity: Complexity,
        settings: RetrainSettings,
        seeds: Seeds,
        say: Say = lambda line: None,
        others: str = "front",
    ) -> None:
        """others: what the networks that are reported beside the best are called."""
        self.space = space
        self.settings = settings
        self.trained: list[dict[str, Any]] = []
        self._complexity = complexity
        self._seeds = seeds
        self._say = say
        self._others = others
        self.micro_batches = 1  # most parts that a step was split into
        self._states: dict[tuple[str, int], dict[str, Any]] = {}  # of networks that are half trained
        self._first: dict[str, Any] | None = None  # the state of the next network, in a checkpoint

    def train(self, ranked: Sequence[Genotype], front: Sequence[Genotype], around: Surroundings) -> None:
        """Train what is left to train.

        ranked: genotypes of the final measuring, best first. front: those to report of the front, or those that were
        asked for; none where there is one objective.
        """
        self._train([] if front else self._competing(ranked), around)
        self._train(self._reporting(ranked, front), around)

    def _reporting(self, ranked: Sequence[Genotype], front: Sequence[Genotype]) -> list[Job]:
        chosen = self._chosen(ranked)
        others = [genotype for genotype in front if genotype != chosen]
        reported = [(f"{self._others} {i + 2}", genotype) for i, genotype in enumerate(others)]
        networks = [("best", chosen), *reported, *self._references()]
        return [Job(role, genotype, repeat) for role, genotype in networks for repeat in range(self.settings.seeds)]

    @property
    def _done(self) -> set[tuple[str, int]]:
        return {(row["role"], row["repeat"]) for row in self.trained}

    def _train(self, jobs: Sequence[Job], around: Surroundings) -> None:
        waiting = [job for job in jobs if job.key not in self._done]
        if not waiting:
            return
        if self._first is not None:
            self._states[waiting[0].key], self._first = self._first, None
        epochs, behind = self.settings.epochs, sum(state["epoch"] for state in self._states.values())
        calls = deque(Call("train", (*job, self._states.get(job.key)), job) for job in waiting)
        results = around.crew.results(calls)
        fresh: set[Job] = set()  # networks that had an epoch since the last checkpoint
        behind += (len(jobs) - len(waiting)) * epochs
        with around.reporter.task("retraining", len(jobs) * epochs, behind) as task:
            while True:
                with around.stopwatch("retrain"):
                    found = next(results, None)
                if found is None:
                    break
                job, result = found[0].about, found[1]
                self._take(job, result)
                if result["row"] is None:
                    calls.appendleft(Call("train", (*job, result["state"]), job))
                elif result["weights"] is not None:
                    around.save_best(job.genotype, result["weights"])
                self._order(jobs)
                around.tell(job.title, result["state"]["epoch"] - 1, {"loss": result["loss"], "lr": result["lr"]})
                task.advance(1, f"{job.role}, loss {result['loss']:.3f}")
                around.progress(0)
                fresh.add(job)
                if result["row"] is not None or len(fresh) >= min(around.crew.size, len(self._states)):
                    around.offer() if result["row"] is None else around.checkpoint()
                    fresh.clear()

    def _take(self, job: Job, result: Mapping[str, Any]) -> None:
        """Keep what an epoch has given."""
        for line in result["said"]:
            self._say(line)
        self._states[job.key] = result["state"]
        if result["row"] is not None:
            self.micro_batches = max(self.micro_batches, result["state"]["parts"])
            self.trained.append({**result["row"], "repeat": job.repeat})
            del self._states[job.key]

    def _order(self, jobs: Sequence[Job]) -> None:
        """Rows of `trained` in the order of their jobs, whichever ended first."""
        order = {job.key: place for place, job in enumerate(jobs)}
        self.trained.sort(key=lambda row: order.get((row["role"], row["repeat"]), -1))

    def _competing(self, ranked: Sequence[Genotype]) -> list[Job]:
        chosen = ranked[: self.settings.top] if self.settings.top > 1 else []
        return [Job(f"competitor {i + 1}", genotype, 0) for i, genotype in enumerate(chosen)]

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

    def keep(self, role: str, repeat: int, state: dict[str, Any]) -> None:
        """Take the state of a network in the middle of an epoch into the next checkpoint."""
        if (role, repeat) not in self._done:
            self._states[role, repeat] = state

    def state_dict(self) -> dict[str, Any]:
        """What is trained, and the networks that are half trained."""
        states = [[*key, state] for key, state in self._states.items()]
        return {"trained": self.trained, "training": None, "states": states, "parts": self.micro_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.trained, self.micro_batches = state["trained"], state["parts"]
        self._first = state["training"]  # of one network, from a time when there was never more than one
        self._states = {(role, repeat): training for role, repeat, training in state.get("states", [])}
