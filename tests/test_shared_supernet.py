"""A warmed-up supernet that several runs share, and audits of every supernet state."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests_support import compared, rows

from evonas.cli import main
from evonas.config import AuditSettings, Settings
from evonas.errors import RunError, TableError
from evonas.experiment import resume, score_states, start
from evonas.progress import Silent
from evonas.run import RunFolder
from evonas.warmed import recipe

Make = Callable[..., Settings]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests_support import tiny_settings

    path = tmp_path_factory.mktemp("runs") / "warmed"
    start(tiny_settings(), path, Silent())
    return path


def test_a_search_from_a_warmed_up_supernet_equals_one_that_warmed_it_up(
    warmed: Path, tiny: Make, tmp_path: Path
) -> None:
    result = start(tiny(f"supernet.from={warmed}"), tmp_path / "a", Silent())
    assert compared(tmp_path / "a") == compared(warmed)
    assert result["seconds"]["warmup"] == 0
    own = json.loads((warmed / "result.json").read_text())
    assert result["warmed_up"] == {
        "from": str(warmed),
        "seed": 0,
        "seconds": pytest.approx(own["seconds"]["warmup"], abs=0.001),
        "device": own["device"],
    }
    searched = sum(result["seconds"][phase] for phase in ("finetune", "measure", "algorithm"))
    assert result["search_gpu_days"] == pytest.approx((searched + own["seconds"]["warmup"]) / 86400, rel=0.01)


def test_a_supernet_of_before_there_were_crops_of_its_own_is_known(tiny: Make) -> None:
    assert recipe(tiny(), "split") == "5966c09280f65b44"
    assert recipe(tiny("supernet.crop=0"), "split") != recipe(tiny(), "split")


def test_another_seed_searches_otherwise_from_the_same_state(warmed: Path, tiny: Make, tmp_path: Path) -> None:
    start(tiny(f"supernet.from={warmed}", "seed=5"), tmp_path / "a", Silent())
    assert compared(tmp_path / "a")[0] != compared(warmed)[0]
    assert (tmp_path / "a" / "supernet" / "state-0.safetensors").is_file()


def test_a_run_goes_on_when_the_one_it_started_from_is_gone(
    warmed: Path, tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(warmed, copy)
    settings = tiny(f"supernet.from={copy}")
    start(settings, tmp_path / "whole", Silent())

    class Killed(BaseException):
        pass

    def dying(self: RunFolder, *arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "append", dying)
        with pytest.raises(Killed):
            start(settings, tmp_path / "broken", Silent())
    shutil.rmtree(copy)
    resume(tmp_path / "broken", Silent())
    assert compared(tmp_path / "broken") == compared(tmp_path / "whole")


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("supernet.epochs=3", "supernet.epochs 2, here 3"),
        ("space.width=8", "space.width 4, here 8"),
        ("dataset.split_seed=1", "dataset.split_seed 0, here 1"),
        ("dataset.train_images=900", "dataset.train_images None, here 900"),
    ],
)
def test_a_supernet_of_another_recipe_is_refused(
    warmed: Path, tiny: Make, tmp_path: Path, assignment: str, words: str
) -> None:
    with pytest.raises(RunError, match=words):
        start(tiny(f"supernet.from={warmed}", assignment), tmp_path / "a", Silent())
    assert not (tmp_path / "a").exists()


def test_what_is_no_run_or_not_warmed_up_is_refused(warmed: Path, tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        start(tiny("supernet.from=nowhere"), tmp_path / "a", Silent())
    copy = tmp_path / "copy"
    shutil.copytree(warmed, copy)
    (copy / "supernet" / "state-0.safetensors").unlink()
    with pytest.raises(RunError, match="let its warm-up end first"):
        start(tiny(f"supernet.from={copy}"), tmp_path / "a", Silent())
    (copy / "supernet" / "state-0.safetensors").write_bytes(b"no tensors")
    with pytest.raises(RunError, match="cannot be read"):
        start(tiny(f"supernet.from={copy}"), tmp_path / "a", Silent())


def test_an_audit_changes_nothing_of_the_run(warmed: Path, tiny: Make, tmp_path: Path) -> None:
    # No table of this space is needed to score networks; the truth comes in when the scores are correlated.
    start(tiny("audit.table=nb-macro", "audit.genotypes=10", "audit.probe=4"), tmp_path / "a", Silent())
    assert compared(tmp_path / "a") == compared(warmed)
    audit = rows(tmp_path / "a" / "audit.csv")
    assert [row["state"] for row in audit if row["probe"] == "uniform"] == ["0"] * 10 + ["1"] * 10 + ["2"] * 10
    by_state = [
        {row["genotype"] for row in audit if row["state"] == state and row["probe"] == "uniform"} for state in "012"
    ]
    assert by_state[0] == by_state[1] == by_state[2]
    history = rows(tmp_path / "a" / "history.csv")
    scores = {(row["state"], row["genotype"]): row["loss"] for row in history}
    for row in audit:
        key = row["state"], row["genotype"]
        if key in scores:
            assert row["loss"] == scores[key], "an audit measures by the protocol of the search"
    for state in "12":
        members = {row["genotype"] for row in audit if row["state"] == state and row["probe"] == "population"}
        before = {r["genotype"] for r in history if r["state"] == str(int(state) - 1) and r["origin"] != "final"}
        assert members & before, "members of the last population are scored on the next state too"


def test_the_states_of_a_finished_run_can_be_scored_afterwards(warmed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(warmed, copy)
    score_states(copy, AuditSettings(table="nb-macro", genotypes=5), Silent())  # type: ignore[call-arg]
    audit = rows(copy / "audit.csv")
    assert [row["state"] for row in audit] == ["0"] * 5 + ["2"] * 5
    losses = {state: [row["loss"] for row in audit if row["state"] == state] for state in "02"}
    assert losses["0"] != losses["2"]


def test_a_truth_that_lacks_a_network_is_told_before_anything_is_scored_or_written(
    warmed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(warmed, copy)
    (tmp_path / "t.csv").write_text("arch,acc\n000,50.0\n")
    columns = ["--set", "table.genotype=arch", "--set", "table.fitness=acc"]
    of_another = ["--table", "nb-macro"], "is of the space nb-macro"
    for arguments, words in (of_another, (["--table", str(tmp_path / "t.csv"), *columns], "has no row for")):
        with pytest.raises(SystemExit) as caught:
            main(["correlate", str(copy), *arguments])
        assert caught.value.code == 2 and words in capsys.readouterr().err

    def unknown(genotypes: Sequence[tuple[int, ...]]) -> None:
        assert len(genotypes) == 5
        raise TableError("no row")

    with pytest.raises(TableError, match="no row"):
        score_states(copy, AuditSettings(table="t.csv", genotypes=5), Silent(), unknown)  # type: ignore[call-arg]
    assert not (copy / "audit.csv").exists()
