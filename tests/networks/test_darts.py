"""DARTS's networks: their sizes, the auxiliary head, drop-path, and the pieces that latency adds up."""

from collections import Counter

import numpy as np
import pytest
import torch

from evonas.complexity import count
from evonas.config import DartsSettings
from evonas.networks import build_subnet, build_supernet, parts
from evonas.networks.darts import AuxiliaryHead, FactorizedReduce
from evonas.spaces import DartsSpace
from evonas.spaces.darts_stack import OPERATIONS
from evonas.spaces.named import NAMED

PUBLISHED = DartsSpace(DartsSettings())  # type: ignore[call-arg]
SMALL = DartsSpace(DartsSettings(width=2, cells=3, retrain_width=4, retrain_cells=5))


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "params"), [("darts-v2", 3.3), ("pc-darts", 3.6), ("p-darts", 3.4)])
def test_the_built_networks_have_the_published_sizes(name: str, params: float) -> None:
    with torch.device("meta"):
        network = build_subnet(PUBLISHED, NAMED["darts"][name], 3, 10)
    assert round(size(network) / 1e6, 1) == params


def test_the_supernet_has_8_cells_of_16_channels_without_scale_and_shift() -> None:
    with torch.device("meta"):
        supernet = build_supernet(PUBLISHED, 3, 10)
    assert size(supernet) == 1_930_618


def test_a_subnet_of_the_supernets_size_is_not_the_one_that_is_retrained() -> None:
    genotype = NAMED["darts"]["darts-v2"]
    shared, retrained = (build_subnet(SMALL, genotype, 3, 10, shared=shared) for shared in (True, False))
    assert size(shared) < size(retrained)
    assert size(retrained) == (SMALL.cost(genotype, (3, 32, 32), 10))[0]


@pytest.mark.parametrize("pixels", [8, 9, 16, 32, 50])
def test_the_auxiliary_head_is_for_training_alone(pixels: int) -> None:
    genotype = SMALL.sample(np.random.default_rng(0))
    network = build_subnet(SMALL, genotype, 3, 10, auxiliary=True).eval()
    images = torch.randn(4, 3, pixels, pixels)
    logits, second = network.training_outputs(images, None)
    assert second is not None and logits.shape == second.shape == (4, 10)
    plain = build_subnet(SMALL, genotype, 3, 10).eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("auxiliary.")})
    assert plain.training_outputs(images, None)[1] is None
    with torch.no_grad():
        assert torch.equal(plain(images), network(images))


def test_the_auxiliary_head_pools_as_darts_does() -> None:
    head = AuxiliaryHead(8, 10).eval()
    images = torch.randn(2, 8, 8, 8)
    published = torch.nn.AvgPool2d(5, stride=3, padding=0, count_include_pad=False)
    with torch.no_grad():
        expected = head.classifier(head.features(published(images.relu())).flatten(1))
        assert torch.equal(head(images), expected)


def test_drop_path_acts_on_every_edge_but_the_identity() -> None:
    images = torch.randn(3, 3, 16, 16)
    for operation in range(len(OPERATIONS)):
        network = build_subnet(SMALL, (0, operation, 1, operation) * 8, 3, 10).train()
        sites = torch.ones(*network.drop_sites, 3)
        with torch.no_grad():
            everything = network.training_outputs(images, None)[0]
            assert torch.equal(network.training_outputs(images, sites)[0], everything)
            nothing = network.training_outputs(images, 0 * sites)[0]
        assert not torch.equal(everything[0], everything[1])
        # Where every edge was dropped the cells are zero, and all logits are the bias. Identities stay.
        assert torch.equal(nothing[0], nothing[1]) is (OPERATIONS[operation] != "skip_connect")


def test_identities_are_never_dropped() -> None:
    network = build_subnet(SMALL, (0, 2, 1, 2) * 8, 3, 10).train()
    sites = torch.ones(*network.drop_sites, 3)
    for index, place in enumerate(SMALL.retrained.places()):
        if not place.reduction:
            sites[index] = 0
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network.training_outputs(images, sites)[0], network.training_outputs(images, None)[0])


def test_drop_path_is_image_by_image() -> None:
    genotype = SMALL.sample(np.random.default_rng(1))
    network = build_subnet(SMALL, genotype, 3, 10).eval()
    sites = torch.ones(*network.drop_sites, 4)
    sites[1, :, 2] = 0
    images = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        full, dropped = (network.training_outputs(images, kept)[0] for kept in (None, sites))
    assert [bool(torch.allclose(a, b)) for a, b in zip(full, dropped, strict=True)] == [True, True, False, True]


def test_reduction_takes_all_pixels_and_rounds_odd_sizes_up() -> None:
    reduce = FactorizedReduce(2, 5, affine=True).eval()
    with torch.no_grad():
        assert reduce(torch.randn(1, 2, 7, 10)).shape == (1, 5, 4, 5)
    images = torch.ones(1, 2, 8, 8, requires_grad=True)
    reduce(images).sum().backward()
    assert images.grad is not None
    touched = images.grad[0, 0] != 0
    assert touched[::2, ::2].all() and touched[1::2, 1::2].all() and not touched[::2, 1::2].any()


def test_the_pieces_are_those_of_the_network() -> None:
    genotype = SMALL.sample(np.random.default_rng(2))
    network = build_subnet(SMALL, genotype, 3, 10)
    seen: Counter[tuple[int, ...]] = Counter()

    def record(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[tuple(inputs[0].shape[1:])] += 1

    whole = [network.stem, network.classifier]
    whole += [part for cell in network.cells for part in (*cell.entrances, *cell.operations)]  # type: ignore[union-attr, operator]
    for part in whole:
        part.register_forward_pre_hook(record)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        network(torch.randn(1, 3, 15, 12))
    found = list(parts(SMALL, genotype, (3, 15, 12), 10))
    assert Counter(part.shape for part in found) == seen
    assert sum(size(part.build()) for part in found) == size(network)
    with torch.device("meta"):
        flops = sum(count(part.build(), part.shape)[0].flops for part in found)
    assert flops == SMALL.cost(genotype, (3, 15, 12), 10)[1]
