"""How long a run will take, from a few steps timed before it starts. Nothing of the run is touched."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from evonas.arithmetic import Arithmetic, threads
from evonas.config import Settings, shipped
from evonas.data import ImageData, Part, batches_per_epoch, fixed_batches
from evonas.environment import device_name
from evonas.networks import Supernet
from evonas.plan import trainings
from evonas.progress import duration
from evonas.retrain import ScratchTraining
from evonas.seeding import Seeds
from evonas.spaces.base import Space
from evonas.supernet.measuring import Measurer
from evonas.supernet.training import BatchSource, SupernetTrainer

TIMED = 3  # steps of a round, each of another path
FEWEST = 8  # images that timing begins with on a CPU
A_WHILE = 0.3  # seconds of a step that are enough to tell its time by
LONG = 12 * 3600.0
Step = Callable[[], object]


@dataclass(frozen=True)
class Forecast:
    """Seconds by phase."""

    warmup: float
    finetune: float
    measure: float
    retrain: float

    @property
    def total(self) -> float:
        """Of all phases."""
        return self.warmup + self.finetune + self.measure + self.retrain

    def lines(self, settings: Settings) -> list[str]:
        """What people are told of it; on a CPU, where it is long, also of the smaller settings."""
        parts = {"warm-up": self.warmup, "fine-tuning": self.finetune, "measuring": self.measure}
        parts["retraining"] = self.retrain
        listed = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items())
        where = device_name(settings.device)
        said = [f"expected: about {duration(self.total)} ({listed}), by a few steps timed on {where}"]
        if settings.device == "cpu" and self.total > LONG:
            said.append(
                f"these settings are for a GPU, and take {self.total / 86400:.1f} days here{_smaller(settings)}"
            )
        return said


def _smaller(settings: Settings) -> str:
    name = f"{settings.dataset.name}-small"
    return "" if shipped(name) is None else f"; for a CPU there is `--config {name}`"


class Forecaster:
    """Times the steps of a run on copies, at a few random genotypes."""

    def __init__(
        self,
        settings: Settings,
        space: Space,
        supernet: Supernet,
        data: ImageData,
        arithmetic: Arithmetic,
    ) -> None:
        self._settings, self._space, self._data, self._arithmetic = settings, space, data, arithmetic
        self._supernet = copy.deepcopy(supernet)
        self._seeds = Seeds(settings.seed)
        rng = np.random.default_rng(0)
        self._genotypes = [space.sample(rng) for _ in range(TIMED)]

    def forecast(self, warmed_up: bool) -> Forecast:
        """Seconds of the whole run; warmed_up: its supernet comes from another one."""
        settings = self._settings
        search, supernet = settings.search, settings.supernet
        if settings.retrain.genotypes is not None:
            return Forecast(0.0, 0.0, 0.0, self._retraining())
        assert search.population is not None and search.generations is not None
        trainer = self._trainer()
        step = self._step(trainer)
        phases = search.generations - 1 if settings.finetune.enabled else 0
        candidates = settings.final.candidates or search.population
        sampled = settings.final.sample if settings.final.choice == "model" else 0
        measured = search.evaluations or search.population * search.generations
        return Forecast(
            warmup=0.0 if warmed_up else step * trainer.steps_per_epoch * supernet.epochs,
            finetune=step * trainer.steps_per_phase(search.population) * phases,
            measure=self._measurement() * (measured + candidates + sampled),
            retrain=self._retraining() if settings.retrain.enabled else 0.0,
        )

    def _trainer(self) -> SupernetTrainer:
        settings = self._settings
        return SupernetTrainer(
            self._space,
            self._supernet,
            self._data,
            settings.supernet,
            settings.finetune,
            self._seeds,
            self._arithmetic,
        )

    def _step(self, trainer: SupernetTrainer) -> float:
        part, settings = self._data.weights, self._settings.supernet
        source = BatchSource(self._data, self._seeds, self._arithmetic)
        images, labels = next(source.epoch(part, settings.batch_size, "forecast", 0))
        self._supernet.train()

        def steps(size: int) -> list[Step]:
            batch = self._arithmetic.laid_out(images[:size]), labels[:size]
            return [partial(trainer._step, *batch, [genotype], 1e-6) for genotype in self._genotypes]

        paths = max(self._space.cardinalities) if settings.sampler == "fair" else 1
        return self._seconds(steps, len(labels)) * paths

    def _measurement(self) -> float:
        fitness, measure = self._data.fitness, self._settings.measure

        def steps(size: int) -> list[Step]:
            few = Part(fitness.images[:size], fitness.labels[:size])
            protocol = measure.model_copy(update={"batch_size": size, "calibration_images": size})
            measurer = Measurer(self._supernet, replace(self._data, fitness=few), protocol, self._arithmetic)
            return [partial(measurer.measure, [genotype]) for genotype in self._genotypes]

        batch = len(next(iter(fixed_batches(fitness, measure.batch_size)))[1])
        calibrated = measure.calibration_images if measure.batch_norm == "recalibrate" else 0
        passes = 2 if calibrated else 1
        return self._seconds(steps, batch) * (len(fitness) + calibrated) / (passes * batch)

    def _retraining(self) -> float:
        """Of all networks: the competitors, on the weights part, and what is reported, on both parts."""
        settings, part = self._settings.retrain, self._data.train
        plain = settings.model_copy(update={"compile": False})
        training = ScratchTraining(
            self._space, self._genotypes[0], self._data, part, plain, self._seeds, self._arithmetic
        )
        images, labels, kept = next(iter(training._batches()))

        def steps(size: int) -> list[Step]:
            batch = self._arithmetic.laid_out(images[:size]), labels[:size], None if kept is None else kept[..., :size]
            return [partial(training._step, *batch, 1e-6)] * TIMED

        with threads(settings.threads or torch.get_num_threads()):
            epoch = self._seconds(steps, len(labels)) * batches_per_epoch(len(part), settings.batch_size)
        share = len(self._data.weights) / len(part)
        # So many networks, one after another, side by side with others.
        reported, competitors = (math.ceil(number / (settings.jobs or 1)) for number in trainings(self._settings))
        return epoch * settings.epochs * (reported + competitors * share)

    def _seconds(self, steps: Callable[[int], Sequence[Step]], batch: int) -> float:
        """Mean seconds of the steps for a whole batch, from as many images of it as take a while to work through.

        On a GPU that is the batch at once: it is faster the more it has to do.
        """
        size = batch if self._arithmetic.device.type == "cuda" else min(batch, FEWEST)
        while (seconds := self._fastest(steps(size))) < A_WHILE and size < batch:
            size = min(batch, 4 * size)
        return seconds * batch / size

    def _fastest(self, steps: Sequence[Step]) -> float:
        """Mean seconds of the steps, of the faster of two rounds: in the first all is made ready."""
        rounds = []
        for _ in range(2):
            begin = time.perf_counter()
            for step in steps:
                step()
            self._arithmetic.finish()
            rounds.append(time.perf_counter() - begin)
        return min(rounds) / len(steps)
