"""Retraining from scratch: DARTS's recipe, what is off by default, and going on in the middle."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests_support import SMALL_SPACES, same

from evonas.arithmetic import Arithmetic
from evonas.config import ConfigError, build
from evonas.experiment import effective
from evonas.recipe import GlobalDraws, mixing, policy
from evonas.retrain import ScratchTraining
from evonas.seeding import Seeds
from evonas.spaces import build_space

DARTS = SMALL_SPACES["darts"]
GENOTYPE = (0, 3, 1, 5) * 8
RECIPES = {
    "plain": [],
    "ema": ["retrain.ema=0.9"],
    "randaugment": ["retrain.policy=randaugment"],
    "autoaugment": ["retrain.policy=autoaugment"],
    "mixup and cutmix": ["retrain.mixup=0.2", "retrain.cutmix=1.0"],
    "bfloat16": ["precision=bfloat16"],
    "no auxiliary head": ["retrain.auxiliary=0", "retrain.drop_path=0"],
}


@pytest.fixture
def training(tiny: Any, digits: Any) -> Callable[..., ScratchTraining]:
    def make(*assignments: str, repeat: int = 0, say: Any = lambda line: None) -> ScratchTraining:
        settings = effective(tiny(DARTS, "retrain.batch_size=128", "retrain.epochs=4", *assignments))
        assert settings.memory_format and settings.precision
        arithmetic = Arithmetic.named("cpu", settings.memory_format, settings.precision)
        space = build_space(settings.space)
        return ScratchTraining(
            space, GENOTYPE, digits, digits.weights, settings.retrain, Seeds(0), arithmetic, repeat=repeat, say=say
        )

    return make


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_taken_up_in_the_middle_ends_with_the_same_bits(training: Any, digits: Any, recipe: str) -> None:
    torch.manual_seed(1)
    outside = torch.get_rng_state()
    unbroken, first, second = (training(*RECIPES[recipe]) for _ in range(3))
    losses = [unbroken.train_epoch() for _ in range(3)]
    assert np.isfinite(losses).all()
    first.train_epoch()
    second.load_state_dict(first.state_dict())
    assert [second.train_epoch() for _ in range(2)] == losses[1:]
    assert same(unbroken.state_dict(), second.state_dict())
    assert unbroken.error(digits.fitness) == second.error(digits.fitness)
    assert torch.equal(torch.get_rng_state(), outside), "torch's global generator is as it was"


def test_every_recipe_is_another_training(training: Any) -> None:
    ends = []
    for assignments in RECIPES.values():
        made = training(*assignments)
        made.train_epoch()
        made.train_epoch()
        ends.append(torch.cat([tensor.flatten() for name, tensor in sorted(made.weights().items())]))
    assert len({tuple(end[:200].tolist()) for end in ends}) == len(RECIPES)


def test_defaults_are_those_of_darts_where_the_space_has_the_parts_and_off_elsewhere(tiny: Any) -> None:
    darts, chain = effective(tiny(DARTS)).retrain, effective(tiny()).retrain
    assert (darts.auxiliary, darts.drop_path) == (0.4, 0.2)
    assert (chain.auxiliary, chain.drop_path) == (0.0, 0.0)
    assert effective(tiny(DARTS, "retrain.drop_path=0.3")).retrain.drop_path == 0.3
    with pytest.raises(ConfigError, match=r"retrain.auxiliary is 0.4, and networks of single-path have none"):
        build({"retrain": {"auxiliary": 0.4}})


def test_drop_path_grows_linearly_from_nothing_and_keeps_the_mean(training: Any) -> None:
    made = training("retrain.drop_path=0.4")
    for epoch in range(4):
        made.epoch = epoch
        kept = made._kept(5000, torch.Generator().manual_seed(0))
        assert kept.shape == (4, 8, 5000)
        dropped = 0.4 * epoch / 4
        assert (kept == 0).float().mean().item() == pytest.approx(dropped, abs=0.005)
        assert kept.mean().item() == pytest.approx(1.0, abs=0.01)
        assert kept.max().item() == pytest.approx(1 / (1 - dropped)) and kept.unique().numel() <= 2


def test_the_auxiliary_loss_is_trained_on_and_not_saved(training: Any) -> None:
    made = training()
    made.train_epoch()
    assert any(name.startswith("auxiliary.") for name in made.optimizer.state_dict())
    assert not any(name.startswith("auxiliary.") for name in made.weights())
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8)
    with torch.no_grad():
        loss, total = made._losses(images, labels, None)
    assert total > loss


def test_seeds_of_one_network_differ_in_weights_and_order(training: Any) -> None:
    first, second = training(), training(repeat=1)
    name = next(iter(first.weights()))
    assert not torch.equal(first.weights()[name], second.weights()[name])
    assert not torch.equal(next(first._batches())[1], next(second._batches())[1])


def test_a_moving_average_is_what_is_reported(training: Any) -> None:
    made = training("retrain.ema=0.5")
    plain = training()
    for trained in (made, plain):
        trained.train_epoch()
    assert same(dict(made.model.state_dict()), dict(plain.model.state_dict())), "the training is the same"
    assert not same(made.weights(), plain.weights())


def test_a_shortage_of_memory_changes_the_micro_batch_and_little_else(training: Any, monkeypatch: Any) -> None:
    lines: list[str] = []
    made = training("retrain.auxiliary=0", say=lines.append)
    losses = made._losses

    def short(images: torch.Tensor, *rest: Any) -> Any:
        if len(images) > 40:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return losses(images, *rest)

    monkeypatch.setattr(made, "_losses", short)
    assert np.isfinite(made.train_epoch())
    assert made.micro_batches.parts == 4 and len(lines) == 2
    assert made.state_dict()["parts"] == 4


def test_a_compiler_that_fails_is_left_out_with_a_line(training: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any, **options: Any) -> Any:
        def call(*args: Any) -> Any:
            raise RuntimeError("no C++ compiler\nfound")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    lines: list[str] = []
    made, plain = training("retrain.compile=true", say=lines.append), training("retrain.compile=false")
    assert [made.train_epoch(), made.train_epoch()] == [plain.train_epoch(), plain.train_epoch()]
    assert lines == ["torch.compile cannot be used here (no C++ compiler found); retraining goes on without it"]


@pytest.mark.slow
def test_a_compiled_network_trains_as_the_plain_one(training: Any) -> None:
    lines: list[str] = []
    made, plain = training("retrain.compile=true", say=lines.append), training("retrain.compile=false")
    batch = next(plain._batches())
    first, second = (trained._step(*batch, 0.1) for trained in (made, plain) if trained.model.train())
    if lines:
        pytest.skip(lines[0])
    assert first.item() == pytest.approx(second.item(), rel=1e-5)
    for name, tensor in plain.weights().items():
        assert torch.allclose(made.weights()[name], tensor, atol=1e-4), name


def test_policies_are_drawn_image_by_image(tiny: Any) -> None:
    settings = tiny("retrain.policy=randaugment").retrain
    images = torch.arange(3 * 12 * 12, dtype=torch.uint8).reshape(1, 3, 12, 12).repeat(16, 1, 1, 1)
    applied = policy(settings, 3)(images)
    assert applied.shape == images.shape and applied.dtype == torch.uint8
    assert len({tuple(image.flatten().tolist()) for image in applied}) > 3
    assert torch.equal(applied, policy(settings, 3)(images))


def test_mixing_gives_probabilities(tiny: Any) -> None:
    images, labels = torch.randn(6, 1, 8, 8), torch.arange(6)
    for assignment in ("retrain.mixup=0.4", "retrain.cutmix=1.0"):
        mixed, targets = mixing(tiny(assignment).retrain, 10, 0)(images, labels)
        assert mixed.shape == images.shape and not torch.equal(mixed, images)
        assert targets.shape == (6, 10)
        assert targets.sum(dim=1) == pytest.approx(torch.ones(6))


def test_borrowed_draws_go_on_where_they_were() -> None:
    draws = GlobalDraws(5)
    with draws():
        first = torch.rand(3)
    torch.rand(7)
    with draws():
        second = torch.rand(3)
    expected = torch.rand(6, generator=torch.Generator().manual_seed(5))
    assert torch.equal(torch.cat([first, second]), expected)
