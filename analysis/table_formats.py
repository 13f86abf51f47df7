"""A table for print in Markdown, LaTeX and HTML. All text is plain in a Table, and escaped here, for each format."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Row(NamedTuple):
    """One line of a table. mark: the letter of its note, or nothing."""

    cells: tuple[str, ...]
    mark: str = ""


@dataclass(frozen=True)
class PrintTable:
    """A table for print.

    name: of its files. caption: sentences. columns: headings; those in `right` hold numbers. groups: rows, under a
    heading each. notes: by letter. remarks: sentences below the notes. sources: by key, texts and addresses, which may
    be empty.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    right: frozenset[int]
    groups: Sequence[tuple[str, Sequence[Row]]]
    notes: Sequence[tuple[str, str]] = ()
    remarks: Sequence[str] = ()
    sources: Sequence[tuple[str, str, str]] = ()


def plain(text: str) -> str:
    """Text in one line: runs of white space and of characters that control a display become one space."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+", " ", text).strip()


# Markdown -----------------------------------------------------------------------------------------------------------


def markdown(table: PrintTable) -> str:
    """A table in GitHub's Markdown."""
    width = len(table.columns)
    lines = [escaped_markdown(table.caption), "", _md_row(map(escaped_markdown, table.columns))]
    lines.append(_md_row("--:" if column in table.right else "---" for column in range(width)))
    for heading, rows in table.groups:
        lines.append(_md_row([f"**{escaped_markdown(heading)}**", *[""] * (width - 1)]))
        for row in rows:
            first, *others = map(escaped_markdown, row.cells)
            lines.append(_md_row([first + (f" <sup>{row.mark}</sup>" if row.mark else ""), *others]))
    lines.append("")
    lines += [f"- <sup>{letter}</sup> {escaped_markdown(note)}" for letter, note in table.notes]
    lines += [f"- {escaped_markdown(remark)}" for remark in table.remarks]
    if table.sources:
        lines += ["", "Sources:", ""]
        lines += [_md_source(*source) for source in table.sources]
    return "\n".join(lines) + "\n"


def escaped_markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a cell of a table too."""
    # Entities and not backslashes for what begins HTML: not every reader of Markdown knows \\<.
    entities = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$!])", r"\\\1", entities)


def _md_source(key: str, text: str, url: str) -> str:
    return f"- \\[{key}\\] {escaped_markdown(text)}" + (f" <{url}>" if url else "")


def _md_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


# LaTeX --------------------------------------------------------------------------------------------------------------

PREAMBLE = r"""% Compiles as it is. \input in a paper gives the table alone: the paper loads booktabs, url, and
% fontenc with T1 for names beyond ASCII.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass\else % a paper has had its \documentclass
  \documentclass[a4paper]{article}
  \usepackage[margin=15mm]{geometry}
  \usepackage[T1]{fontenc}
  \IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
  \usepackage{booktabs}
  \usepackage{url}
  \begin{document}
  \def\evonasend{\end{document}}
\fi
\providecommand\evonasend{}
"""
TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"{\char34}",
    "-": "-{}",  # no two hyphens become a dash
    "[": "{[}",  # none of these is an argument of the \\ before
    "*": "{*}",
    "±": r"\(\pm\)",
}
TEX_LETTERS = frozenset(map(chr, range(0xA1, 0x17F))) - set("ĦħĸĿŀŉŦŧ") | set("–—‘’“”„…•€™")  # that pdfTeX knows


def latex(table: PrintTable) -> str:
    """A table in LaTeX, by booktabs: a document that compiles as it is, of which a paper can \\input the table."""
    width = len(table.columns)
    layout = "".join("r" if column in table.right else "l" for column in range(1, width))
    lines = [PREAMBLE + r"\begin{table*}[!htp]", r"\centering", rf"\caption{{{escaped_latex(table.caption)}}}"]
    lines += [
        rf"\label{{tab:{table.name}}}",
        r"\smallskip\footnotesize\setlength\tabcolsep{4pt}",
        rf"\begin{{tabular}}{{p{{0.38\linewidth}}{layout}}}",
    ]
    lines += [r"\toprule", _tex_row(map(escaped_latex, table.columns))]
    for heading, rows in table.groups:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{escaped_latex(heading)}}}}} \\"]
        for row in rows:
            first, *others = map(escaped_latex, row.cells)
            lines.append(_tex_row([first + (rf"\textsuperscript{{{row.mark}}}" if row.mark else ""), *others]))
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\smallskip\raggedright\scriptsize"]
    lines += [rf"\textsuperscript{{{letter}}} {escaped_latex(note)}." for letter, note in table.notes]
    lines += [rf"{escaped_latex(remark)}." for remark in table.remarks]
    lines.append(r"\end{table*}")
    if table.sources:
        lines += ["", r"{\raggedright\scriptsize\noindent"]
        lines += [_tex_source(*source) for source in table.sources]
        lines += [r"\par}"]
    return "\n".join([*lines, r"\evonasend", ""])


def escaped_latex(text: str) -> str:
    """Text that LaTeX prints as it is; letters beyond Latin ones, which pdfTeX does not know, by their numbers."""
    return "".join(
        TEX.get(letter, letter) if letter.isascii() or letter in TEX_LETTERS else rf"{{[}}U+{ord(letter):04X}]"
        for letter in plain(text)
    )


def _tex_row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _tex_source(key: str, text: str, url: str) -> str:
    return rf"{{[}}{key}] {escaped_latex(text)}" + (rf", \url{{{url}}}." if url else ".")


# HTML ---------------------------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.4; }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.4rem; }}
.wide {{ overflow-wrap: normal; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; border-block: 2px solid; }}
caption {{ text-align: left; padding-bottom: 0.5rem; max-width: calc(100vw - 2rem); }}
th, td {{ padding: 0.15rem 0.6rem; text-align: left; }}
thead, tbody {{ border-bottom: 1px solid; }}
th[scope="rowgroup"] {{ font-style: italic; font-weight: normal; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def html_page(table: PrintTable) -> str:
    """A table as an HTML page that needs nothing else."""
    lines = ['<div class="wide" role="region" aria-label="table" tabindex="0">', "<table>"]
    lines.append(f"<caption>{escaped_html(table.caption)}</caption>")
    lines += ["<thead>", _html_row("th", table.columns, table.right), "</thead>"]
    for heading, rows in table.groups:
        lines.append(
            f'<tbody>\n<tr><th scope="rowgroup" colspan="{len(table.columns)}">{escaped_html(heading)}</th></tr>'
        )
        lines += [_html_row("td", row.cells, table.right, row.mark) for row in rows]
        lines.append("</tbody>")
    lines += ["</table>", "</div>"]
    notes = [f"<sup>{letter}</sup> {escaped_html(note)}" for letter, note in table.notes]
    lines += _html_list(None, [*notes, *map(escaped_html, table.remarks)])
    lines += _html_list("Sources", [_html_source(*source) for source in table.sources])
    return PAGE.format(title=escaped_html(table.title), body="\n".join(lines))


def escaped_html(text: str) -> str:
    """Text that HTML shows as it is, in an attribute too."""
    return html.escape(plain(text))


def _html_row(tag: str, cells: Sequence[str], right: frozenset[int], mark: str = "") -> str:
    scope = ' scope="col"' if tag == "th" else ""
    made = []
    for column, cell in enumerate(cells):
        number = ' class="number"' if column in right else ""
        letter = f" <sup>{mark}</sup>" if mark and column == 0 else ""
        made.append(f"<{tag}{scope}{number}>{escaped_html(cell)}{letter}</{tag}>")
    return f"<tr>{''.join(made)}</tr>"


def _html_source(key: str, text: str, url: str) -> str:
    address = html.escape(url)
    return f"[{key}] {escaped_html(text)}" + (f' <a href="{address}">{address}</a>' if url else "")


def _html_list(heading: str | None, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    head = [] if heading is None else [f"<h2>{heading}</h2>"]
    return [*head, "<ul>", *(f"<li>{item}</li>" for item in items), "</ul>"]


FORMATS: dict[str, Callable[[PrintTable], str]] = {".md": markdown, ".tex": latex, ".html": html_page}
