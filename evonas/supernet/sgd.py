"""Stochastic gradient descent over the parameters of one path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class PathSGD:
    """SGD with momentum and weight decay that touches the parameters of a step alone; the arithmetic is torch's own.

    `torch.optim.SGD` goes through every parameter of the supernet in each step to find those with a gradient. This one
    is told which they are, so that a step costs its path; a parameter without momentum yet has no buffer.
    """

    def __init__(self, module: nn.Module, momentum: float, weight_decay: float) -> None:
        self._names = {id(parameter): name for name, parameter in module.named_parameters()}
        self._parameters = dict(module.named_parameters())
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._buffers: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, parameters: Sequence[nn.Parameter], lr: float) -> None:
        """Update those of `parameters` that have a gradient, at rate `lr`, and drop the gradients."""
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        sgd(
            parameters,  # type: ignore[arg-type]
            [parameter.grad for parameter in parameters],  # type: ignore[misc]
            self._momenta(parameters) if self._momentum else [None] * len(parameters),
            fused=True,  # one call for all parameters; on the CPU a tenth of the time of one call each
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for parameter in parameters:
            parameter.grad = None

    def _momenta(self, parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
        """The buffers; a parameter's first one is zero, with which the first step sets it to the gradient."""
        names = [self._names[id(parameter)] for parameter in parameters]
        for name, parameter in zip(names, parameters, strict=True):
            if name not in self._buffers:
                self._buffers[name] = torch.zeros_like(parameter)
        return [self._buffers[name] for name in names]

    def state_dict(self) -> dict[str, Any]:
        """The momentum of each parameter that has one, by name."""
        return dict(self._buffers)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state_dict`, each buffer in its parameter's memory layout (files hold contiguous tensors)."""
        with torch.no_grad():
            self._buffers = {
                name: torch.empty_like(self._parameters[name]).detach().copy_(value) for name, value in state.items()
            }
