"""A population measured as a tree of prefixes: the same values, each node once, little memory."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evonas.config import MeasureSettings
from evonas.errors import TrainingError
from evonas.supernet.measuring import Measurer
from evonas.supernet.prefix_tree import PrefixTree

CHAINS = {
    "single-path": "space={width: 4, layers: [1, 2], strides: [2, 2], head: 8}",
    "deep": "space={width: 4, layers: [4, 5], strides: [1, 2], head: 0, operations: [sep3, mb3x2, avgpool3, skip]}",
    "nb-macro": "space={name: nb-macro, width: 4, head: 8}",
}


@pytest.mark.parametrize("space", CHAINS)
@pytest.mark.parametrize("mode", ["batch", "recalibrate", "running"])
def test_values_equal_those_measured_one_by_one_bit_for_bit(parts: Any, space: str, mode: str) -> None:
    made = parts(CHAINS[space], "memory_format=channels_last")
    made.trainer.warm_up_epoch(0)
    rng = np.random.default_rng(2)
    genotypes = [made.space.sample(rng) for _ in range(12)]
    genotypes.append(genotypes[3])

    def measured(shared_mib: int, batch_size: int) -> list[tuple[float, float]]:
        settings = MeasureSettings(
            batch_norm=mode, batch_size=batch_size, calibration_images=300, shared_mib=shared_mib  # type: ignore[arg-type]
        )  # fmt: skip
        return Measurer(made.supernet, made.data, settings, made.arithmetic).measure(genotypes)

    for batch_size in (100, 256):
        alone = measured(0, batch_size)
        assert len(set(alone)) > 5
        assert measured(64, batch_size) == alone
        assert measured(1, batch_size) == alone, "with room for few activations"


def chain(space: list[list[nn.Module]], genes: str) -> list[nn.Module]:
    return [layer[int(gene)] for layer, gene in zip(space, genes, strict=True)]


@pytest.fixture
def space() -> list[list[nn.Module]]:
    return [[nn.Identity() for _ in range(3)] for _ in range(4)]


def walked(tree: PrefixTree, images: torch.Tensor, budget: int) -> tuple[list[int], dict[int, torch.Tensor]]:
    """Numbers of the nodes in the order in which they ran, and the outputs."""
    ran: list[int] = []

    def run(node: int, module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        ran.append(node)
        return inputs + 1.0

    return ran, dict(tree.walk(images, run, budget))


def test_each_node_runs_once_and_every_path_ends(space: list[list[nn.Module]]) -> None:
    genes = ["0000", "1210", "0012", "1211", "0010", "2000", "1000", "0001"]
    tree = PrefixTree([chain(space, gene) for gene in genes])
    ran, outputs = walked(tree, torch.zeros(2), 1000)
    prefixes = {gene[: depth + 1] for gene in genes for depth in range(4)}
    assert sorted(ran) == list(range(len(prefixes)))
    assert sorted(outputs) == list(range(len(genes)))
    assert all(torch.equal(output, torch.full((2,), 4.0)) for output in outputs.values())


def test_without_room_everything_is_computed_again(space: list[list[nn.Module]]) -> None:
    genes = ["0000", "0001", "0100", "0101"]
    tree = PrefixTree([chain(space, gene) for gene in genes])
    ran, outputs = walked(tree, torch.zeros(2), 0)
    assert len(ran) == 16
    assert len(set(ran)) == 9
    assert all(torch.equal(output, torch.full((2,), 4.0)) for output in outputs.values())
    ran, _ = walked(tree, torch.zeros(2), 8)  # room for one activation of two floats
    assert 9 < len(ran) < 16


def test_an_activation_is_let_go_when_its_last_child_is_done(space: list[list[nn.Module]]) -> None:
    alive = torch.zeros((), dtype=torch.int64)
    most = 0

    class Counted:
        """Counts tensors by their lives: freed with the last reference."""

        def __init__(self) -> None:
            alive.add_(1)

        def __del__(self) -> None:
            alive.sub_(1)

    def run(node: int, module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        nonlocal most
        output = inputs + 1.0
        output.life = Counted()  # type: ignore[attr-defined]
        most = max(most, int(alive))
        return output

    genes = [f"{a}{b}{c}{d}" for a in range(3) for b in range(3) for c in range(3) for d in range(3)]
    tree = PrefixTree([chain(space, gene) for gene in genes])
    for _, output in tree.walk(torch.zeros(2), run, 1000):
        del output
    assert most <= 6, "one a level on the present path, and what a step reads and writes"
    assert int(alive) == 0


def test_a_module_that_writes_into_what_others_share_is_refused(space: list[list[nn.Module]]) -> None:
    tree = PrefixTree([chain(space, gene) for gene in ("0000", "0001", "0100")])

    def run(node: int, module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.add_(1.0)

    with pytest.raises(TrainingError, match=r"writes into its input.*inplace=True.*measure\.shared_mib=0"):
        dict(tree.walk(torch.zeros(2), run, 1000))


def test_the_order_of_the_walk_does_not_depend_on_addresses(space: list[list[nn.Module]]) -> None:
    genes = ["2100", "0000", "2101", "0100"]
    orders = {tuple(PrefixTree([chain(space, gene) for gene in genes]).order) for _ in range(3)}
    assert orders == {(0, 2, 3, 1)}, "by first appearance"
