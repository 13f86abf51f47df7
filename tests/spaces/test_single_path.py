import itertools

import numpy as np

from evonas.config import SinglePathSettings
from evonas.spaces import SinglePathSpace


def space(**settings: object) -> SinglePathSpace:
    return SinglePathSpace(SinglePathSettings(**settings))  # type: ignore[arg-type]


def test_the_default_has_at_least_six_layers_of_at_least_four_operations() -> None:
    default = space()
    assert default.n_genes >= 6
    assert min(default.cardinalities) >= 4


def test_depth_width_and_operations_are_data() -> None:
    other = space(width=4, layers=(3, 1), strides=(1, 2), operations=("conv3", "mb5x6", "skip"))
    assert other.cardinalities == (3,) * 4
    assert [(layer.inputs, layer.outputs, layer.stride) for layer in other.layers] == [
        (4, 4, 1),
        (4, 4, 1),
        (4, 4, 1),
        (4, 8, 2),
    ]


def test_canonical_moves_identities_to_the_end_of_their_stage() -> None:
    chain = space(layers=(1, 3), strides=(1, 2), operations=("conv3", "sep3", "skip"))
    assert chain.canonical((0, 2, 2, 1)) == (0, 2, 1, 2)  # the first layer of the second stage is a projection
    assert chain.canonical((2, 0, 1, 1)) == (2, 0, 1, 1)


def test_canonical_is_constant_exactly_on_networks_that_are_the_same() -> None:
    chain = space(layers=(2, 3), strides=(1, 2), operations=("conv3", "sep3", "skip"))

    def network(genotype: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        # What is computed, layer by layer, without the identities. The first stage keeps the stem's shape.
        first = tuple(g for g in genotype[:2] if g != 2)
        return first, (genotype[2], *(g for g in genotype[3:] if g != 2))

    classes: dict[object, set[tuple[int, ...]]] = {}
    for genotype in itertools.product(range(3), repeat=5):
        classes.setdefault(network(genotype), set()).add(chain.canonical(genotype))
    assert all(len(canonicals) == 1 for canonicals in classes.values())
    assert len({next(iter(canonicals)) for canonicals in classes.values()}) == len(classes)


def test_random_genotypes_are_uniform() -> None:
    default, rng = space(), np.random.default_rng(0)
    counts = np.zeros((default.n_genes, default.cardinalities[0]))
    for _ in range(7000):
        counts[np.arange(default.n_genes), default.sample(rng)] += 1
    assert np.abs(counts / 1000 - 1).max() < 0.15


def test_description_names_each_layer() -> None:
    assert space(layers=(1, 1), strides=(1, 2), width=8).describe((0, 6)) == ["conv3 8->8", "skip 8->16 /2"]
