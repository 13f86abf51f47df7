"""What all plots share: size, style, and saving, without any state of matplotlib's that others may use."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from evonas.errors import AnalysisError

# Okabe and Ito's, which colour-blind readers tell apart.
BLACK, BLUE, VERMILION, GREEN, GREY, DARK = "#000000", "#0072B2", "#D55E00", "#009E73", "#999999", "#666666"
SUFFIXES = (".svg", ".png")
COLUMN = 3.4  # inches: width of one of two columns in print
SMALL = 6.5  # points: the smallest letters
FONT = "DejaVu Sans"  # comes with matplotlib, so that it is there on every machine

# Nothing of the user's own style, no formulas in text from files, and the same data give the same bytes.
STYLE = style.context(
    [
        "default",
        {
            "font.family": [FONT],
            "font.size": 7,
            "axes.titlesize": 7,
            "figure.titlesize": 7,
            "legend.fontsize": SMALL,
            "xtick.labelsize": SMALL,
            "ytick.labelsize": SMALL,
            "axes.linewidth": 0.6,
            "lines.linewidth": 1.0,
            "lines.markersize": 3.5,
            "legend.frameon": False,
            "text.parse_math": False,
            "svg.hashsalt": "evonas",
        },
    ]
)
P = ParamSpec("P")


def styled(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """A maker of figures in our style, whose layout is settled: a later one would depend on what it was drawn for."""

    @wraps(make)
    @STYLE
    def settled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        made = make(*args, **kwargs)
        for axes in made.axes:
            axes.tick_params(labelsize=SMALL)  # of ticks too that matplotlib makes later, outside of the style
        made.draw_without_rendering()
        made.set_layout_engine("none")
        return made

    return settled


def figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that no pyplot knows of."""
    made = Figure(figsize=(width, height), dpi=300, layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made: Figure, path: Path) -> None:
    """Write a figure as SVG or PNG, by the suffix.

    Raises AnalysisError for another one, and where the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise AnalysisError(f"plot {path} ends in {path.suffix!r}; expected one of {', '.join(SUFFIXES)}")
    picture = rendered(made, path.suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    except OSError as error:
        raise AnalysisError(f"cannot write {path}: {error.strerror}; choose another folder") from None


def save_all(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures by their names, as SVG and PNG, to a folder that is made where it is not there; returns the files.

    Raises AnalysisError where it cannot be written.
    """
    files = {folder / f"{name}{suffix}": made for name, made in figures.items() for suffix in SUFFIXES}
    for file, made in files.items():
        save(made, file)
    return list(files)


@STYLE
def rendered(made: Figure, suffix: str) -> bytes:
    """A figure as a file of one of SUFFIXES holds it; the same figure gives the same bytes."""
    # Without a date and matplotlib's version.
    metadata = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
    file = io.BytesIO()
    made.savefig(file, format=suffix[1:], dpi=made.dpi, metadata=metadata)
    return file.getvalue()


def printable(text: str) -> str:
    """Text from a file as a plot can show it: what the font has no letter for, or does not print, as [U+6F22]."""
    return "".join(c if c.isprintable() and ord(c) in _letters() else f"[U+{ord(c):04X}]" for c in text)


def shortened(text: str, length: int) -> str:
    """`printable` text, cut to `length` characters."""
    whole = printable(text)
    return whole if len(whole) <= length else whole[: length - 1] + "…"


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())
