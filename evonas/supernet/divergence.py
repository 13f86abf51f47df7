"""Training that has run away: found at the end of a stretch, told by its step, and undone where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from evonas.errors import TrainingError


class DivergedError(TrainingError):
    """Training whose loss or weights are no finite numbers any more."""


class Restorable(Protocol):
    """What can go back to a state."""

    def state_dict(self) -> dict[str, Any]:
        """The present state; its tensors may be those in use."""

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Go back to a state."""


def mean_loss(losses: Sequence[Tensor], module: nn.Module, setting: str, rate: float, where: str) -> float:
    """Mean of the losses of a stretch of steps, in nats, with one synchronisation a stretch and not one a step.

    setting, rate: what decided the rate, and the rate at the start. where: the stretch, in words. Raises DivergedError
    where a loss, or by now a weight or a buffer of `module`, is no finite number.
    """
    values = torch.stack(list(losses))
    mean = float(values.mean())
    state = [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]
    if bool(torch.stack([torch.isfinite(tensor).all() for tensor in (values, *state)]).all()):
        return mean
    wrong = (~torch.isfinite(values)).nonzero().flatten().tolist()
    what = f"training loss became {float(values[wrong[0]])}" if wrong else "weights became infinite or no numbers"
    step = wrong[0] + 1 if wrong else len(losses)
    raise DivergedError(
        f"the {what} in step {step} of {len(losses)} of {where}; lower {setting} (now {rate:g}), in the config.yaml of "
        "the run to go on from its last checkpoint by `evonas resume`"
    )


class HalvingRate:
    """A share of the learning rate, halved when training runs away at it, `most` times in one stretch at most."""

    def __init__(self, say: Callable[[str], None], most: int = 3) -> None:
        self.share = 1.0
        self._before: list[dict[str, Any]] | None = None  # states that the stretch under way would go back to
        self._attempt = 0  # at that stretch
        self._begun = False  # whether another process began it
        self._say = say
        self._most = most

    def run(self, train: Callable[[], float], *parts: Restorable) -> float:
        """What `train` returns. `parts` go back before each new attempt, and before the last error comes out.

        After `load_state_dict` of a stretch that was under way, this goes on with that one.
        """
        before = self._before if self._begun else None
        if before is None:
            before, self._attempt = [_copied(part.state_dict()) for part in parts], 0
        self._before, self._begun = before, False
        while True:
            try:
                loss = train()
                self._before = None
                return loss
            except DivergedError as error:
                for part, state in zip(parts, before, strict=True):
                    part.load_state_dict(state)
                self._attempt += 1
                if self._attempt > self._most:
                    raise
                self.share /= 2
                self._say(f"{str(error).partition(';')[0]}: back to before it, and on at {self.share:g} of the rate")

    def state_dict(self) -> dict[str, Any]:
        """The share, and in the middle of a stretch what it would go back to."""
        return {"share": self.share, "attempt": self._attempt, "before": self._before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.share, self._attempt, self._before = state["share"], state["attempt"], state["before"]
        self._begun = True


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in state.items()}
