"""Warm-up and fine-tuning: one path a step, one cosine, the same bits again."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tests_support import same, snapshot

from evonas.errors import TrainingError
from evonas.supernet.sgd import PathSGD
from evonas.supernet.training import cosine


def population(made: Any, n: int = 6) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(2)
    return [made.space.sample(rng) for _ in range(n)]


@pytest.mark.parametrize("sampler", ["uniform", "fair"])
def test_warm_up_learns(parts: Any, sampler: str) -> None:
    epochs = {"uniform": 8, "fair": 4}[sampler]  # a fair step trains two paths
    made = parts(
        "space.width=16",
        "space.operations=[conv3,sep3]",
        f"supernet.epochs={epochs}",
        "supernet.batch_size=32",
        f"supernet.sampler={sampler}",
    )
    losses = [made.trainer.warm_up_epoch(epoch) for epoch in range(epochs)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_step_moves_the_paths_weights_alone(parts: Any) -> None:
    made = parts()
    made.trainer.warm_up_epoch(0)  # momentum is there now, which must not move what has no gradient
    before = {name: tensor.clone() for name, tensor in made.supernet.named_parameters()}
    genotype = (0, 2, 1)
    images = torch.randn(8, 1, 8, 8)
    made.supernet.train()
    made.trainer._step(images, torch.arange(8), [genotype], 0.1)
    used = {id(parameter) for parameter in made.supernet.path_parameters(genotype)}
    for name, parameter in made.supernet.named_parameters():
        assert torch.equal(before[name], parameter) == (id(parameter) not in used), name


def test_the_same_seed_gives_the_same_bits_and_another_does_not(parts: Any) -> None:
    def trained(seed: int) -> Any:
        made = parts(f"seed={seed}")
        made.trainer.warm_up_epoch(0)
        made.trainer.fine_tune(population(made), 0, 2)
        return snapshot(made)

    assert same(trained(1), trained(1))
    assert not same(trained(1)["weights"], trained(2)["weights"])


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_saved_and_loaded_training_equals_unbroken_training(parts: Any, memory_format: str) -> None:
    from evonas.packing import pack, unpack

    unbroken, resumed = (parts(f"memory_format={memory_format}") for _ in range(2))
    unbroken.trainer.warm_up_epoch(0)
    resumed.trainer.load_state_dict(unpack(pack(unbroken.trainer.state_dict())))
    for made in (unbroken, resumed):
        made.trainer.warm_up_epoch(1)
        made.trainer.end_warm_up()
        made.trainer.fine_tune(population(made), 0, 2)
    assert same(snapshot(unbroken), snapshot(resumed))
    strides = [[p.stride() for p in made.supernet.parameters()] for made in (unbroken, resumed)]
    assert strides[0] == strides[1]


def test_the_rate_is_one_cosine_over_all_phases(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts("finetune.lr=0.5")
    rates: list[float] = []

    def step(images: object, labels: object, genotypes: object, lr: float) -> torch.Tensor:
        rates.append(lr)
        return torch.zeros(())

    monkeypatch.setattr(made.trainer, "_step", step)
    for phase in range(3):
        made.trainer.fine_tune(population(made), phase, 3)
    total = len(rates)
    assert rates == pytest.approx([cosine(0.5, 0.0, step / total) for step in range(total)])
    assert all(a > b for a, b in pairwise(rates))


def test_phases_never_see_the_same_batches_twice(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts()
    seen: list[bytes] = []

    def step(images: torch.Tensor, labels: object, genotypes: object, lr: float) -> torch.Tensor:
        seen.append(images.numpy().tobytes())
        return torch.zeros(())

    monkeypatch.setattr(made.trainer, "_step", step)
    for phase in range(3):
        made.trainer.fine_tune(population(made), phase, 3)
    assert len(set(seen)) == len(seen) == 3 * made.trainer.steps_per_phase(6)


def test_training_never_sees_a_fitness_or_test_image(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts("dataset.crop=0")
    allowed = {image.numpy().tobytes() for image in made.data.weights.images}
    from evonas.supernet import training

    def record(images: torch.Tensor, *rest: object, **more: object) -> torch.Tensor:
        assert {image.numpy().tobytes() for image in images} <= allowed
        return images

    monkeypatch.setattr(training, "augment", record)
    made.trainer.warm_up_epoch(0)
    made.trainer.fine_tune(population(made), 0, 2)


@pytest.mark.parametrize(("settings", "crop"), [((), 1), (("supernet.crop=0",), 0), (("supernet.crop=2",), 2)])
def test_the_supernet_has_crops_of_its_own(
    parts: Any, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], crop: int
) -> None:
    made = parts(*settings)
    from evonas.supernet import training

    seen = set()

    def record(images: torch.Tensor, *rest: object, crop: int, **more: object) -> torch.Tensor:
        seen.add(crop)
        return images

    monkeypatch.setattr(training, "augment", record)
    made.trainer.warm_up_epoch(0)
    made.trainer.fine_tune(population(made), 0, 2)
    assert seen == {crop}
    assert made.data.crop == 1, "which networks are retrained with"


def test_a_loss_that_is_not_finite_names_the_setting(parts: Any) -> None:
    made = parts("supernet.lr=1e30", "supernet.clip=1e30")
    with pytest.raises(TrainingError, match=r"lower supernet\.lr"):
        for epoch in range(2):
            made.trainer.warm_up_epoch(epoch)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_the_path_optimiser_equals_torchs_own(momentum: float) -> None:
    ours, theirs = (torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(3)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    mine = PathSGD(ours, momentum, 0.01)
    reference = torch.optim.SGD(theirs.parameters(), lr=1.0, momentum=momentum, weight_decay=0.01)
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for step, used in enumerate([(0, 1), (1, 2), (0, 2), (0, 1), (1,)]):  # a layer rests now and then
        for layers in (ours, theirs):
            outputs = inputs
            for index in used:
                outputs = layers[index](outputs)
            outputs.square().sum().backward()
        rate = 0.1 / (step + 1)
        mine.step([p for index in used for p in ours[index].parameters()], rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        reference.zero_grad(set_to_none=True)
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-6, atol=1e-7)
        assert all(p.grad is None for p in ours.parameters())
    assert set(mine.state_dict()) == (set(dict(ours.named_parameters())) if momentum else set())
