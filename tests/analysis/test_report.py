"""The page of a run: what it says, in whatever state the run is, and that nothing of a file acts in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import yaml
from html_pages import Page
from run_folders import HEADER, HISTORY, long_run, two_objectives, write_architecture, write_correlation, write_run
from tests_support import tiny_settings

from analysis import report_charts
from analysis.report import report, write_report
from analysis.report_charts import convergence_chart, hypervolume_chart, networks_chart
from analysis.report_page import chart_data
from analysis.run_front import front
from analysis.runs import read_run
from evonas.cli import main
from evonas.errors import AnalysisError
from evonas.progress import Silent
from evonas.table_search import start

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = (
    "</script><script>alert(1)</script><!--\"'><img src=x onerror=alert(1)>&lt;b>\u202e%{x}$\\frac{1}{$ ]]> {{ 7 * 7 }}"
)
EXTRA = r"the report needs {}, which is not installed; install it by `pip install 'evonas\[report\]'`"


def page_of(run: Path) -> Page:
    return Page(report(read_run(run)))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run: the search of a table by two objectives."""
    path = tmp_path_factory.mktemp("searched") / "run"
    objectives = "problem.objectives=[error,params]"
    start(
        tiny_settings("space={name: nb-macro}", "table.file=nb-macro", objectives, "search.algorithm=nsga2"),
        path,
        Silent(),
    )
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on CIFAR-10 with all files that a run may have."""
    changes: dict[str, Any] = {
        "versions": {"python": "3.11.7", "torch": "2.9.0"},
        "commit": "abc123",
        "threads": 2,
        "seconds": {"warmup": 100.5, "total": 1200.25},
        "evaluations": 1000,
        "references": {
            "largest": {"role": "largest", "test_error": 2.75, "params": 4_000_000, "flops": 9},
            "random": [{"role": "random 1", "test_error": 3.25, "params": 2_000_000, "flops": 8}],
            "random_mean_test_error": 3.25,
        },
    }
    run = write_run(tmp_path_factory.mktemp("whole") / "run", **changes)
    write_correlation(run)
    return write_architecture(run)


def test_the_page_says_what_was_run_and_what_came_out(whole: Path) -> None:
    page = page_of(whole)
    for text in (
        "ga on cifar10, seed 0",
        "run, finished",
        "Test error 2.60 %",
        "Parameters 3,000,000",
        "GPU-days of the search 0.4",
        "largest of the space 2.75 4,000,000 9",
        "random, mean 3.25",
        "Hardware NVIDIA H100",
        "Commit abc123",
        "torch 2.9.0",
        "warmup 100.5",
        "evonas run --config run/config.yaml",
        "evonas retrain run --set retrain.seeds=3",
        "mb3x6 16->32 /2",
        "population: 50",  # of the settings
    ):
        assert text in page.text, text
    assert "What is missing" not in page.text and "reduced" not in page.text
    assert set(page.data) == {"chart-networks", "chart-convergence"}
    assert len(page.of("img")) == 3  # architecture, correlation and drift
    assert all(image["alt"] and image["src"].startswith("data:image/svg+xml;base64,") for image in page.of("img"))


def test_published_methods_stand_beside_the_run(whole: Path) -> None:
    page = page_of(whole)
    rows = re.search(r"Comparison on CIFAR-10(.*)Notes and sources", page.text)
    assert rows is not None and "Comparison on CIFAR-100" not in page.text
    assert "The comparison set is a reconstruction in the style of the target paper" in rows[1]
    groups = ("Hand-crafted", "Semi-automatic", "Automatic")
    assert sum(rows[1].count(f"] {group}") for group in groups) == 32
    assert rows[1].count("] target paper") == rows[1].count("] this run") == 1
    assert "evonas ga (run)" in rows[1]


def test_a_run_on_other_data_has_both_comparisons_and_is_in_none(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path / "run", dataset="digits"))
    assert "Comparison on CIFAR-10 " in page.text and "Comparison on CIFAR-100 " in page.text
    assert "Not in the table: evonas ga (run): ran on digits" in page.text
    assert "this run" not in page.text.partition("Published methods")[2].partition("Versions")[0]


def test_reduced_and_unfair_runs_are_marked(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path / "run", "retrain.epochs=60", unfair=["search.stale"], device="cpu (x)"))
    assert (
        "A reduced run , not to be compared with published errors: 60 of 600 retraining epochs; computed on"
        in page.text
    )
    assert "Unfair: fitness of different supernet states was compared (search.stale)" in page.text
    assert "CPU-days of the search" in page.text and "GPU-days of the search" not in page.text


def test_what_trained_given_networks_has_no_search_to_show(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "retrain.genotypes=[pc-darts]", networks=[{"role": "network 2", "test_error": 3}])
    for name in ("history.csv", "generations.csv", "pareto.csv"):
        (run / name).unlink()
    page = page_of(write_architecture(run))
    assert "retrain on cifar10, seed 0" in page.text and "network 2 3.00" in page.text
    assert "What is missing" not in page.text and "Population" not in page.text and "of the search" not in page.text
    assert page.data == {} and "#front" not in [link["href"] for link in page.of("a")]


def test_the_search_of_a_table_is_shown_with_its_true_front(searched: Path) -> None:
    page, run = page_of(searched), read_run(searched)
    assert "nsga2 on table nb-macro, seed 0" in page.text and "100 - mean_acc" in page.text
    assert "best of the table" in page.text and "Fine-tuning" not in page.text
    assert "What is missing" not in page.text
    traces = {trace["name"]: trace for trace in page.data["chart-networks"]["data"]}
    assert set(traces) == {
        "networks of the search",
        "final candidates",
        "front",
        "network chosen",
        "true front of the table",
    }
    found = networks_chart(run).figure
    assert sum(len(found.data[place].x) for place in (0, 1)) == len(run.history)
    assert list(found.data[2].x) == sorted(run.pareto["params"])
    assert list(hypervolume_chart(run).figure.data[0].y) == run.generations["hypervolume"].tolist()


def test_pointing_at_a_network_shows_its_figures_and_architecture(searched: Path) -> None:
    run = read_run(searched)
    (text, *_), row = networks_chart(run).figure.data[0].hovertext, run.history.iloc[0]
    figures, where, *architecture = text.split("<br>")
    assert figures == f"{row['error']:.2f} % error, {row['params']:,} parameters"
    assert where == "generation 0, supernet state 0, initial"
    assert " ".join(architecture).count("->") == 8
    best = convergence_chart(run).figure.data[1].hovertext[0]
    assert best.startswith(f"{run.generations['best'][0]:.2f} % error, ") and "->" in best


def test_convergence_joins_no_values_of_different_states(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "generations.csv").write_text("generation,state,best,median\n0,0,9,9\n1,0,8,8\n2,1,7,8\n")
    chart = convergence_chart(read_run(run))
    assert list(chart.figure.data[1].x) == [0, 1, None, 2, None]
    assert list(chart.figure.data[1].y) == [9, 8, None, 7, None]
    assert [shape.x0 for shape in chart.figure.layout.shapes] == [1.5]


def test_the_front_of_one_objective_is_that_of_the_last_state_within_the_limits(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "problem.objectives=[error]", "problem.limits.params=200")
    rows = [(0, 1, 50), (1, 9, 100), (1, 8, 150), (1, 8.5, 160), (1, 7, 200), (1, 7, 200), (1, 2, 300)]
    lines = [f'{s},{s},"[{i}]","[{i}]",child,{e},,{p},1,0\n' for i, (s, e, p) in enumerate(rows)]
    (run / "history.csv").write_text(HEADER + "".join(lines))
    (run / "pareto.csv").write_text(HEADER + '1,1,"[4]","[4]",final,7,,200,1,0\n')
    assert front(read_run(run))[["error", "params"]].to_numpy().tolist() == [[9, 100], [8, 150], [7, 200]]


def test_an_axis_is_logarithmic_where_values_lie_far_apart(tmp_path: Path) -> None:
    run = two_objectives(write_run(tmp_path / "run", "problem.objectives=[error,params]"))
    assert networks_chart(read_run(run)).figure.layout.yaxis.type is None
    (run / "history.csv").write_text((run / "history.csv").read_text().replace(",9,", ",90,"))
    axis = networks_chart(read_run(run)).figure.layout.yaxis
    assert axis.type == "log" and "logarithmic" in axis.title.text


def test_the_page_loads_nothing_and_runs_its_own_scripts_alone(whole: Path) -> None:
    page = page_of(whole)
    for tag, attributes in page.tags:
        for name in {"src", "href", "action", "poster", "data", "srcset"} & set(attributes):
            address = attributes[name]
            assert address.startswith(("data:", "#")) or (tag, name) == ("a", "href"), (tag, attributes)
    assert len(page.scripts) == 2
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts]
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';")
    style = (ROOT / "analysis" / "page" / "report.css").read_text()
    assert "url(" not in style and "@import" not in style


def test_the_page_has_the_bones_that_readers_without_a_mouse_need(whole: Path) -> None:
    page = page_of(whole)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag in ("header", "nav", "main", "footer", "h1"):
        assert len(page.of(tag)) == 1, tag
    assert page.of("html")[0]["lang"] == "en"
    assert page.of("a")[0] == {"class": "skip", "href": "#main"}
    referred = [attributes["href"][1:] for attributes in page.of("a") if attributes["href"].startswith("#")]
    referred += [
        attributes[name] for _, attributes in page.tags for name in ("aria-labelledby", "for") if name in attributes
    ]
    assert set(referred) <= set(ids)
    assert {field["id"] for field in page.of("input")} == {label["for"] for label in page.of("label")}


def poisoned(data: object, *, numbers: bool) -> Any:
    """Data with a hostile text in place of each text, its keys too, and if wanted of each number."""
    if isinstance(data, dict):
        known = {key: poisoned(value, numbers=numbers) for key, value in data.items()}
        return {**known, HOSTILE: HOSTILE}
    if isinstance(data, list):
        return [*(poisoned(value, numbers=numbers) for value in data), HOSTILE]
    return HOSTILE if isinstance(data, str) or (numbers and type(data) in (int, float)) else data


def poison(run: Path, *, numbers: bool) -> None:
    for name in ("result.json", "best/architecture.json"):
        (run / name).write_text(json.dumps(poisoned(json.loads((run / name).read_text()), numbers=numbers)))
    settings = poisoned(yaml.safe_load((run / "config.yaml").read_text()), numbers=numbers)
    settings["problem"]["objectives"] = ["error", HOSTILE]
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    column = '"' + HOSTILE.replace('"', '""') + '"'
    texts = ",".join([column] * 3)
    for name in ("history.csv", "pareto.csv"):
        rows = [
            f"{generation},{generation},{texts},{9 - generation},0.5,{1000 + generation},2000,{generation}\n"
            for generation in range(4)
        ]
        (run / name).write_text(HEADER.replace("seconds", column) + "".join(rows))


@pytest.mark.parametrize("numbers", [False, True])
def test_text_from_files_stays_text(tmp_path: Path, whole: Path, numbers: bool) -> None:
    run = tmp_path / HOSTILE.replace("/", "")
    shutil.copytree(whole, run)
    poison(run, numbers=numbers)
    write_correlation(run, '"' + HOSTILE.replace('"', '""') + '"')
    found = read_run(run)
    page, clean = Page(report(found)), page_of(whole)
    assert page.scripts == clean.scripts
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(image["src"].startswith("data:") for image in page.of("img"))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in clean.tags}
    assert "<script>alert(1)</script>" in page.text and "{{ 7 * 7 }}" in page.text
    assert "\u202e" not in page.text
    text = json.dumps(page.data)
    assert "&lt;script>alert(1)" in text and "<script" not in text  # plotly reads tags in texts


def test_a_chart_ends_no_script() -> None:
    data = chart_data(go.Figure(layout={"title": {"text": HOSTILE}}))
    assert not set("<>&'") & set(data) and json.loads(data)["layout"]["title"]["text"] == HOSTILE


def test_what_the_user_adds_to_the_published_methods_stays_text(tmp_path: Path, whole: Path) -> None:
    from analysis.peers import load_peers

    peers = load_peers()
    peers.loc[peers["dataset"] == "cifar10", ["name", "source", "also_printed"]] = HOSTILE
    page = Page(report(read_run(whole), peers))
    assert page.scripts == page_of(whole).scripts and len(page.of("img")) == 3
    assert page.text.count("<script>alert(1)</script>") > 32


def test_an_empty_run_says_what_is_missing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for name in ("history.csv", "generations.csv", "pareto.csv", "result.json"):
        (run / name).unlink()
    page = page_of(run)
    for text in (
        "run, unfinished",
        "unfinished: result.json is not there",
        "No network has been measured yet.",
        "No generation has been measured yet.",
        "No network has been chosen yet.",
        "evonas resume run",
    ):
        assert text in page.text, text
    assert page.data == {}


def test_a_run_that_was_killed_shows_how_far_it_came(
    tmp_path: Path, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    for name in ("result.json", "pareto.csv", "best/architecture.json"):
        (run / name).unlink()
    (run / "true_front.csv").write_text("error\n1\n")
    for name in ("history.csv", "generations.csv"):
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) * 2 // 3])
    page, found = page_of(run), read_run(run)
    assert "history.csv has 1 damaged rows, left out" in page.text and "evonas resume run" in page.text
    networks, line = page.data["chart-networks"]["data"]
    assert networks["name"] == "networks of the search" and line["name"] == "front"
    assert "cannot read run/best/architecture.json" in page.text and str(tmp_path) not in page.text
    assert "The true front of the table is not drawn: run/true_front.csv has no column 'params'" in page.text
    monkeypatch.chdir(run)
    assert page_of(Path()).text == page.text
    assert 0 < len(networks["hovertext"]) == len(found.history) < len(read_run(searched).history)


FILES = {  # that may be damaged, with the chart that they cost
    "config.yaml": None,
    "result.json": None,
    "history.csv": "chart-networks",
    "generations.csv": "chart-convergence",
    "correlation.csv": None,
    "drift.csv": None,
    "best/architecture.json": None,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_damaged_costs_its_own_part_alone(tmp_path: Path, whole: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / name).write_bytes(b"{\x00\xff")
    page = page_of(run)
    said = page.text.partition("What is missing")[2].partition("Skip")[0]
    assert Path(name).name in said
    assert set(page.data) == {"chart-networks", "chart-convergence"} - {FILES[name]}


@pytest.mark.parametrize("damage", [b"", b"a,b\n1,2\n", b"[" * 100_000, b'[{"best": 1e999}]'])
def test_nothing_but_damage_is_a_page_too(tmp_path: Path, whole: Path, damage: bytes) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for name in (*FILES, "pareto.csv"):
        (run / name).write_bytes(damage)
    page = page_of(run)
    assert "An unknown algorithm on an unknown data set" in page.text and "config.yaml is damaged" in page.text
    assert page.data == {} and not page.of("img")


def test_twenty_thousand_rows_are_a_page_of_a_few_megabytes(tmp_path: Path) -> None:
    run = read_run(long_run(tmp_path / "run", rows=20_000, generations=20_000))
    text = report(run)
    assert len(text.encode()) < 10_000_000
    page = Page(text)
    assert "Of 20,000 networks of the search, 2,000 are drawn, evenly spread over them." in page.text
    assert "Of 20,000 generations, 2,000 are drawn, evenly spread over them." in page.text
    drawn = networks_chart(run).figure.data[0]
    assert len(drawn.x) == report_charts.MOST
    assert (drawn.x[0], drawn.x[-1]) == tuple(run.history["params"].iloc[[0, -1]])
    assert np.diff(drawn.marker.color).max() <= 11  # no gap


def test_the_same_files_give_the_same_bytes_by_the_command_too(tmp_path: Path, whole: Path, searched: Path) -> None:
    copies = [tmp_path / str(number) / "run" for number in range(2)]
    for run, copy in zip((whole, searched), copies, strict=True):
        shutil.copytree(run, copy)
    assert report(read_run(copies[0])) == report(read_run(whole))
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'torchvision', 'deap'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "import analysis.report\n"
        "assert not {'plotly', 'jinja2'} & set(sys.modules)\n"
        "from evonas.cli import main\n"
        "main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(copies[1])],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (copies[1] / "report.html").read_bytes() == report(read_run(searched)).encode()


@pytest.mark.parametrize("missing", ["plotly", "jinja2"])
def test_without_the_extra_there_is_one_line_and_nothing_is_written(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for module in ("analysis.report_charts", "analysis.report_page"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(AnalysisError, match=EXTRA.format(missing)):
        report(read_run(whole))
    with pytest.raises(SystemExit) as caught:
        main(["report", str(whole), "--out", str(tmp_path / "page.html")])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"evonas: {EXTRA.format(missing)}", line)
    assert not (tmp_path / "page.html").exists()


def test_the_page_goes_where_it_is_asked_for_and_over_no_other_file(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    assert write_report(read_run(run)) == run / "report.html"
    assert write_report(read_run(run), tmp_path / "new" / "a.html").read_bytes() == (run / "report.html").read_bytes()
    with pytest.raises(AnalysisError, match=r"history.csv ends in '.csv'; give a file that ends in .html"):
        write_report(read_run(run), run / "history.csv")
    assert (run / "history.csv").read_text() == HISTORY
    (tmp_path / "file").touch()
    with pytest.raises(AnalysisError, match=r"cannot write .*a.html: .*; choose another --out"):
        write_report(read_run(run), tmp_path / "file" / "a.html")
