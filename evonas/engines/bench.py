"""What a worker holds: all that measuring and retraining need of a run, made from its settings alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from evonas.arithmetic import Arithmetic, set_up, threads
from evonas.complexity import Complexity
from evonas.config import Settings, build
from evonas.data import ImageData, load
from evonas.errors import DataError
from evonas.networks import build_supernet
from evonas.retrain import ScratchTraining
from evonas.seeding import Seeds
from evonas.spaces import build_space
from evonas.supernet.careful import CarefulMeasurer
from evonas.supernet.measuring import Measurer
from evonas.supernet.stretch import Progress


class Bench:
    """Measures genotypes on supernet states that it is given, and trains networks epoch by epoch."""

    def __init__(self, settings: Settings, data: ImageData, arithmetic: Arithmetic) -> None:
        self.settings = settings
        self.data = data
        self.arithmetic = arithmetic
        self.space = build_space(settings.space)
        self.seeds = Seeds(settings.seed)
        self.complexity = Complexity(self.space, data.shape, len(data.classes))
        self._measurer: CarefulMeasurer | None = None
        self._state: int | None = None  # number of the supernet state that the measurer's weights are of
        self._training: tuple[tuple[str, int], ScratchTraining] | None = None
        self._said: list[str] = []
        self.progress: Progress = lambda steps: None  # of training

    def measure(
        self, genotypes: Sequence[Sequence[int]], state: int, weights: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """scores: (error in percent, loss in nats) of each genotype. reasons: what was out of the ordinary, by place.

        state: a number that changes with the weights, which are asked for once a state.
        """
        if self._measurer is None:
            supernet = build_supernet(self.space, self.data.shape[0], len(self.data.classes))
            measurer = Measurer(self.arithmetic.placed(supernet), self.data, self.settings.measure, self.arithmetic)
            self._measurer = CarefulMeasurer(measurer)
        if state != self._state:
            self._measurer.supernet.load_state_dict(weights())
            self._state = state
        chosen = [tuple(genotype) for genotype in genotypes]
        scores = self._measurer.measure(chosen)
        reasons, self._measurer.reasons = self._measurer.reasons, {}
        return {"scores": scores, "reasons": [[chosen.index(genotype), what] for genotype, what in reasons.items()]}

    def train(self, role: str, genotype: Sequence[int], repeat: int, state: Mapping[str, Any] | None) -> dict[str, Any]:
        """One epoch of a network's training, behind those of `state`; the score too where that was the last one.

        loss: of the epoch, in nats. lr: the rate at its start. state: behind it. said: lines for the user. row: the
        network with its cost and its error in percent, once it is trained. weights: of the best one, once it is.
        """
        assert self.settings.retrain.threads is not None
        with threads(self.settings.retrain.threads):
            training = self._taken_up(role, tuple(genotype), repeat, state)
            found: dict[str, Any] = {"lr": training.rate(), "row": None, "weights": None}
            found["loss"] = training.train_epoch(self.progress)
            if training.done:
                found["row"] = self._scored(role, tuple(genotype), training)
                if (role, repeat) == ("best", 0):
                    found["weights"] = training.weights()
        said, self._said = self._said, []
        return {**found, "said": said, "state": training.state_dict()}

    def under_way(self) -> tuple[str, int, dict[str, Any]] | None:
        """Role, repeat and state of the network that was in training last, perhaps in the middle of an epoch."""
        if self._training is None:
            return None
        (role, repeat), training = self._training
        return role, repeat, training.state_dict()

    def _taken_up(
        self, role: str, genotype: tuple[int, ...], repeat: int, state: Mapping[str, Any] | None
    ) -> ScratchTraining:
        """The training as it was, which is at hand where its last epoch was made here."""
        name, epoch = (role, repeat), 0 if state is None else state["epoch"]
        if self._training is None or self._training[0] != name or self._training[1].epoch != epoch:
            part = self.data.weights if role.startswith("competitor") else self.data.train
            training = ScratchTraining(
                self.space,
                genotype,
                self.data,
                part,
                self.settings.retrain,
                self.seeds,
                self.arithmetic,
                repeat=repeat,
                say=self._said.append,
            )
            if state is not None:
                training.load_state_dict(dict(state))
            self._training = name, training
        return self._training[1]

    def _scored(self, role: str, genotype: tuple[int, ...], training: ScratchTraining) -> dict[str, Any]:
        cost = self.complexity.of(genotype)
        row: dict[str, Any] = {"role": role, "genotype": list(genotype), "params": cost.params, "flops": cost.flops}
        if role.startswith("competitor"):
            return {**row, "fitness_error": training.error(self.data.fitness)}
        return {**row, "test_error": training.error(self.data.open_test(f"report of {role}"))}


def bench(settings: Mapping[str, Any], digest: str) -> Bench:
    """The bench of a process of its own, by effective settings as plain data.

    digest: of the images that the run has. Raises DataError where this machine has others.
    """
    made = build(settings)
    assert made.threads is not None and made.memory_format is not None and made.precision is not None
    set_up(made.threads, made.device, made.allocator, made.deterministic)
    data = load(made.dataset, torch.device(made.device))
    if data.digest != digest:
        raise DataError("a worker has other images than the run; give all machines the same, in the same folder")
    return Bench(made, data, Arithmetic.named(made.device, made.memory_format, made.precision))
