"""How long a run will take, from a few steps timed before it starts. Nothing of the run is touched."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from evonas.arithmetic import Arithmetic
from evonas.config import Settings, shipped
from evonas.data import ImageData, Part, batches_per_epoch, fixed_batches
from evonas.environment import device_name
from evonas.networks import Supernet
from evonas.progress import duration
from evonas.retrain import ScratchTraining
from evonas.seeding import Seeds
from evonas.spaces.base import Genotype, Space
from evonas.supernet.measuring import Measurer
from evonas.supernet.training import BatchSource, SupernetTrainer

MULTIPLY_ADDS = 2e10  # of a timed step on a CPU at most; a larger batch is cut and scaled
TIMED = 3  # steps of a round, each of another path
ROUNDS = 2
LONG = 12 * 3600.0


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
    """Times the steps of a run on copies. genotypes: a few random ones. flops: multiply-adds of a network."""

    def __init__(
        self,
        settings: Settings,
        space: Space,
        supernet: Supernet,
        data: ImageData,
        arithmetic: Arithmetic,
        flops: Callable[[Genotype], int],
    ) -> None:
        self._settings, self._space, self._data, self._arithmetic = settings, space, data, arithmetic
        self._supernet = copy.deepcopy(supernet)
        self._seeds = Seeds(settings.seed)
        rng = np.random.default_rng(0)
        self._genotypes = [space.sample(rng) for _ in range(TIMED)]
        self._flops = max(flops(genotype) for genotype in self._genotypes)

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

    def _images(self, batch: int) -> int:
        """Images of a timed batch."""
        if self._arithmetic.device.type == "cuda":
            return batch
        return max(2, min(batch, int(MULTIPLY_ADDS / (3 * max(1, self._flops)))))

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
        batch = min(self._settings.supernet.batch_size, len(self._data.weights))
        size = self._images(batch)
        source = BatchSource(self._data, self._seeds, self._arithmetic)
        images, labels = next(source.epoch(self._data.weights, size, "forecast", 0))
        self._supernet.train()
        steps = [partial(trainer._step, images, labels, [genotype], 1e-6) for genotype in self._genotypes]
        paths = max(self._space.cardinalities) if self._settings.supernet.sampler == "fair" else 1
        return self._seconds(steps) * batch / size * paths

    def _measurement(self) -> float:
        fitness, measure = self._data.fitness, self._settings.measure
        first, _ = next(iter(fixed_batches(fitness, self._images(measure.batch_size))))
        few = Part(fitness.images[: len(first)], fitness.labels[: len(first)])
        protocol = measure.model_copy(update={"batch_size": len(few), "calibration_images": len(few)})
        measurer = Measurer(self._supernet, replace(self._data, fitness=few), protocol, self._arithmetic)
        seconds = self._seconds([partial(measurer.measure, [genotype]) for genotype in self._genotypes])
        calibrated = measure.calibration_images if measure.batch_norm == "recalibrate" else 0
        passes = 2 if calibrated else 1
        return seconds * (len(fitness) + calibrated) / (passes * len(few))

    def _retraining(self) -> float:
        """Of all networks: the competitors, on the weights part, and what is reported, on both parts."""
        settings = self._settings.retrain
        part = self._data.train
        size = self._images(min(settings.batch_size, len(part)))
        timed = settings.model_copy(update={"batch_size": size, "compile": False})
        training = ScratchTraining(
            self._space, self._genotypes[0], self._data, part, timed, self._seeds, self._arithmetic
        )
        images, labels, kept = next(iter(training._batches()))
        step = self._seconds([partial(training._step, images, labels, kept, 1e-6)] * TIMED)
        references = settings.references + 1 if settings.references else 0
        several = len(self._settings.problem.objectives or ()) > 1
        competitors = settings.top if settings.top > 1 and not several and not settings.genotypes else 0
        chosen = len(settings.genotypes) if settings.genotypes else settings.top if several else 1
        reported = (chosen + references) * settings.seeds
        batch = min(settings.batch_size, len(part))
        share = len(self._data.weights) / len(part)
        epoch = step * batches_per_epoch(len(part), batch) * batch / size
        return epoch * settings.epochs * (reported + competitors * share)

    def _seconds(self, steps: Sequence[Callable[[], object]]) -> float:
        """Mean seconds of the steps, of the fastest round but the first, in which all is made ready."""
        rounds = []
        for _ in range(1 + ROUNDS):
            begin = time.perf_counter()
            for step in steps:
                step()
            self._arithmetic.finish()
            rounds.append(time.perf_counter() - begin)
        return min(rounds[1:]) / len(steps)
