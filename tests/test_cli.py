"""The command line: one line and exit code 2 for a mistake, nothing written; and what each command prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from tests_support import TINY

from evonas import __version__
from evonas.cli import app, default_out, main
from evonas.config import build, with_assignments

SETS = [word for assignment in TINY for word in ("--set", assignment)]
ROOT = Path(__file__).parent.parent


def evonas(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evonas", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


class Answer(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """The command line in this process, from an empty folder: a new one imports torch each time."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Answer:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        return Answer(int(caught.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    answer = evonas("run", "ga", "--seed", "3", *SETS, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert "random, mean" in answer.stdout and "test error" in answer.stdout
    return folder / "runs" / "ga-digits-3"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "gaa"], "search.algorithm 'gaa' is unknown; did you mean 'ga'?"),
        (["run", "--dataset", "cifar"], "dataset.name 'cifar' is unknown; did you mean 'cifar10'?"),
        (["run", "--space", "single"], "'single' is no search space; did you mean 'single-path'?"),
        (
            ["run", "--set", "search.popultion=4"],
            "unknown setting 'search.popultion'; did you mean 'search.population'?",
        ),
        (["run", "--set", "search.population=four"], "search.population is 'four'; expected a whole number"),
        (["run", "--set", "search=5"], "search is 5; expected settings, as in"),
        (["run", "--set", "problem.objectives=[]"], "problem.objectives is []; expected a list of 1 or more"),
        (["run", "--set", "problem.objectives=error"], "problem.objectives is 'error'; expected a list, as in"),
        (["run", "--set", "final.remeasure=maybe"], "final.remeasure is 'maybe'; expected true or false"),
        (["run", "--set", "search.population="], "--set search.population= has no value; write null for none"),
        (["run", "--dataset", "imagefolder", "--data-dir", "missing"], "missing is no folder"),
        (["run", "--table", "nb-macro", "--set", "problem.objectives=[error,latency]"], "not measured for a table"),
        (["run", "--set", "supernet.lr=-1"], "supernet.lr is -1; expected greater than 0"),
        (["run", "--set", "nonsense"], "--set 'nonsense' is no assignment; expected key=value"),
        (["run", "--seed", "x"], "--seed"),
        (["run", "--seed", "-4"], "seed is -4"),
        (["run", "--device", "tpu"], "device is 'tpu'; expected 'auto', 'cpu' or 'cuda'"),
        (["run", "--config", "nothing.yaml"], "cannot read the settings file nothing.yaml: No such file"),
        (["run", "--config", "digit"], "no shipped settings; did you mean 'digits'?"),
        (["run", "--dataset", "cifar10", "--data-dir", "empty"], "--data-dir"),
        (["run", "--dataset", "cifar10", "--data-dir", "missing"], "missing"),
        (["run", "--dataset", "imagefolder"], "imagefolder needs --data-dir"),
        (["run", "--out", "full"], "full exists and is not empty; choose another --out"),
        (["run", "--colour", "red"], "--colour"),
        (["runn"], "runn"),
        (["resume", "missing"], "missing does not exist; give the folder of a run"),
        (["resume", "full"], "full is no run folder"),
        (["resume"], "RUN"),
        (["show", "missing"], "missing does not exist"),
        (["show", "full"], "full is no run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_code_2_and_nothing_is_written(
    here: Callable[..., Answer], tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    answer = here(*arguments)
    assert answer.returncode == 2, answer.stderr
    (message,) = answer.stderr.splitlines()
    assert message.startswith("evonas: ")
    assert expected in message
    assert sorted(tmp_path.rglob("*")) == before
    assert answer.stdout == ""


def test_without_a_command_there_is_the_help_and_a_version(here: Callable[..., Answer]) -> None:
    help_lines, version = here().stdout.splitlines(), here("--version")
    assert any(line.strip().startswith("correlate") for line in help_lines)
    assert (version.returncode, version.stdout.strip()) == (0, f"evonas {__version__}")


def test_of_many_generations_on_one_state_those_are_shown_that_brought_a_better_one(
    here: Callable[..., Answer],
) -> None:
    assert here("run", "aging", "--table", "nb-macro", "--out", "a", "--quiet").returncode == 0
    shown = here("show", "a").stdout
    assert (
        "all on one state" in shown
        and "error by generation" in shown
        and "generations: those that brought a better one" in shown
    )
    best = [float(line.split("│")[4]) for line in shown.splitlines() if line.count("│") == 7]
    assert best[:-1] == sorted(best[:-1], reverse=True) and len(best) < 40
    assert "aging on table nb-macro" in shown and "best of the table │           6.87" in shown


def test_generations_that_are_asked_for_are_not_cut_by_the_budget_of_a_table(
    here: Callable[..., Answer], tmp_path: Path
) -> None:
    sets = ("--set", "search.generations=12", "--set", "search.population=40")
    assert here("run", "nsga2", "--table", "nb-macro", *sets, "--out", "a", "--quiet").returncode == 0
    assert len((tmp_path / "a" / "generations.csv").read_text().splitlines()) == 13
    for name in ("front.svg", "front.png", "hypervolume.svg", "hypervolume.png"):
        assert (tmp_path / "a" / "plots" / name).stat().st_size > 1000
    sets = (*sets, "--set", "search.evaluations=100", "--init", "a")
    assert here("run", "ga", "--table", "nb-macro", *sets, "--out", "b", "--quiet").returncode == 0
    assert '"evaluations": 100' in (tmp_path / "b" / "result.json").read_text()


def test_all_mistakes_of_a_command_come_at_once(here: Callable[..., Answer]) -> None:
    answer = here("run", "gaa", "--dataset", "cifar", "--space", "x", "--set", "seed=no", "--set", "retrain.epoch=1")
    assert answer.returncode == 2
    for part in (
        "'gaa'",
        "'cifar'",
        "'x' is no search space",
        "seed is",
        "'retrain.epoch'; did you mean 'retrain.epochs'",
    ):
        assert part in answer.stderr


def test_a_strangers_package_of_the_same_name_is_named(
    here: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [name for name in sys.modules if name.partition(".")[0] == "problems"]:
        monkeypatch.delitem(sys.modules, module)
    answer = here("run")
    assert answer.returncode == 2
    assert f"the package 'problems' of evonas is hidden by {tmp_path}" in answer.stderr


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused(here: Callable[..., Answer], tmp_path: Path) -> None:
    answer = here("run", "--device", "cuda")
    assert answer.returncode == 2
    assert "no CUDA device here; use --device cpu" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_an_out_that_holds_another_run_is_refused_and_kept(here: Callable[..., Answer], finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    answer = here("run", "--out", str(finished))
    assert answer.returncode == 2
    assert "holds a run; choose another --out, or go on with it by `evonas resume" in answer.stderr
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_show_draws_a_finished_run(here: Callable[..., Answer], finished: Path) -> None:
    answer = here("show", str(finished))
    assert answer.returncode == 0
    for part in ("generation", "best network", "  images", "  classes", "random, mean", "->"):
        assert part in answer.stdout


def test_show_tells_where_an_unfinished_run_stands(here: Callable[..., Answer], finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (copy / "result.json").unlink()
    answer = here("show", str(copy))
    assert answer.returncode == 0
    assert "unfinished, 3 generations measured" in answer.stdout
    assert "evonas resume" in answer.stdout


def test_resume_of_a_finished_run_says_so(here: Callable[..., Answer], finished: Path) -> None:
    answer = here("resume", str(finished), "--quiet")
    assert answer.returncode == 0
    assert "is finished" in answer.stdout


def test_listings_name_what_there_is(here: Callable[..., Answer]) -> None:
    assert "cifar100" in here("datasets").stdout
    spaces = here("spaces")
    assert "single-path:" in spaces.stdout and "space.operations" in spaces.stdout
    assert {line.split()[0] for line in here("settings").stdout.splitlines()} == {
        path.stem for path in (ROOT / "configs").glob("*.yaml")
    }
    assert here("settings", "digits").stdout == (ROOT / "configs" / "digits.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("evonas ret", {"retrain"}),
        ("evonas run ns", {"nsga2", "nsga3"}),
        ("evonas run --dataset cif", {"cifar10", "cifar100"}),
        ("evonas run --space nb", {"nb-macro", "nb201"}),
        ("evonas run --config image", {"imagefolder", "imagefolder-small"}),
        ("evonas settings dig", {"digits"}),
        ("evonas export RUN --format o", {"onnx"}),
    ],
)
def test_the_shell_completes_commands_and_names(
    words: str, completed: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("COMPLETE", "complete_bash"), ("WORDS", words), ("CWORD", str(words.count(" ")))):
        monkeypatch.setenv(f"{'_EVONAS' if name == 'COMPLETE' else 'COMP'}_{name}", value)
    with pytest.raises(SystemExit):
        main([])
    assert set(capsys.readouterr().out.split()) == completed


def test_help_suffices_and_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from evonas.cli import main\ntry: main(['--help'])\nexcept SystemExit as e: assert e.code == 0\n"
    )
    code += "assert 'torch' not in sys.modules and 'pymoo' not in sys.modules"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    for word in ("run", "resume", "show", "tables", "datasets", "spaces"):
        assert word in answer.stdout


def test_tables_need_no_run(here: Callable[..., Answer], tmp_path: Path) -> None:
    answer = here("tables", "--out", str(tmp_path / "out"))
    assert answer.returncode == 0 and answer.stderr == ""
    assert len(list((tmp_path / "out").iterdir())) == 12
    wrong = here("tables", "--out", str(tmp_path / "none"), "--peers", str(tmp_path / "mine.csv"))
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1
    assert "mine.csv: No such file" in wrong.stderr
    assert not (tmp_path / "none").exists()


def test_the_default_folder_counts_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_out("ga", "digits", 0) == Path("runs/ga-digits-0")
    Path("runs/ga-digits-0").mkdir(parents=True)
    Path("runs/ga-digits-0-2").mkdir()
    assert default_out("ga", "digits", 0) == Path("runs/ga-digits-0-3")


def test_a_search_on_a_table_is_named_by_it(here: Callable[..., Answer], tmp_path: Path) -> None:
    answer = here("run", "aging", "--table", "nb-macro", "--set", "search.evaluations=20", "--quiet")
    assert answer.returncode == 0 and "runs/aging-nb-macro-0" in answer.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_its_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "evonas", "run", "--out", "run", *SETS, "--set", "supernet.epochs=3000"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        # What runs in the background of a script inherits an ignored SIGINT, and Python leaves it so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("run/checkpoints/*.pt")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert errors.splitlines()[-1] == "stopped; go on with `evonas resume run`"
    assert "Traceback" not in errors
    assert list((tmp_path / "run" / "checkpoints").glob("*.pt"))


def test_a_data_set_that_is_not_in_its_folder_is_one_line(here: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    answer = here("run", "--dataset", "cifar100", "--data-dir", "none")
    assert answer.returncode == 2
    assert "CIFAR100 is not in" in answer.stderr
    assert list((tmp_path / "none").iterdir()) == []


def test_a_quiet_run_prints_plain_lines(finished: Path) -> None:
    answer = evonas("run", "--quiet", "--out", "quiet", *SETS, cwd=finished.parent)
    assert answer.returncode == 0
    assert "\x1b" not in answer.stderr
    assert any(line.startswith("done in") for line in answer.stderr.splitlines())


def test_correlate_scores_the_states_of_a_run_and_writes_figures(tmp_path: Path, here: Callable[..., Answer]) -> None:
    tiny = [*SETS[: SETS.index("space.width=4") - 1], "--set", "space.name=nb-macro", "--set", "space.width=4"]
    small = (
        "supernet.epochs=1",
        "search.population=4",
        "search.generations=2",
        "search.elites=1",
        "retrain.enabled=false",
    )
    options = [*tiny, *(word for assignment in small for word in ("--set", assignment))]
    assert here("run", "ga", *options, "--out", "a", "--quiet").returncode == 0
    beside = f"{ROOT / 'evonas' / 'tables' / 'nb-macro.csv'}:acc_1,std_acc"
    answer = here("correlate", "a", "--table", "nb-macro", "--genotypes", "20", "--scores", beside, "--quiet")
    assert answer.returncode == 0, answer.stderr
    assert "ceiling" in answer.stdout and "flops" in answer.stdout and "std_acc" in answer.stdout
    lines = (tmp_path / "a" / "correlation.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"0", "1", ""}, "both states, and what no state changes"
    regions = {line.split(",")[2] for line in lines[1:]}
    assert regions == {"global", "top10", "top5", "population", "final", "table"}
    assert [line.split(",")[3] for line in lines if line.split(",")[1:3] == ["flops", "table"]] == ["6561"]
    for name in ("scatter-state-0.svg", "scatter-state-1.png", "correlation-by-state.svg"):
        assert (tmp_path / "a" / "plots" / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["correlate", "nowhere", "--table", "nb-macro"], "nowhere does not exist"),
        (["ablate", "--table", "nb-macros"], "'nb-macros' is no file and no shipped table"),
        (["ablate", "--table", "nb-macro", "--arms", "ful"], "arm 'ful' is unknown; did you mean 'full'"),
        (["ablate", "--table", "nb-macro", "--seeds", "0"], "seeds"),
        (["run", "--table", "nb-macro", "--set", "table.fitness=acc"], "no column 'acc'"),
        (["run", "--table", "nb-macro", "--space", "nb201"], "is of the space nb-macro, and the settings have nb201"),
        (["run", "--set", "audit.table=nowhere.csv"], "'nowhere.csv' is no file and no shipped table"),
        (["run", "--set", "search.stale=true"], "stale needs scheme"),
        (["run", "--set", "supernet.from=nowhere"], "nowhere does not exist"),
    ],
)
def test_a_mistake_about_tables_and_arms_is_one_line(
    tmp_path: Path, here: Callable[..., Answer], arguments: list[str], words: str
) -> None:
    answer = here(*arguments)
    assert answer.returncode == 2
    assert words in answer.stderr and answer.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_table_run_has_no_supernet_to_correlate(here: Callable[..., Answer]) -> None:
    assert here("run", "ga", "--table", "nb-macro", "--set", "search.evaluations=20", "--out", "a").returncode == 0
    answer = here("correlate", "a", "--table", "nb-macro")
    assert answer.returncode == 2 and "a searched a table and has no supernet" in answer.stderr


@pytest.mark.parametrize("name", ["run", "retrain", "ablate"])
def test_the_examples_below_a_page_of_help_are_commands(name: str) -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands[name]
    examples = re.findall(rf"^evonas {name} (.+)$", command.epilog, flags=re.MULTILINE)
    assert len(examples) >= 2
    for example in examples:
        command.make_context(name, shlex.split(example))  # raises where an option is unknown
        for assignment in re.findall(r"--set (\S+)", example):
            build(with_assignments({"table": {"file": "nb-macro"}}, [assignment]))


def test_the_shell_completes_commands_and_options() -> None:
    for words, expected in (("evonas ru", "run"), ("evonas run --data", "--dataset")):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_EVONAS_COMPLETE": "complete_bash"}
        found = subprocess.run(
            [sys.executable, "-m", "evonas"], env={**os.environ, **asked}, capture_output=True, text=True
        )
        assert expected in found.stdout.split(), found.stderr
