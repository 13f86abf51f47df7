"""What the phrases of an architecture say: a chain of blocks, or cells of nodes and edges; else they are phrases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evonas.config import OwnSpaceSettings, build
from evonas.errors import AnalysisError, ConfigError
from evonas.files import read_json
from evonas.spaces import build_space

BLOCK = re.compile(r"([\w.-]{1,16}) (\d{1,4})->(\d{1,4})(?: /(\d))?", re.ASCII)  # conv3 16->32 /2
EDGE = re.compile(r"(\d)>(\d) ([\w.-]{1,16})", re.ASCII)  # 0>1 nor_conv_3x3
NODE = re.compile(r"(\w{1,16}) (\d): (.+)", re.ASCII)  # normal 2: sep_conv_3x3(0) + skip_connect(1)
INPUT = re.compile(r"([\w.-]{1,16})\((\d)\)", re.ASCII)
MOST = 100  # blocks or edges that are drawn as such


class Block(NamedTuple):
    """A layer or block of a chain: its operation, channels before and after, and stride."""

    operation: str
    inputs: int
    outputs: int
    stride: int


class Edge(NamedTuple):
    """An operation between two nodes of a cell; source < target."""

    source: int
    target: int
    operation: str


def read_architecture(path: Path) -> tuple[str, ...]:
    """The phrases of an architecture.json, as Space.describe gives them.

    Raises AnalysisError where it is not there, or holds none.
    """
    try:
        about = read_json(path)
    except OSError as error:
        raise AnalysisError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        about = {}
    phrases = about.get("architecture")
    if not isinstance(phrases, list) or not phrases or not all(isinstance(phrase, str) for phrase in phrases):
        raise AnalysisError(f"{path} has no architecture; expected a list of phrases under 'architecture'")
    return tuple(phrases)


def describer(settings: Mapping[str, Any]) -> Callable[[object], list[str]]:
    """What turns a genotype, as files have it, into the phrases of its architecture in the space of a run's settings.

    What is no genotype of that space stays as it is, and so does every one where the settings name no space, or one in
    code of somebody's own, which reading a run never runs.
    """
    try:
        named = build({"space": settings["space"]}).space
        space = None if isinstance(named, OwnSpaceSettings) else build_space(named)
    except (KeyError, ConfigError):
        space = None

    def described(text: object) -> list[str]:
        try:
            genes = json.loads(str(text))
        except (ValueError, RecursionError):
            genes = None
        if space is None or not isinstance(genes, list) or not all(type(gene) is int for gene in genes):
            return [str(text)]
        return space.describe(tuple(genes)) if space.is_valid(genes) else [str(text)]

    return described


def chain(phrases: Sequence[str]) -> list[list[Block]] | None:
    """The blocks by stage, in order; None where a phrase is no block. Each stage has channels of its own."""
    found = [BLOCK.fullmatch(phrase) for phrase in phrases]
    if not found or len(found) > MOST:
        return None
    stages: list[list[Block]] = []
    for match in found:
        if match is None:
            return None
        block = Block(match[1], int(match[2]), int(match[3]), int(match[4] or 1))
        if not stages or block.stride > 1 or block.inputs != block.outputs:
            stages.append([])
        stages[-1].append(block)
    return stages


def cells(phrases: Sequence[str]) -> dict[str, list[Edge]] | None:
    """The edges of each cell by its name, which NAS-Bench-201's has none of; None where a phrase is neither's."""
    found: dict[str, list[Edge]] = {}
    for phrase in phrases:
        if edge := EDGE.fullmatch(phrase):
            found.setdefault("", []).append(Edge(int(edge[1]), int(edge[2]), edge[3]))
        elif node := NODE.fullmatch(phrase):
            inputs = [INPUT.fullmatch(term) for term in node[3].split(" + ")]
            edges = [Edge(int(term[2]), int(node[2]), term[1]) for term in inputs if term is not None]
            if len(edges) < len(inputs):
                return None
            found.setdefault(node[1], []).extend(edges)
        else:
            return None
    edges = [edge for cell in found.values() for edge in cell]
    if not edges or len(edges) > MOST or any(edge.source >= edge.target for edge in edges):
        return None
    return found
