"""A stretch of training steps, of which a checkpoint can hold the first ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")
Progress = Callable[[int], None]  # called with the number of steps done since the last call


class Stretch:
    """Makes the steps of an epoch or a phase, and after `load_state_dict` those of them that are not yet made.

    Weights and optimiser are to go back to the same moment. Batches that an earlier process has trained on are drawn
    again and passed over, so that every generator goes on as it would have.
    """

    def __init__(self) -> None:
        self._name = ""
        self._losses: list[Tensor] = []
        self._begun: tuple[str, list[Tensor]] | None = None

    def run(
        self, name: str, batches: Iterable[Batch], step: Callable[[int, Batch], Tensor], progress: Progress
    ) -> list[Tensor]:
        """The losses of all steps, scalars. name: one that no other stretch of the run has.

        step: is given the number of the step, from 0, and its batch. progress may raise, with the state then being one
        between two steps.
        """
        begun, self._begun = self._begun, None
        self._name, self._losses = name, begun[1] if begun is not None and begun[0] == name else []
        made = len(self._losses)
        for number, batch in enumerate(batches):
            if number >= made:
                self._losses.append(step(number, batch))
                progress(1)
        return self._losses

    def made(self, name: str) -> int:
        """How many steps of that stretch are made already by what was loaded."""
        return len(self._begun[1]) if self._begun is not None and self._begun[0] == name else 0

    def state_dict(self) -> dict[str, Any]:
        """The stretch that was run last and the losses of its steps."""
        name, losses = self._begun or (self._name, self._losses)
        return {"name": name, "losses": torch.stack(losses).cpu() if losses else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        losses = state["losses"]
        self._begun = (state["name"], [] if losses is None else list(losses.unbind()))
