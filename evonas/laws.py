"""The laws that every space keeps, checked on a sample of its genotypes: `evonas check-space`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from evonas.complexity import Complexity, Cost, count
from evonas.errors import ConfigError
from evonas.networks import Supernet, build_subnet, build_supernet, initialised
from evonas.networks.chain import ChainSupernet
from evonas.spaces import ChainSpace, Genotype, Space
from evonas.supernet.extract import inherited
from evonas.supernet.statistics import batch_statistics, running_statistics

RANDOM = 8  # genotypes of the sample that are drawn, beside one for each value of each gene
IMAGES = 4
Law = Callable[["Subject"], Iterator[str]]  # how it is broken


@dataclass(frozen=True)
class Subject:
    """A space for images of `shape` (C, H, W) in `classes` classes, and a sample that has every value of every gene."""

    space: Space
    shape: tuple[int, int, int]
    classes: int
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def sample(self) -> list[Genotype]:
        """Genotypes in which every value of every gene is, and RANDOM more."""
        return [*self.space.fair(self.rng), *(self.space.sample(self.rng) for _ in range(RANDOM))]

    @cached_property
    def supernet(self) -> Supernet:
        """With norms that are no identities, so that no equality holds for nothing."""
        with initialised(0):
            supernet = build_supernet(self.space, self.shape[0], self.classes)
            for tensor in (
                t for m in supernet.modules() if isinstance(m, nn.BatchNorm2d) for t in m.state_dict().values()
            ):
                if tensor.is_floating_point():
                    nn.init.uniform_(tensor, 0.5, 1.5)
        return supernet

    @cached_property
    def images(self) -> Tensor:
        """Normal noise, (IMAGES, C, H, W)."""
        return torch.randn(IMAGES, *self.shape, generator=torch.Generator().manual_seed(0))


def require_fitting(space: ChainSpace, shape: tuple[int, int, int], classes: int) -> None:
    """Raise ConfigError where the modules of a space do not fit together, or cannot be measured as they are."""
    subject = Subject(space, shape, classes)
    for law in (_shapes, _norms, _counted):
        reason = _broken(law, subject)
        if reason is not None:
            numbers = f"--channels {shape[0]} --image-size {shape[1]} --classes {classes}"
            raise ConfigError(
                f"the space {space.name} cannot be searched: {reason}; `evonas check-space {numbers}` tells all of it"
            )


def broken_laws(space: Space, shape: tuple[int, int, int], classes: int) -> Iterator[tuple[str, str | None]]:
    """Each law in words, and how the space breaks it; None where it does not. shape: (C, H, W) of an image.

    What the space's own code raises is how it breaks a law. Where the modules do not fit together, the laws behind that
    one would say no more, and are left out. The laws are ours.
    """
    subject = Subject(space, shape, classes)
    for title, law in LAWS.items():
        reason = _broken(law, subject)
        yield title, reason
        if law is _shapes and reason is not None:
            return


def _broken(law: Law, subject: Subject) -> str | None:
    """How a law is broken first; None where it is not."""
    try:
        return next(law(subject), None)
    except Exception as error:  # the user's own code may raise anything
        return _told(error)


def _told(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _coding(subject: Subject) -> Iterator[str]:
    space = subject.space
    for genotype in subject.sample:
        if tuple(json.loads(json.dumps(genotype))) != genotype:
            yield f"{genotype} does not survive JSON"
        if not space.is_valid(genotype) or space.repair(genotype) != genotype:
            yield f"{genotype} was drawn and is not valid, or repaired to another"
        canonical = space.canonical(genotype)
        if not space.is_valid(canonical) or space.canonical(canonical) != canonical:
            yield f"the canonical form {canonical} of {genotype} is not valid, or has another one"
        phrases = space.describe(genotype)
        if len(phrases) != len(space.units):
            yield f"{genotype} is described in {len(phrases)} phrases, and has {len(space.units)} units"
    if isinstance(space, ChainSpace) and space.choices != (found := space.choices_for(1, 2)):
        yield f"the choices depend on channels or classes: {space.choices}, and {found} for 1 channel and 2 classes"


def _operators(subject: Subject) -> Iterator[str]:
    space, rng = subject.space, subject.rng
    for first, second in zip(subject.sample, subject.sample[1:], strict=False):
        child = space.crossover(first, second, rng)
        if not space.is_valid(child):
            yield f"{child}, a child of {first} and {second}, is not valid"
        if any(child[unit] not in (first[unit], second[unit]) for unit in space.units):
            yield f"{child} takes a unit from none of its parents {first} and {second}"
        frequencies = space.frequencies([first, second], beta=0.5)
        for drawn in (space.mutate(first, 0.3, rng), space.neighbour(first, 2, rng)):
            if not space.is_valid(drawn) or space.canonical(drawn) == space.canonical(first):
                yield f"{first} is mutated to {drawn}, which is not valid or the same network"
        if not space.is_valid(drawn := space.sample_from(frequencies, rng)):
            yield f"{drawn} is drawn from frequencies and not valid"


@torch.no_grad()
def _shapes(subject: Subject) -> Iterator[str]:
    images = subject.images
    if isinstance(subject.supernet, ChainSupernet):
        for index, options in enumerate(subject.supernet.blocks):
            assert isinstance(options, nn.ModuleList)
            shapes = set()
            for module in options:
                inputs = images.clone()
                try:
                    outputs = module(inputs)
                except Exception as error:  # the user's own code may raise anything
                    shape = tuple(inputs.shape[1:])
                    yield f"block {index}: {_short(module)} takes no input of shape {shape} ({_told(error)})"
                    return
                shapes.add(tuple(outputs.shape[1:]))
                if not torch.equal(inputs, images):
                    yield f"block {index}: {_short(module)} changes its input in place"
            if len(shapes) > 1:
                yield f"block {index}: its modules give outputs of different shapes, {sorted(shapes)}"
            images = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(index))
    for genotype in subject.sample:
        logits = subject.supernet(subject.images, genotype)
        if tuple(logits.shape) != (IMAGES, subject.classes):
            yield f"{genotype} gives {tuple(logits.shape)} for {IMAGES} images; expected ({IMAGES}, {subject.classes})"


@torch.no_grad()
def _other_images(subject: Subject) -> Iterator[str]:
    channels, classes = 1 if subject.shape[0] != 1 else 3, subject.classes + 1
    other = Subject(subject.space, (channels, *subject.shape[1:]), classes)
    logits = other.supernet(other.images, subject.sample[0])
    if tuple(logits.shape) != (IMAGES, classes):
        yield f"{tuple(logits.shape)} for {IMAGES} images in {classes} classes; expected ({IMAGES}, {classes})"


def _norms(subject: Subject) -> Iterator[str]:
    for module in subject.supernet.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, nn.BatchNorm2d):
            yield f"{_short(module)} keeps statistics of all paths; use BatchNorm2d, whose statistics are the path's"


@torch.no_grad()
def _path(subject: Subject) -> Iterator[str]:
    space, supernet, images = subject.space, subject.supernet, subject.images
    for genotype in subject.sample:
        subnet = inherited(space, supernet, genotype, subject.shape[0], subject.classes)
        for statistics in (batch_statistics, running_statistics):
            with statistics(supernet), statistics(subnet):
                if not torch.equal(supernet(images, genotype), subnet(images)):
                    yield f"the subnet of {genotype} gives other logits than its path"


def _gradients(subject: Subject) -> Iterator[str]:
    supernet = subject.supernet
    for genotype in subject.sample:
        supernet.zero_grad(set_to_none=True)
        supernet(subject.images, genotype).sum().backward()
        used = {id(parameter) for parameter in supernet.path_parameters(genotype)}
        for name, parameter in supernet.named_parameters():
            if parameter.grad is not None and id(parameter) not in used:
                yield f"{name} gets a gradient from {genotype}, and is not on its path"


def _counted(subject: Subject) -> Iterator[str]:
    """Raises what modules raise that read values, which the meta device does not have."""
    complexity = Complexity(subject.space, subject.shape, subject.classes)
    for genotype in subject.sample:
        complexity.of(genotype)
    yield from ()


def _costs(subject: Subject) -> Iterator[str]:
    complexity = Complexity(subject.space, subject.shape, subject.classes)
    for genotype in subject.sample:
        if subject.space.cost(genotype, subject.shape, subject.classes) is not None:
            return  # it is counted as its benchmark counts, unreachable layers included
        with torch.device("meta"):
            built = build_subnet(subject.space, genotype, subject.shape[0], subject.classes)
        found: Cost = count(built, subject.shape)[0]
        if complexity.of(genotype) != found:
            yield f"{genotype} is counted as {complexity.of(genotype)}, and its network has {found}"


def _export(subject: Subject) -> Iterator[str]:
    genotype = subject.sample[0]
    network = build_subnet(subject.space, genotype, subject.shape[0], subject.classes).eval()
    with _no_logging():  # what torch has to say of a failure is told as its reason
        program = torch.export.export(
            network, (subject.images[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},)
        ).module()
    if not torch.allclose(program(subject.images), network(subject.images), atol=1e-5):
        yield f"{genotype}, exported, gives other logits"


@contextmanager
def _no_logging() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _short(module: nn.Module) -> str:
    text = " ".join(repr(module).split())
    return text if len(text) <= 60 else text[:57] + "..."


LAWS: dict[str, Law] = {
    "genotypes are encoded, decoded and described": _coding,
    "operators stay in the space, and mutation gives another network": _operators,
    "every path runs, and the modules of a choice can stand for each other": _shapes,
    "it fits images of other channels, in other classes": _other_images,
    "batch norms have statistics of the path": _norms,
    "the subnet is the supernet's path, bit for bit": _path,
    "weights off the path get no gradient": _gradients,
    "costs are those of the network that is built": _costs,
    "torch.export takes the network, in any batch": _export,
}
