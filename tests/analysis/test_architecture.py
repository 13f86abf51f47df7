"""Architectures read and drawn: every space's own phrases, and others as a list."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from analysis.architecture import Block, Edge, cells, chain, read_architecture
from analysis.architecture_plots import architecture_figure
from analysis.cell_layout import placed
from evonas.config import SPACE_SETTINGS
from evonas.errors import AnalysisError
from evonas.spaces import build_space

DARTS = [
    f"{cell} {node}: {operation}({first}) + {other}({second})"
    for cell, operation, other in (
        ("normal", "sep_conv_3x3", "skip_connect"),
        ("reduce", "max_pool_3x3", "dil_conv_5x5"),
    )
    for node, first, second in ((2, 0, 1), (3, 0, 2), (4, 1, 3), (5, 3, 4))
]


def test_blocks_are_parted_where_channels_or_resolution_change() -> None:
    assert chain(["conv3 16->16", "skip 16->16", "mb3x6 16->32 /2", "skip 32->32"]) == [
        [Block("conv3", 16, 16, 1), Block("skip", 16, 16, 1)],
        [Block("mb3x6", 16, 32, 2), Block("skip", 32, 32, 1)],
    ]


def test_edges_and_nodes_are_cells() -> None:
    assert cells(["0>1 none", "0>2 skip_connect"]) == {"": [Edge(0, 1, "none"), Edge(0, 2, "skip_connect")]}
    found = cells(DARTS)
    assert found is not None and list(found) == ["normal", "reduce"]
    assert found["reduce"][:2] == [Edge(0, 2, "max_pool_3x3"), Edge(1, 2, "dil_conv_5x5")]


@pytest.mark.parametrize(
    "phrases",
    [
        [],
        ["conv3"],
        ["conv3 16->16", "x"],
        ["1>0 none"],
        ["1>1 none"],
        ["normal 2: sep_conv_3x3(2)"],
        ["normal 2: sep_conv_3x3(0) + $x$(1)"],
        ["0>1 none"] * 200,
        ["٣>٤ none"],
    ],
)
def test_what_is_neither_is_a_list(phrases: list[str]) -> None:
    assert chain(phrases) is None and cells(phrases) is None


@pytest.mark.parametrize("name", SPACE_SETTINGS)
def test_every_space_has_a_drawing(name: str) -> None:
    space = build_space(SPACE_SETTINGS[name]())  # type: ignore[call-arg]
    for seed in range(5):
        phrases = space.describe(space.sample(np.random.default_rng(seed)))
        assert (chain(phrases) is None) != (cells(phrases) is None)
        assert overlaps(phrases) == []


@pytest.mark.parametrize("phrases", [DARTS, ["a" * 500, "b"] * 100, ["mb3x3-mb3x3-mb3x 9999->9999 /2"] * 60])
def test_nothing_overlaps_in_other_drawings(phrases: list[str]) -> None:
    assert overlaps(phrases) == []


def overlaps(phrases: list[str]) -> list[tuple[str, str]]:
    """Pairs of texts of a drawing that lie on each other; all of them are within it."""
    made = architecture_figure(phrases)
    made.draw_without_rendering()
    texts = made.axes[0].texts
    boxes = [Text.get_window_extent(text) for text in texts]
    whole = made.bbox.padded(1)
    assert all(whole.contains(box.x0, box.y0) and whole.contains(box.x1, box.y1) for box in boxes)
    pairs = [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
    return [(texts[i].get_text(), texts[j].get_text()) for i, j in pairs]


def test_long_lists_are_cut_and_say_so() -> None:
    shown = [text.get_text() for text in architecture_figure(["x y z"] * 20_000).axes[0].texts]
    assert len(shown) == 61 and shown[-1] == "… and 19,940 more"


def test_edges_run_from_their_source_to_their_target() -> None:
    edges = [Edge(0, 1, "a"), Edge(0, 3, "b"), Edge(1, 2, "c")]
    rows = [(place.path[0][1], place.path[-1][1]) for place in placed(edges)]
    for edge, (start, end) in zip(edges, rows, strict=True):
        assert round(start / 0.42) == edge.source and round(end / 0.42) == edge.target


def test_what_holds_no_architecture_is_told(tmp_path: Path) -> None:
    file = tmp_path / "architecture.json"
    with pytest.raises(AnalysisError, match=r"cannot read .*architecture.json: No such file"):
        read_architecture(file)
    for text in ("{", "[]", json.dumps({"architecture": "conv3"}), json.dumps({"architecture": [1]}), "\x00"):
        file.write_text(text)
        with pytest.raises(AnalysisError, match="expected a list of phrases under 'architecture'"):
            read_architecture(file)
    file.write_bytes(b"\xff")
    with pytest.raises(AnalysisError, match="expected a list of phrases"):
        read_architecture(file)
