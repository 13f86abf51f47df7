"""How long a network takes for a batch on the device in use: measured whole, or added up from a table of its parts.

Milliseconds are medians over REPEATS batches after WARM_UP of them, each waited for. Weights are random ones, in
evaluation mode, in the run's precision and memory format. What was timed is kept, so that a run that goes on from its
folder goes on with the same figures. (`torch.utils.benchmark` would do the timing, but loads torch's compiler tools.)
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import nn

from evonas.arithmetic import AnyModule, Arithmetic
from evonas.errors import ConfigError
from evonas.networks import build_subnet, build_supernet, initialised, parts
from evonas.spaces.base import Genotype, Space

WARM_UP = 5
REPEATS = 25
NORM = re.compile(r"(BatchNorm2d\(\d+)[^)]*\)")  # releases of torch describe its options differently
NOTHING_NEW = 50  # random genotypes in a row without a new part, after which all parts of a space count as met


class Latency:
    """Milliseconds of the genotypes of a space for `batch` images of `image_shape` (C, H, W).

    source: `table` adds up the parts of a path, each timed once in its place; `measured` times every network. The table
    ignores what runs beside the parts (sums of a cell's edges), so it is for ranking and not for promises.
    """

    def __init__(
        self,
        space: Space,
        image_shape: tuple[int, int, int],
        classes: int,
        arithmetic: Arithmetic,
        *,
        source: Literal["table", "measured"] = "table",
        batch: int = 1,
        known: Mapping[str, float] | None = None,
        only: str | None = None,
    ) -> None:
        """known: milliseconds by key, as `known` of an earlier one. only: the file of another device that they are of;
        nothing is timed then, and a part that it lacks is a ConfigError.
        """
        self.space = space
        self.source = source
        self.known = dict(known or {})
        self._only = only
        self._shape, self._classes = image_shape, classes
        self._arithmetic, self._batch = arithmetic, batch
        self._supernet = self._made(partial(build_supernet, space, image_shape[0], classes))
        self._shapes: dict[str, tuple[int, ...]] = {}  # output of a part by key
        self._met: set[str] = set()

    def of(self, genotype: Genotype) -> float:
        """Milliseconds of one batch through the genotype's network. Raises ConfigError for a part that `only` lacks."""
        return self._measured(genotype) if self.source == "measured" else self._added_up(genotype)

    def bounds(self) -> tuple[float, float]:
        """Lowest and highest of the space, gene by gene: exact where times add up."""
        return self.of(self.space.extreme(lambda genotype: -self.of(genotype))), self.of(self.space.extreme(self.of))

    def meet_all_parts(self) -> None:
        """Have a time of every part: of each value of each gene, and of what random genotypes have beside.

        Raises ConfigError for one that `only` lacks.
        """
        rng = np.random.default_rng(0)  # decides nothing but the order
        for genotype in self.space.fair(rng):
            self.of(genotype)
        nothing_new = 0
        while nothing_new < NOTHING_NEW:
            before = len(self._met)
            self.of(self.space.sample(rng))
            nothing_new = nothing_new + 1 if len(self._met) == before else 0

    def _measured(self, genotype: Genotype) -> float:
        build = partial(build_subnet, self.space, genotype, self._shape[0], self._classes)
        return self._time("network " + "-".join(map(str, genotype)), partial(self._made, build), self._shape)

    def _added_up(self, genotype: Genotype) -> float:
        return self._along_chain(genotype) if self._supernet.additive else self._by_parts(genotype)

    def _along_chain(self, genotype: Genotype) -> float:
        total, shape = 0.0, tuple(self._shape)
        for _, part in self._supernet.path(genotype):
            key = self._key(part, shape)
            total += self._time(key, partial(_made_already, part), shape)
            if key not in self._shapes:
                self._shapes[key] = tuple(self._run(part, self._images(shape)).shape[1:])
            shape = self._shapes[key]
        return total

    def _by_parts(self, genotype: Genotype) -> float:
        return sum(
            self._time(part.key, partial(self._made, part.build), part.shape)
            for part in parts(self.space, genotype, self._shape, self._classes)
        )

    def _key(self, part: nn.Module, shape: tuple[int, ...]) -> str:
        """What decides the time of a part: its modules with their sizes, and its input."""
        described = NORM.sub(r"\1)", " ".join(repr(part).split()))
        return f"{described} on {'x'.join(map(str, shape))}"

    def _time(self, key: str, made: Callable[[], nn.Module], shape: tuple[int, ...]) -> float:
        """Milliseconds of what `key` stands for, which is made and timed where they are not known."""
        self._met.add(key)
        if key not in self.known:
            if self._only is not None:
                raise ConfigError(
                    f"{self._only} has no time of {key[:80]}{'...' if len(key) > 80 else ''}; take the times anew for "
                    "this space, these images and classes, by `evonas latency` on that device"
                )
            self.known[key] = self._milliseconds(made(), shape)
        return self.known[key]

    def _milliseconds(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        images = self._images(shape)
        seconds = []
        for _ in range(WARM_UP + REPEATS):
            begin = time.perf_counter()
            self._run(module, images)
            self._arithmetic.finish()
            seconds.append(time.perf_counter() - begin)
        return 1000.0 * statistics.median(seconds[WARM_UP:])

    def _images(self, shape: tuple[int, ...]) -> torch.Tensor:
        images = torch.zeros(self._batch, *shape, device=self._arithmetic.device)
        return self._arithmetic.laid_out(images) if images.dim() == 4 else images

    @torch.inference_mode()
    def _run(self, module: nn.Module, images: torch.Tensor) -> torch.Tensor:
        with self._arithmetic.autocast():
            output: torch.Tensor = module(images)
        return output

    def _made(self, build: Callable[[], AnyModule]) -> AnyModule:
        """A module with random weights, laid out, in evaluation mode."""
        with initialised(0):
            module = build()
        return self._arithmetic.placed(module).eval()


def _made_already(module: nn.Module) -> nn.Module:
    return module
