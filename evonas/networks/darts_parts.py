"""The pieces of a DARTS network, for taking their times one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from torch import nn

from evonas.networks.base import Part
from evonas.networks.blocks import conv_bn
from evonas.networks.darts import FactorizedReduce, build_classifier, build_operation, relu_conv_bn, stride
from evonas.spaces.base import Genotype
from evonas.spaces.darts import cells_of
from evonas.spaces.darts_stack import OPERATIONS, Place, Stack, halved

Size = tuple[int, int]


def parts(stack: Stack, genotype: Genotype, image_shape: tuple[int, int, int], classes: int) -> Iterator[Part]:
    """The pieces of a genotype's stand-alone network, auxiliary head left out; image_shape: (C, H, W)."""
    both = cells_of(genotype)
    channels, *spatial = image_shape
    before = previous = (spatial[0], spatial[1])
    yield _part("stem", partial(conv_bn, channels, stack.stem, 3, relu=False), stack.stem, channels, previous)
    for place in stack.places():
        yield from _entrances(place, before, previous)
        size = halved(previous) if place.reduction else previous
        for source, operation in (edge for node in both[place.reduction] for edge in node):
            step = stride(place, source)
            build = partial(build_operation, OPERATIONS[operation], place.width, step, shared=False)
            what = f"{OPERATIONS[operation]} at stride {step}"
            yield _part(what, build, place.width, place.width, previous if step == 2 else size)
        before, previous = previous, size
    yield _part("classifier", partial(build_classifier, stack.last, classes), classes, stack.last, previous)


def _entrances(place: Place, before: Size, previous: Size) -> Iterator[Part]:
    kind = FactorizedReduce if place.after_reduction else relu_conv_bn
    yield _part(kind.__name__, partial(kind, place.before, place.width, True), place.width, place.before, before)
    build = partial(relu_conv_bn, place.previous, place.width, True)
    yield _part("relu_conv_bn", build, place.width, place.previous, previous)


def _part(what: str, build: Callable[[], nn.Module], outputs: int, inputs: int, size: Size) -> Part:
    return Part(f"{what} to {outputs} on {inputs}x{size[0]}x{size[1]}", build, (inputs, *size))
