import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests_support import NB201_TABLE, needs_nb201_table, rows

import evonas
from evonas.complexity import Complexity, Cost, count
from evonas.config import DartsSettings, NB201Settings, NBMacroSettings, SinglePathSettings
from evonas.networks import build_subnet
from evonas.spaces import DartsSpace, NB201Space, NBMacroSpace, SinglePathSpace, Space

SMALL = SinglePathSpace(
    SinglePathSettings(width=4, layers=(1, 2), strides=(1, 2), operations=("conv3", "mb3x6", "skip", "avgpool3"))
)
SPACES: dict[str, Space] = {
    "single-path": SMALL,
    "nb-macro": NBMacroSpace(NBMacroSettings(width=4, head=8)),
    "nb-macro without head": NBMacroSpace(NBMacroSettings(width=6, head=0)),
    "nb201": NB201Space(NB201Settings(width=4, cells=2)),
    "darts": DartsSpace(DartsSettings(width=2, cells=3, retrain_width=5, retrain_cells=4)),
}
NB_MACRO_TABLE = Path(evonas.__file__).parent / "tables" / "nb-macro.csv"


def classifier_bias(space: Space, classes: int) -> Cost:
    """What the benchmark's table counts and torch does not."""
    return Cost(0, classes if isinstance(space, NB201Space) else 0)


@pytest.mark.parametrize("shape", [(3, 9, 12), (1, 8, 8)])
@pytest.mark.parametrize("name", SPACES)
def test_the_cost_of_a_genotype_is_that_of_the_network_built(name: str, shape: tuple[int, int, int]) -> None:
    space = SPACES[name]
    complexity = Complexity(space, shape, 7)
    rng = np.random.default_rng(0)
    for _ in range(8):
        genotype = space.sample(rng)
        if space.name == "nb201":  # its table counts convolutions that lead nowhere, which do not run
            genotype = tuple(gene or 1 for gene in genotype)
        with torch.device("meta"):
            network = build_subnet(space, genotype, shape[0], 7)
        counted = count(network, shape)[0]
        assert complexity.counted(genotype) == counted
        assert complexity.of(genotype) == counted + classifier_bias(space, 7)


def test_the_networks_of_nb_macro_have_the_costs_of_its_table_on_every_row() -> None:
    space = NBMacroSpace(NBMacroSettings())  # type: ignore[call-arg]
    complexity = Complexity(space, (3, 32, 32), 10)
    for row in rows(NB_MACRO_TABLE):
        assert complexity.counted(genes(row["arch"])) == Cost(int(row["params"]), int(row["flops"]))


@needs_nb201_table
@pytest.mark.parametrize(("prefix", "classes", "step"), [("c10", 10, 1), ("c100", 100, 25)])
def test_the_networks_of_nb201_have_the_costs_of_its_table(prefix: str, classes: int, step: int) -> None:
    # With 100 classes the classifier alone differs, so some rows are enough there.
    space = NB201Space(NB201Settings())  # type: ignore[call-arg]
    complexity = Complexity(space, (3, 32, 32), classes)
    for row in rows(NB201_TABLE)[::step]:
        expected = Cost(int(row[f"{prefix}_params"]), int(row[f"{prefix}_flops"]))
        assert complexity.counted(genes(row["ops"])) + classifier_bias(space, classes) == expected


def genes(code: str) -> tuple[int, ...]:
    return tuple(int(digit) for digit in code)


def test_flops_are_multiply_adds() -> None:
    cost, shape = count(torch.nn.Conv2d(3, 8, 3, padding=1, bias=False, device="meta"), (3, 10, 10))
    assert cost.params == 3 * 8 * 9
    assert cost.flops == 3 * 8 * 9 * 100
    assert shape == (8, 10, 10)


@pytest.mark.parametrize("name", SPACES)
def test_the_largest_network_is_the_largest_of_all(name: str) -> None:
    space = SPACES[name]
    complexity = Complexity(space, (3, 8, 8), 10)
    rng = np.random.default_rng(0)
    few = math.prod(space.cardinalities) < 20_000
    every = (
        itertools.product(*(range(n) for n in space.cardinalities)) if few else (space.sample(rng) for _ in range(2000))
    )
    most = max(complexity.of(genotype).params for genotype in every)
    assert complexity.of(complexity.largest()).params >= most
    assert not few or complexity.of(complexity.largest()).params == most
