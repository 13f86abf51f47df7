"""A drawing of an architecture: a chain of blocks by stage, the graph of its cells, or else a list of its phrases."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from analysis.architecture import Block, Edge, cells, chain
from analysis.cell_layout import ROW, placed
from analysis.figures import BLACK, BLUE, COLUMN, DARK, GREEN, GREY, SMALL, figure, shortened, styled

LINES = 60  # of a list, at most
LETTERS = 56  # of a line
STAGE = 0.68  # inches at the left of a row that name its stage
HEIGHT, GAP, BETWEEN = 0.3, 0.11, 0.22  # inches: of a block, between blocks, between rows
CAPTION = 0.15  # inches above a cell, and as much between two
LETTER = 0.058  # inches, about
# Line and fill by kind of operation: colour, line style, fill.
KINDS = {
    "none": (GREY, ":", "white"),
    "skip": (GREY, "--", "white"),
    "pool": (GREEN, "-", "#D9F0E7"),
    "other": (BLUE, "-", "#DCE9F4"),
}


@styled
def architecture_figure(phrases: Sequence[str]) -> Figure:
    """A network drawn from the phrases of its architecture.

    Blocks (`conv3 16->32 /2`) are a chain, one stage a row or more; edges (`0>1 nor_conv_3x3`) and nodes
    (`normal 2: sep_conv_3x3(0) + skip_connect(1)`) are the graphs of cells; anything else is a list.
    """
    if stages := chain(phrases):
        return _chain(stages)
    if graphs := cells(phrases):
        return _cells(graphs)
    return _list(phrases)


def _chain(stages: Sequence[Sequence[Block]]) -> Figure:
    longest = max(len(block.operation) for stage in stages for block in stage)
    width = max(0.44, LETTER * longest + 0.06)
    in_row = int((COLUMN - STAGE) / (width + GAP))
    rows = [stage[i : i + in_row] for stage in stages for i in range(0, len(stage), in_row)]
    made, axes = _canvas(0.7 + len(rows) * (HEIGHT + BETWEEN))
    y = -0.5
    before: tuple[float, float] | None = None
    for number, row in enumerate(rows):
        if number == 0 or row[0].stride > 1 or row[0].inputs != row[0].outputs:
            axes.text(0, y, f"{row[-1].outputs} channels", va="center", fontsize=SMALL)
        for place, block in enumerate(row):
            x = STAGE + width / 2 + place * (width + GAP)
            _block(axes, block, x, y, width)
            if place:
                _arrow(axes, [(x - width / 2 - GAP, y), (x - width / 2, y)])
            elif before is None:
                axes.text(x, y + HEIGHT / 2 + 0.17, "images", ha="center", va="bottom")
                _arrow(axes, [(x, y + HEIGHT / 2 + 0.15), (x, y + HEIGHT / 2)])
            else:
                middle = y + (HEIGHT + BETWEEN) / 2
                _arrow(axes, [before, (before[0], middle), (x, middle), (x, y + HEIGHT / 2)])
            before = x, y - HEIGHT / 2
        y -= HEIGHT + BETWEEN
    assert before is not None
    _arrow(axes, [before, (before[0], before[1] - 0.15)])
    axes.text(before[0], before[1] - 0.17, "classes", ha="center", va="top")
    return made


def _block(axes: Axes, block: Block, x: float, y: float, width: float) -> None:
    colour, line, fill = KINDS[_kind(block.operation)]
    box = FancyBboxPatch(
        (x - width / 2, y - HEIGHT / 2),
        width,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.04",
        facecolor=fill,
        edgecolor=colour,
        linestyle=line,
        linewidth=0.8,
    )
    axes.add_patch(box)
    text = block.operation + (f"\nstride {block.stride}" if block.stride > 1 else "")
    axes.text(x, y, text, ha="center", va="center", fontsize=SMALL, linespacing=1.1)


def _cells(graphs: dict[str, list[Edge]]) -> Figure:
    sizes = [1 + max(edge.target for edge in edges) for edges in graphs.values()]
    made, axes = _canvas(sum(CAPTION + ROW * size for size in sizes))
    top = -0.05
    for (name, edges), size in zip(graphs.items(), sizes, strict=True):
        last = size - 1
        inner = sorted({edge.target for edge in edges})
        # A cell without a name is NAS-Bench-201's, one with a name DARTS's.
        ends = f"input 0, output {last}"
        if name:
            ends = f"inputs 0 and 1 from the two cells before, output {inner[0]} to {last} joined"
        axes.text(0, top, f"{name} cell: {ends}".strip(), va="top", fontsize=SMALL)
        _cell(axes, edges, size, top - 0.3)
        top -= CAPTION + ROW * size
    return made


def _cell(axes: Axes, edges: Sequence[Edge], size: int, top: float) -> None:
    """A cell from its inputs down: the nodes in a column, the edges beside it."""
    middle = COLUMN / 2
    targets = {edge.target for edge in edges}
    for node in range(size):
        box = {"boxstyle": "circle,pad=0.25", "facecolor": "white" if node in targets else "#DDDDDD", "linewidth": 0.7}
        axes.text(middle, top - ROW * node, str(node), ha="center", va="center", bbox=box, zorder=4, fontsize=SMALL)
    for edge, place in zip(edges, placed(edges), strict=True):
        colour, line, _ = KINDS[_kind(edge.operation)]
        path = [(middle + x, top - y) for x, y in place.path]
        _arrow(axes, path, colour, line)
        x, y = place.label
        axes.text(
            middle + x,
            top - y,
            edge.operation,
            ha="center",
            va="center",
            fontsize=SMALL,
            color=DARK if _kind(edge.operation) == "none" else BLACK,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "linewidth": 0},
            zorder=3,
        )


def _list(phrases: Sequence[str]) -> Figure:
    lines = [shortened(phrase, LETTERS) for phrase in phrases[:LINES]]
    if len(phrases) > LINES:
        lines.append(f"… and {len(phrases) - LINES:,} more")
    made, axes = _canvas(0.25 + 0.13 * len(lines))
    for number, line in enumerate(lines):
        axes.text(0, -0.1 - 0.13 * number, line, va="top", fontsize=SMALL)
    return made


def _canvas(height: float) -> tuple[Figure, Axes]:
    """A figure whose coordinates are inches from its upper left corner, x to the right and y up."""
    made = figure(COLUMN, height)
    made.set_layout_engine("none")
    axes = made.add_axes((0.01, 0, 0.98, 1))
    axes.set_axis_off()
    axes.set_xlim(0, COLUMN)
    axes.set_ylim(-height, 0)
    return made, axes


def _arrow(axes: Axes, path: Sequence[tuple[float, float]], colour: str = BLACK, line: str = "-") -> None:
    """A broken line with a head at its end."""
    xs, ys = zip(*path, strict=True)
    axes.plot(xs, ys, color=colour, linestyle=line, linewidth=0.8, zorder=1)
    head = FancyArrowPatch(
        path[-2], path[-1], arrowstyle="-|>", mutation_scale=5, shrinkA=0, shrinkB=0, color=colour, linewidth=0.4
    )
    axes.add_patch(head)


def _kind(operation: str) -> str:
    return next((kind for kind in KINDS if kind in operation), "other")
