"""What all plots share: colours, and saving without any state of matplotlib's that others may use."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evonas.errors import AnalysisError

# Okabe and Ito's, which colour-blind readers tell apart.
BLACK, BLUE, VERMILION, GREEN, GREY = "#000000", "#0072B2", "#D55E00", "#009E73", "#999999"
SUFFIXES = (".svg", ".png")


def figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that no pyplot knows of."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made: Figure, path: Path) -> None:
    """Write a figure as SVG or PNG, by the suffix. Raises AnalysisError for another one."""
    if path.suffix not in SUFFIXES:
        raise AnalysisError(f"plot {path} ends in {path.suffix!r}; expected one of {', '.join(SUFFIXES)}")
    # Without a date, the same data give the same picture.
    made.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
