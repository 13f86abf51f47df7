"""Measuring changes nothing and depends on no order or company (invariant I2)."""

from typing import Any

import numpy as np
import pytest
import torch
from tests_support import SMALL_SPACES, same, snapshot

from evonas.augmentation import Normaliser
from evonas.config import MeasureSettings
from evonas.supernet.measuring import Measurer

MODES = ["batch", "recalibrate", "running"]


def measurer(made: Any, mode: str, **settings: Any) -> Measurer:
    return Measurer(
        made.supernet, made.data, MeasureSettings(batch_norm=mode, **settings), made.arithmetic  # type: ignore[arg-type]
    )  # fmt: skip


def population(made: Any, n: int = 8) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(1)
    return [made.space.sample(rng) for _ in range(n)]


@pytest.fixture(params=["single-path", "nb201"])
def trained(parts: Any, request: pytest.FixtureRequest) -> Any:
    made = parts(SMALL_SPACES[request.param])
    made.trainer.warm_up_epoch(0)
    return made


@pytest.mark.parametrize("mode", MODES)
def test_weights_buffers_optimiser_modes_and_generators_are_untouched(trained: Any, mode: str) -> None:
    before = snapshot(trained)
    measurer(trained, mode).measure(population(trained))
    assert same(before, snapshot(trained))


@pytest.mark.parametrize("mode", MODES)
def test_training_goes_on_as_if_nothing_had_been_measured(parts: Any, mode: str) -> None:
    results = []
    for measures in (False, True):
        made = parts()
        made.trainer.warm_up_epoch(0)
        if measures:
            measurer(made, mode).measure(population(made))
        made.trainer.warm_up_epoch(1)
        results.append(snapshot(made))
    assert same(results[0], results[1])


@pytest.mark.parametrize("mode", MODES)
def test_a_value_depends_on_no_order_and_no_company(trained: Any, mode: str) -> None:
    genotypes = population(trained)
    together = measurer(trained, mode).measure(genotypes)
    assert measurer(trained, mode).measure(genotypes[::-1]) == together[::-1]
    assert [measurer(trained, mode).measure([genotype])[0] for genotype in genotypes] == together


def test_the_modes_differ_and_so_do_their_protocols(trained: Any) -> None:
    genotypes = population(trained)
    values = {mode: tuple(measurer(trained, mode).measure(genotypes)) for mode in MODES}
    assert len(set(values.values())) == 3
    assert len({measurer(trained, mode).protocol for mode in MODES}) == 3
    assert measurer(trained, "batch").protocol != measurer(trained, "batch", batch_size=100).protocol


def test_batch_statistics_are_those_of_the_fixed_batches(trained: Any) -> None:
    # A plain reference: training-mode batch norm on each batch, with the buffers put back by hand.
    (genotype,) = population(trained, 1)
    part, size = trained.data.fitness, 100
    kept = {name: tensor.clone() for name, tensor in trained.supernet.state_dict().items()}
    trained.supernet.train()
    wrong, loss = 0, 0.0
    count = max(1, len(part) // size)
    batches = zip(part.images.tensor_split(count), part.labels.tensor_split(count), strict=True)
    with torch.no_grad():
        for images, labels in batches:
            logits = trained.supernet(
                Normaliser(trained.data.mean, trained.data.std, torch.device("cpu"))(images), genotype
            )
            wrong += int((logits.argmax(1) != labels).sum())
            loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum").double())
    trained.supernet.load_state_dict(kept)
    expected = (100 * wrong / len(part), loss / len(part))
    assert measurer(trained, "batch", batch_size=size).measure([genotype]) == [pytest.approx(expected, rel=1e-6)]


def test_recalibration_averages_over_the_calibration_images(trained: Any) -> None:
    (genotype,) = population(trained, 1)
    first = measurer(trained, "recalibrate", calibration_images=200).measure([genotype])
    for norm in trained.supernet.path_norms(genotype):
        norm.running_mean.add_(100.0)  # what was in the buffers before must not matter
    assert measurer(trained, "recalibrate", calibration_images=200).measure([genotype]) == first
    assert measurer(trained, "recalibrate", calibration_images=400).measure([genotype]) != first


@pytest.mark.parametrize("shared_mib", [0, 64])
@pytest.mark.parametrize("mode", MODES)
def test_buffers_come_back_even_when_measuring_fails(
    trained: Any, mode: str, shared_mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("planted")

    before = snapshot(trained)
    monkeypatch.setattr("evonas.supernet.measuring._Tally.add", fail)
    with pytest.raises(RuntimeError, match="planted"):
        measurer(trained, mode, shared_mib=shared_mib).measure(population(trained, 2))
    assert same(before, snapshot(trained))
