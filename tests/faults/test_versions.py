"""Run folders of other times: those of earlier formats are read, those of later ones refused.

The fixtures were written by the version of their day and are never written again; a new format adds its own.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from faulty_runs import contents, smallest_settings
from rich.console import Console
from tests_support import compared, rows

from analysis.plots import plots
from analysis.runs import read_runs
from analysis.tables import summary
from evonas.chosen import found_by
from evonas.errors import RunError
from evonas.experiment import resume, start
from evonas.progress import Silent
from evonas.run import FORMAT, RunFolder, read_result, require_run
from evonas.show import show

FIXTURES = Path(__file__).parent / "fixtures"


def test_there_is_a_fixture_of_every_format_and_they_are_small() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == {
        "format-1-unfinished",
        *(f"format-{n}" for n in range(2, FORMAT + 1)),
    }
    assert sum(len(data) for data in contents(FIXTURES).values()) < 300_000


def test_a_finished_run_of_today_stays_readable(tmp_path: Path) -> None:
    run = Path(shutil.copytree(FIXTURES / "format-2", tmp_path / "run"))
    shown = io.StringIO()
    show(run, Console(file=shown, width=120))
    assert "ga on digits, seed 0" in shown.getvalue() and "random, mean" in shown.getvalue()
    result = read_result(run)
    assert result is not None and result["complete"]
    assert found_by(run, 2)[0] == tuple(result["best"]["genotype"])
    groups = read_runs([run])
    assert groups[0].runs[0].problems == ()
    summary(groups)
    figures, _ = plots(groups)
    assert figures
    with RunFolder.open(run) as folder:
        state = folder.latest()
        assert state is not None and state["phase"] == "retrain"


@pytest.mark.parametrize("kept", [1, 2])
def test_an_unfinished_run_of_format_1_is_gone_on_with(tmp_path: Path, kept: int) -> None:
    """kept: its checkpoints; they have no checksum. The end is that of the run of today, which searched the same."""
    run = Path(shutil.copytree(FIXTURES / "format-1-unfinished", tmp_path / "run"))
    if kept == 1:
        (run / "checkpoints" / "000002.pt").unlink()
    history = (run / "history.csv").read_bytes()
    assert resume(run, Silent())["complete"]
    assert len(rows(run / "history.csv")) > 12
    assert kept == 1 or (run / "history.csv").read_bytes().startswith(history)


def test_what_is_written_today_is_of_todays_format_in_every_place(unbroken: Path) -> None:
    assert json.loads((unbroken / "format.json").read_text())["format"] == FORMAT
    assert json.loads((unbroken / "result.json").read_text())["format"] == FORMAT
    for path in (unbroken / "checkpoints").glob("*.pt"):
        assert torch.load(path, weights_only=True)["format"] == FORMAT


def test_a_newer_run_folder_is_refused_by_all_that_reads_one_and_nothing_is_touched(run: Path) -> None:
    (run / "format.json").write_text(json.dumps({"format": FORMAT + 1}))
    before = contents(run)
    for attempt in (
        lambda: require_run(run),
        lambda: RunFolder.open(run),
        lambda: resume(run, Silent()),
        lambda: show(run, Console(file=io.StringIO())),
        lambda: found_by(run, 1),
        lambda: read_runs([run]),
        lambda: start(smallest_settings(f"supernet.from={run}"), run.parent / "new", Silent()),
    ):
        with pytest.raises(RunError, match=rf"has format {FORMAT + 1}, and evonas .* reads up to {FORMAT}; use the"):
            attempt()
    assert contents(run) == before and not (run.parent / "new").exists()


def test_checkpoints_of_today_load_as_plain_data(run: Path, unbroken: Path) -> None:
    """What others may rely on: `torch.load` reads them without running anything."""
    for path in (run / "checkpoints").glob("*.pt"):
        assert set(torch.load(path, weights_only=True)) == {"format", "about", "state"}
    resume(run, Silent())
    assert compared(run) == compared(unbroken)
