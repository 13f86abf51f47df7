"""The HTML page of a report (extra `report`): templates and scripts of analysis/page, and plotly's, in one file.

Nothing in the page is loaded from elsewhere, and its policy lets no script run but these two, whatever the files of a
run hold.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis.table_formats import plain

FOLDER = Path(__file__).parent / "page"


def page(content: Mapping[str, object]) -> str:
    """The page that shows `content`, by analysis/page/report.html; text is escaped, each in one line."""
    # plotly brings one bundle of its scripts, with all that it can draw.
    scripts = [get_plotlyjs(), (FOLDER / "report.js").read_text(encoding="utf-8")]
    style = (FOLDER / "report.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(str(value)),
    )
    text = environment.get_template("report.html").render(
        content, scripts=list(map(Markup, scripts)), style=Markup(style), policy=_policy(scripts)
    )
    return text.encode(errors="replace").decode()  # halves of letters, which JSON may hold


def chart_data(figure: go.Figure) -> Markup:
    """A figure as JSON that may stand within a script element; the same figure gives the same text."""
    return htmlsafe_json_dumps(figure, dumps=lambda made, **_: made.to_json(engine="json"))


def image_data(svg: bytes) -> str:
    """An SVG picture as an address: what is in it stays apart from the page, its ids too."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def verbatim(text: str) -> Markup:
    """Text that keeps its lines, escaped."""
    return Markup.escape(text)


def _policy(scripts: list[str]) -> str:
    """A content security policy for these scripts alone."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
