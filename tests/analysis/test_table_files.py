"""The tables as files: escaped, complete, equal for equal input, and made without torch."""

from __future__ import annotations

import html
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from run_folders import write_run

from analysis.peers import load_peers
from analysis.runs import read_runs
from analysis.table_files import write_tables
from analysis.table_formats import FORMATS, PrintTable, Row, escaped_latex, html_page, latex, markdown
from evonas.errors import AnalysisError

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = (
    "<script>alert(1)</script> | a\\b & 100% $x_1$ #1 {~^} `c` *d* _e_ [f](javascript:g) \\input{h} \\\\ -- \"i\" 'j'\n"
    "k\x00l &lt; Łódź 漢字 \u202e é"
)
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is here")


def hostile_table() -> PrintTable:
    row = Row((HOSTILE, "1.00", "[2]"), "a")
    return PrintTable(
        "hostile",
        HOSTILE,
        HOSTILE,
        ("Method", HOSTILE, "*"),
        frozenset({1}),
        [(HOSTILE, [row, Row(("[1] first", "2", "*")), Row(("*first", "2", "*"))])],
        [("a", HOSTILE)],
        [HOSTILE],
        [("1", HOSTILE, "https://example.org/a_b?c=%20&d=1#e~f"), ("2", "none", "")],
    )


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.links: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_hostile_text_is_text_in_html() -> None:
    page = Page(html_page(hostile_table()))
    assert "script" not in page.tags
    assert set(page.links) == {"https://example.org/a_b?c=%20&d=1#e~f"}
    shown = [cell.strip() for cell in page.cells if cell.startswith("<script>")]
    # Title and h1, caption, heading, group, row, remark; those of the note and the source follow their keys.
    assert len(shown) == 7
    assert all(cell.startswith("<script>alert(1)</script> | a\\b & 100% $x_1$ #1") for cell in shown)


def test_hostile_text_is_text_in_markdown() -> None:
    text = markdown(hostile_table())
    assert "<script" not in text and "\x00" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [4] * 6  # three cells each
    assert re.search(r"(?<!\\)[`*$]", rows[3]) is None
    assert r"\[f\](javascript:g)" in text  # no link
    unescaped = html.unescape(re.sub(r"\\([\\`*_{}\[\]#|~$!])", r"\1", rows[3]))
    assert HOSTILE.split("\n")[0] in unescaped


def test_hostile_text_is_text_in_latex() -> None:
    made = escaped_latex(HOSTILE)
    assert "{[}U+6F22]{[}U+5B57]" in made and "Łódź" in made  # what pdfTeX has no letter for
    assert r"\textbackslash{}input\{h\}" in made
    # Without our own commands, nothing is left that TeX would take for one.
    rest = re.sub(r"\\text[a-z]+\{\}|\\[{}$&#%_]|\{\[\}|\{\*\}|-\{\}|\{\\char34\}", "", made)
    assert re.search(r"[\\{}$&#%_^~]", rest) is None


def test_hostile_text_survives_in_csv(tmp_path: Path) -> None:
    peers = load_peers()
    peers.loc[peers["key"] == "cars", "name"] = HOSTILE
    write_tables(tmp_path, peers=peers)
    table = pd.read_csv(tmp_path / "cifar10.csv", keep_default_na=False)
    assert len(table) == 33
    assert table.loc[table["key"] == "cars", "name"].tolist() == [HOSTILE]


def runs(folder: Path) -> list[Path]:
    killed = write_run(folder / "killed", "search.mutation=0.3")
    (killed / "result.json").unlink()
    device = "cpu <script>alert(1)</script> 100%_\ud800"
    small = write_run(folder / "small", dataset="cifar10-small", error=25.0, device=device, unfair=["search.stale"])
    return [*(write_run(folder / f"full-{seed}", seed=seed, error=2.6 + seed / 10) for seed in (0, 1)), small, killed]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder / "out", read_runs(runs(folder)))
    return folder


def test_the_same_input_gives_the_same_bytes(written: Path) -> None:
    groups = read_runs([written / name for name in ("full-0", "full-1", "small", "killed")])
    files = write_tables(written / "again", groups)
    assert sorted(file.name for file in files) == sorted(
        f"{name}.{suffix}" for name in ("cifar10", "cifar100", "summary") for suffix in ("csv", "md", "tex", "html")
    )
    for file in files:
        assert file.read_bytes() == (written / "out" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "summary"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_caption_says_that_the_set_is_a_reconstruction(written: Path, name: str, suffix: str) -> None:
    text = (written / "out" / (name + suffix)).read_text()
    assert "The comparison set is a reconstruction" in text
    assert not re.search("paper's (own )?(list|set|32|peers|competitors)", text)
    assert "Left out" in text and "killed" in text


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_each_format_has_every_method_its_figures_and_its_source(written: Path, dataset: str) -> None:
    table = pd.read_csv(written / "out" / f"{dataset}.csv", keep_default_na=False, na_values={"gpu_days": [""]})
    lines = (written / "out" / f"{dataset}.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    rows = [row for row in cells[2:] if any(row[1:])]
    assert len(rows) == len(table)
    for row, (_, truth) in zip(rows, table.iterrows(), strict=True):
        assert row[0].startswith(str(truth["name"]).replace("_", r"\_"))
        assert row[1] == f"{float(truth['error_pct']):.2f}"
        assert row[4] == "–" if math.isnan(truth["gpu_days"]) else float(row[4]) == truth["gpu_days"]
        assert row[6] == rf"\[{truth['source_key']}\]"
    for _, truth in table.iterrows():
        source = next(line for line in lines if line.startswith(rf"- \[{truth['source_key']}\] "))
        assert truth["source_url"] in source
    page = Page((written / "out" / f"{dataset}.html").read_text())
    tex = (written / "out" / f"{dataset}.tex").read_text()
    assert page.tags.count("td") == 7 * len(table)
    assert sum(line.count(" & ") == 6 for line in tex.splitlines()) == len(table) + 1
    assert set(page.links) == set(re.findall(r"\\url\{(.*?)\}", tex)) == set(table["source_url"]) - {""}


def test_runs_show_seeds_hardware_and_whether_they_are_reduced(written: Path) -> None:
    text = (written / "out" / "cifar10.md").read_text()
    full = next(line for line in text.splitlines() if line.startswith("| evonas ga (full-0)"))
    assert "| 2.65 | 0.07 | 3 | 0.4 | ga |" in full
    assert "2 seeds, NVIDIA H100" in text
    assert "| evonas ga (small), reduced run" in text
    assert "images of 16x16 instead of 32x32 pixels; 15 of 600 retraining epochs; computed on a CPU" in text


def test_conflicting_values_are_footnoted(written: Path) -> None:
    text = (written / "out" / "cifar100.md").read_text()
    (mark,) = re.findall(r"\| PNAS <sup>(\w+)</sup> \| 19\.53", text)
    assert f"- <sup>{mark}</sup> elsewhere: 17.63 (EEEA-Net)" in text


def test_the_summary_names_rows_outside_the_set(written: Path) -> None:
    text = (written / "out" / "summary.md").read_text()
    assert r"outside it: NSGANetV1-A4 2.02 \[1\], ProxylessNAS + cutout 2.08 \[2\]" in text
    assert "Lower errors in the set: 32 rows" in text  # of the small run
    assert "computed on a CPU; unfair, fitness of different supernet states was compared: search.stale" in text


def test_rows_of_the_user_are_told_in_the_caption(tmp_path: Path) -> None:
    peers = load_peers()
    peers.loc[peers["key"] == "cars", "origin"] = "mine.csv"
    write_tables(tmp_path, peers=peers)
    assert "1 of its rows are from mine.csv." in (tmp_path / "cifar10.md").read_text()
    assert "2 of its rows are from mine.csv." in (tmp_path / "summary.md").read_text()


def test_many_better_rows_are_counted(tmp_path: Path) -> None:
    peers = load_peers()
    peers.loc[peers["dataset"] == "cifar10", "error_pct"] = 1.0
    peers.loc[peers["dataset"] == "cifar100", "error_pct"] = 2.0
    write_tables(tmp_path, peers=peers)
    assert "Lower errors in the set: 28 rows; outside it: 34 rows" in (tmp_path / "summary.md").read_text()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnalysisError, match=r"cannot write to .*file: .*; choose another --out"):
        write_tables(tmp_path / "file")


def test_the_command_needs_no_torch(written: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'pymoo', 'deap')))\n"
        "from evonas.cli import main; main(sys.argv[1:])"
    )
    runs = [str(written / name) for name in ("full-0", "full-1", "small", "killed")]
    done = subprocess.run(
        [sys.executable, "-c", code, "tables", *runs, "--out", "command"],
        cwd=written,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"left out: {runs[3]}: unfinished: result.json is not there" in done.stdout
    for file in (written / "command").iterdir():
        assert file.read_bytes() == (written / "out" / file.name).read_bytes(), file.name


def pdflatex(folder: Path, name: str) -> str:
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name], cwd=folder, capture_output=True, timeout=300
    )
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (folder / name).with_suffix(".pdf").is_file()
    return log


@pytest.mark.slow
@needs_latex
def test_latex_compiles_as_it_is_and_in_a_paper(written: Path) -> None:
    folder = written / "out"
    for name in ("cifar10", "cifar100", "summary"):
        assert "Overfull" not in pdflatex(folder, f"{name}.tex")
    paper = (
        r"\documentclass[twocolumn]{article}\usepackage{booktabs,url}\begin{document}"
        r"\input{cifar10}\input{summary}\input{hostile} The end.\end{document}"
    )
    (folder / "hostile.tex").write_text(latex(hostile_table()))
    (folder / "paper.tex").write_text(paper)
    pdflatex(folder, "hostile.tex")
    pdflatex(folder, "paper.tex")
