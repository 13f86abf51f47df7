"""`evonas latency`: the times of all parts of a space on this device."""

from __future__ import annotations

from evonas.arithmetic import Arithmetic, set_up
from evonas.config import Settings
from evonas.device_times import DeviceTimes
from evonas.environment import device_name
from evonas.experiment import effective
from evonas.latency import Latency
from evonas.spaces import build_space


def times_here(settings: Settings, image_shape: tuple[int, int, int], classes: int) -> DeviceTimes:
    """Of a batch of problem.latency_batch images of `image_shape` (C, H, W). Raises DeviceError, ConfigError."""
    settings = effective(settings)
    assert settings.threads is not None and settings.memory_format is not None and settings.precision is not None
    set_up(settings.threads, settings.device, settings.allocator, settings.deterministic)
    latency = Latency(
        build_space(settings.space),
        image_shape,
        classes,
        Arithmetic.named(settings.device, settings.memory_format, settings.precision),
        batch=settings.problem.latency_batch,
    )
    latency.meet_all_parts()
    return DeviceTimes(latency.known, settings.problem.latency_batch, device_name(settings.device))
