"""torch.compile with a way back: where it cannot be used, a line says so and the plain function goes on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

from evonas.arithmetic import Say

P = ParamSpec("P")
Result = TypeVar("Result")


class Compiled(Generic[P, Result]):
    """A function, compiled at its first call. After `give_up` it is the plain one, for good."""

    def __init__(self, function: Callable[P, Result], say: Say = lambda line: None) -> None:
        self._plain = function
        self._compiled: Callable[P, Result] | None = torch.compile(function, dynamic=False)
        self._say = say
        self.proven = False  # whether a whole step has been made with it, backward included

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        if self._compiled is None:
            return self._plain(*args, **kwargs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's advice is not for the user
            return self._compiled(*args, **kwargs)

    @property
    def active(self) -> bool:
        """Whether calls are compiled."""
        return self._compiled is not None

    def give_up(self, error: Exception) -> None:
        """Go on without compiling, and say so."""
        self._compiled = None
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        self._say(f"torch.compile cannot be used here ({reason}); retraining goes on without it")
