"""How long a network takes for a batch on the device in use: measured whole, or added up from a table of its parts.

Milliseconds are medians over REPEATS batches after WARM_UP of them, each waited for. Weights are random ones, in
evaluation mode, in the run's precision and memory format. What was timed is kept, so that a run that goes on from its
folder goes on with the same figures. (`torch.utils.benchmark` would do the timing, but loads torch's compiler tools.)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from evonas.arithmetic import Arithmetic
from evonas.networks import build_subnet, build_supernet, initialised, parts
from evonas.spaces.base import Genotype, Space

WARM_UP = 5
REPEATS = 25


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
    ) -> None:
        """known: milliseconds by key, as `known` of an earlier one."""
        self.space = space
        self.source = source
        self.known = dict(known or {})
        self._shape, self._classes = image_shape, classes
        self._arithmetic, self._batch = arithmetic, batch
        with initialised(0):
            supernet = build_supernet(space, image_shape[0], classes)
        self._prepare(supernet)
        self._supernet = supernet
        self._shapes: dict[str, tuple[int, ...]] = {}  # output of a part by key

    def of(self, genotype: Genotype) -> float:
        """Milliseconds of one batch through the genotype's network."""
        return self._measured(genotype) if self.source == "measured" else self._added_up(genotype)

    def bounds(self) -> tuple[float, float]:
        """Lowest and highest of the space, gene by gene: exact where times add up."""
        return self.of(self.space.extreme(lambda genotype: -self.of(genotype))), self.of(self.space.extreme(self.of))

    def _measured(self, genotype: Genotype) -> float:
        key = "network " + "-".join(map(str, genotype))
        if key not in self.known:
            with initialised(0):
                subnet = build_subnet(self.space, genotype, self._shape[0], self._classes)
            self._prepare(subnet)
            self.known[key] = self._milliseconds(subnet, self._shape)
        return self.known[key]

    def _added_up(self, genotype: Genotype) -> float:
        return self._along_chain(genotype) if self._supernet.additive else self._by_parts(genotype)

    def _along_chain(self, genotype: Genotype) -> float:
        total, shape = 0.0, tuple(self._shape)
        for _, part in self._supernet.path(genotype):
            key = self._key(part, shape)
            if key not in self.known:
                self.known[key] = self._milliseconds(part, shape)
            if key not in self._shapes:
                self._shapes[key] = tuple(self._run(part, self._images(shape)).shape[1:])
            total, shape = total + self.known[key], self._shapes[key]
        return total

    def _by_parts(self, genotype: Genotype) -> float:
        total = 0.0
        for part in parts(self.space, genotype, self._shape, self._classes):
            if part.key not in self.known:
                with initialised(0):
                    module = part.build()
                self._prepare(module)
                self.known[part.key] = self._milliseconds(module, part.shape)
            total += self.known[part.key]
        return total

    def _key(self, part: nn.Module, shape: tuple[int, ...]) -> str:
        """What decides the time of a part: its modules with their sizes, and its input."""
        return f"{' '.join(repr(part).split())} on {'x'.join(map(str, shape))}"

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

    def _prepare(self, module: nn.Module) -> None:
        self._arithmetic.placed(module).eval()
