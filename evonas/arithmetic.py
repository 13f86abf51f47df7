"""How and where a run computes: device, layout of images in memory, precision; and what to do when memory is short."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from evonas.allocator import keep_freed_memory
from evonas.errors import TrainingError

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
AnyModule = TypeVar("AnyModule", bound=nn.Module)
Say = Callable[[str], None]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Arithmetic:
    """device, memory_format: of images and weights. precision: of convolutions and products; losses are float32."""

    device: torch.device = CPU
    memory_format: torch.memory_format = torch.contiguous_format
    precision: torch.dtype = torch.float32

    @classmethod
    def named(cls, device: str, memory_format: str, precision: str) -> Arithmetic:
        """By the names that the settings have."""
        return cls(torch.device(device), MEMORY_FORMATS[memory_format], PRECISIONS[precision])

    @property
    def is_reduced(self) -> bool:
        """Whether precision is below float32."""
        return self.precision != torch.float32

    def placed(self, module: AnyModule) -> AnyModule:
        """The module itself, moved to the device and into the layout."""
        placed: AnyModule = module.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        return placed

    def laid_out(self, images: Tensor) -> Tensor:
        """Images in the layout."""
        return images.contiguous(memory_format=self.memory_format)

    def autocast(self) -> AbstractContextManager[object]:
        """Within it, forward passes are in the precision."""
        return torch.autocast(self.device.type, dtype=self.precision, enabled=self.is_reduced)

    def finish(self) -> None:
        """Wait for what was queued on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def default_precision(device: str) -> str:
    """bfloat16 on GPUs that have it in hardware, else float32."""
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


def set_up(threads: int, device: str, allocator: str, deterministic: bool = False) -> str:
    """Set this process's switches and return what is in force, in words.

    These are torch's threads and the allocator's thresholds, and on a GPU TF32 products and the fastest convolutions.
    deterministic: of several ways that a GPU has to compute something, take one whose result does not vary.
    """
    torch.set_num_threads(threads)
    words = f"{device}, {threads} thread{'s' if threads > 1 else ''}"
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = not deterministic  # image sizes do not change within a run
        torch.use_deterministic_algorithms(deterministic)
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
            words += ", deterministic"
    elif allocator == "keep" and keep_freed_memory():
        words += ", freed memory kept"
    return words


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Within it, torch has so many threads on the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the machine, has no memory left for what was asked."""
    # torch has a type of its own for devices only; for the machine's memory it is a RuntimeError like any other.
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


class MicroBatches:
    """Runs training steps in as many equal parts as the device's memory asks for; gradients add up to the batch's.

    parts: into how many a batch is split at present. It grows when memory is short, and stays. Batch norms then see a
    part at a time, as they do when a batch is spread over devices.
    """

    def __init__(self, say: Say = lambda line: None, parts: int = 1) -> None:
        self.parts = parts
        self._say = say

    def run(self, images: int, part: Callable[[slice, float], Tensor], discard: Callable[[], None]) -> Tensor:
        """The sum of what `part(rows, share)` returns over parts of a batch of `images`; `share` sums to one.

        `part` runs forward and backward of some rows, its loss weighted by `share`. Where memory runs out, `discard` is
        to drop the gradients, and the step begins again in twice as many parts. Raises TrainingError where one image
        does not fit.
        """
        while True:
            try:
                size = -(-images // self.parts)
                rows = [slice(start, min(start + size, images)) for start in range(0, images, size)]
                return torch.stack([part(chosen, (chosen.stop - chosen.start) / images) for chosen in rows]).sum()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            discard()  # and not above: the traceback holds on to the tensors that are to be freed
            if self.parts >= images:
                raise TrainingError("the device has no memory for a single image; use a smaller space or image_size")
            self.parts *= 2
            torch.cuda.empty_cache()
            self._say(f"memory is short: from now on a step of {images} images is made in {self.parts} parts")
