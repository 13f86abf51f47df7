"""Small pieces that the tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from tests_support import tiny_settings

from evonas import slices
from evonas.arithmetic import Arithmetic
from evonas.config import Settings, build
from evonas.data import ImageData, load
from evonas.experiment import start
from evonas.networks import Supernet, build_supernet, initialised
from evonas.progress import Silent
from evonas.seeding import Seeds
from evonas.spaces import build_space
from evonas.supernet.training import SupernetTrainer

# Nothing here is large enough for a second thread, and threads that wait for each other starve on a busy machine.
torch.set_num_threads(1)

# A time limit an example says nothing on a machine that others share; timing belongs to benchmarks.
hypothesis.settings.register_profile("evonas", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("evonas")


@pytest.fixture(scope="session", autouse=True)
def home_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the decoded images, or the list of trusted code, of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("EVONAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def checkpoints_at_every_epoch() -> Iterator[None]:
    """Within a process of tests a checkpoint is always worth its time, so that each can be a run's last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "WORTH", 0.0)
        yield


@pytest.fixture
def tiny() -> Callable[..., Settings]:
    """Settings of a run that takes a second; further assignments on top."""

    return tiny_settings


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load(build({"dataset": {"fitness_share": 0.3}}).dataset, torch.device("cpu"))


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run on digits that came to its end; to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    start(tiny_settings(), folder, Silent())
    return folder


class Parts:
    """A small supernet with its space and trainer, norms randomised so that no equality holds for nothing."""

    def __init__(self, settings: Settings, data: ImageData) -> None:
        self.settings = settings
        self.data = data
        self.space = build_space(settings.space)
        self.arithmetic = Arithmetic.named(
            "cpu", settings.memory_format or "contiguous", settings.precision or "float32"
        )
        with initialised(settings.seed):
            self.supernet: Supernet = build_supernet(self.space, data.shape[0], len(data.classes))
            _randomise_norms(self.supernet)
        self.arithmetic.placed(self.supernet)
        self.trainer = SupernetTrainer(
            self.space,
            self.supernet,
            data,
            settings.supernet,
            settings.finetune,
            Seeds(settings.seed),
            self.arithmetic,
        )


def _randomise_norms(module: torch.nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for tensor in (part.weight, part.running_var):
                if tensor is not None:  # no scale and shift in the supernet of some spaces
                    torch.nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (part.bias, part.running_mean):
                if tensor is not None:
                    torch.nn.init.normal_(tensor, std=0.3)


@pytest.fixture
def parts(tiny: Callable[..., Settings], digits: ImageData) -> Callable[..., Parts]:
    def make(*assignments: str) -> Parts:
        return Parts(tiny(*assignments), digits)

    return make
