"""Objectives that are functions of a network: those of `evonas.config.FUNCTIONS`, and the user's own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from evonas.config import FUNCTIONS, OBJECTIVES, ProblemSettings
from evonas.errors import ConfigError
from evonas.networks import build_subnet
from evonas.own_code import loaded, reason
from evonas.spaces.base import Genotype, Space

GIVEN = ("space", "genotype", "network", "image_shape", "classes")  # by the name of the function's parameter


def activations(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Numbers that the layers of a network write for one image: what it takes of memory and its bandwidth."""
    written = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal written
        written += output.numel()

    for module in network.modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.empty(1, *image_shape, device="meta"))
    return written


class FunctionObjective:
    """Values of a function of networks, each computed once.

    It is given what its parameters name: space, genotype, network (the stand-alone one in evaluation mode, on the meta
    device: shapes without values), image_shape (C, H, W), classes. It returns a number, which is minimised, the same
    each time.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], space: Space, shape: tuple[int, int, int], classes: int
    ) -> None:
        """Raises ConfigError where it is no function of these."""
        self._name, self._function = name, function
        self._space, self._shape, self._classes = space, shape, classes
        self._known: dict[Genotype, float] = {}
        try:
            self._parameters = list(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            raise ConfigError(f"the objective {name} is no function; expected one of {', '.join(GIVEN)}") from None
        unknown = [parameter for parameter in self._parameters if parameter not in GIVEN]
        if unknown:
            raise ConfigError(f"the objective {name} takes {unknown[0]!r}; expected some of {', '.join(GIVEN)}")

    def of(self, genotype: Genotype) -> float:
        """The value of a genotype. Raises ConfigError where the function fails or gives no finite number."""
        if genotype not in self._known:
            self._known[genotype] = self._computed(genotype)
        return self._known[genotype]

    def bounds(self) -> tuple[float, float]:
        """Lowest and highest of the space, gene by gene: exact where values add up."""
        return self.of(self._space.extreme(lambda genotype: -self.of(genotype))), self.of(self._space.extreme(self.of))

    def _computed(self, genotype: Genotype) -> float:
        known = {"space": self._space, "genotype": genotype, "image_shape": self._shape, "classes": self._classes}
        where = f"the objective {self._name} of {list(genotype)}"
        if "network" in self._parameters:
            with torch.device("meta"):
                known["network"] = build_subnet(self._space, genotype, self._shape[0], self._classes).eval()
        try:
            value = self._function(**{name: known[name] for name in self._parameters})
        except Exception as error:
            raise ConfigError(f"{where} cannot be computed: {reason(error)}") from None
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"{where} is {' '.join(repr(value).split())[:60]}; expected a finite number")
        return number


def build_objectives(
    settings: ProblemSettings, space: Space, shape: tuple[int, int, int], classes: int
) -> dict[str, FunctionObjective]:
    """Those of the settings' objectives that are functions, by name; each is tried on the extremes of the space.

    The user's code is run. Raises ConfigError where it must not be, or fails.
    """
    functions = {name: _function(name, settings) for name in settings.objectives or ()}
    built = {
        name: FunctionObjective(name, function, space, shape, classes)
        for name, function in functions.items()
        if function is not None
    }
    for objective in built.values():
        objective.bounds()
    return built


def _function(name: str, settings: ProblemSettings) -> Callable[..., Any] | None:
    """The function that an objective is; None where it is measured or counted."""
    found: Any = None
    if name in settings.own:
        own = settings.own[name]
        found = loaded(own.name, own.sha256, "evonas.objectives", "evonas trust")
    elif name in FUNCTIONS:
        module, function = FUNCTIONS[name]
        found = getattr(import_module(module), function)
    elif name not in OBJECTIVES:
        found = loaded(name, None, "evonas.objectives", "evonas trust")
    return found  # type: ignore[no-any-return]
