"""`evonas ablate`: paired runs on shared supernets, resumed where they stopped, and the table made of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evonas import reports
from evonas.ablate import chosen_arms, run_grid
from evonas.arms import ARMS, SUPERNET_ARMS
from evonas.config import Settings, build, read_yaml, shipped, with_assignments
from evonas.errors import ConfigError, RunError
from evonas.plan import check, complete, unfair
from evonas.progress import Silent

SMALL = (
    "device=cpu", "supernet.epochs=1", "supernet.batch_size=256", "search.population=6", "search.generations=3",
    "audit.genotypes=12", "audit.top=8", "finetune.epochs=0.5", "measure.batch_size=512",
)  # fmt: skip


def shipped_settings(name: str, *assignments: str) -> Settings:
    path = shipped(name)
    assert path is not None
    return check(with_assignments(read_yaml(path), assignments))


def grid(settings: Settings, out: Path, *arms: str, seeds: int = 2, supernets: int = 2) -> list[Path]:
    made = run_grid(settings, out, arms=arms, seeds=seeds, supernets=supernets, jobs=1, reporter=Silent())
    reports.ablation(out, made, reports.truth(settings))
    return [job.out for job in made]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grids") / "small"
    grid(shipped_settings("ablation-digits", *SMALL), out, "uniform", "no-finetune", "equal-passes", "equal-seconds")
    return out


def test_all_arms_of_a_seed_share_one_warmed_up_supernet(small: Path) -> None:
    runs = pd.read_csv(small / "runs.csv")
    assert sorted(runs["arm"].unique()) == ["equal-passes", "equal-seconds", "full", "no-finetune", "uniform"]
    assert (runs["supernet"] == runs["seed"] % 2).all()
    for arm in ("full", "uniform", "no-finetune"):
        for seed in (0, 1):
            result = json.loads((small / "runs" / arm / f"supernet-{seed}-seed-{seed}" / "result.json").read_text())
            assert result["warmed_up"]["from"] == str(small / "supernets" / f"plain-{seed}")
            assert result["seconds"]["warmup"] == 0
            assert result["best"]["test_error"] is None, "nothing is retrained where the truth is known"
    first = runs.set_index(["arm", "seed"])["first_tau"]
    assert first["full"].equals(first["uniform"])
    assert first["full"].equals(first["no-finetune"])


def test_the_longer_warm_ups_are_schedules_of_their_own(small: Path) -> None:
    plain = build(read_yaml(small / "supernets" / "plain-0" / "config.yaml"))
    passes = build(read_yaml(small / "supernets" / "equal-passes-0" / "config.yaml"))
    assert (plain.supernet.epochs, passes.supernet.epochs) == (1, 2), "one pass, and two phases of half a pass"
    seconds = build(read_yaml(small / "supernets" / "equal-seconds-0" / "config.yaml"))
    full = json.loads((small / "runs" / "full" / "supernet-0-seed-0" / "result.json").read_text())
    ratio = full["seconds"]["finetune"] / full["warmed_up"]["seconds"]
    assert seconds.supernet.epochs == round(1 * (1 + ratio))
    run = build(read_yaml(small / "runs" / "equal-passes" / "supernet-0-seed-0" / "config.yaml"))
    assert not run.finetune.enabled


def test_the_table_has_every_metric_by_arm(small: Path) -> None:
    for metric in ("regret", "tau", "tau_top10", "tau_final", "pool_regret"):
        table = pd.read_csv(small / metric / "ablation.csv")
        assert next(iter(table["arm"])) == "full"
        assert len(table) == 5
        for suffix in ("md", "svg", "png"):
            assert (small / metric / f"ablation.{suffix}").is_file()
    runs = pd.read_csv(small / "runs.csv")
    assert (runs["regret"] >= runs["pool_regret"]).all()


def test_a_grid_goes_on_where_it_stopped(small: Path) -> None:
    results = sorted(small.rglob("result.json"))
    before = {path: path.stat().st_mtime_ns for path in results}
    gone = small / "runs" / "uniform" / "supernet-1-seed-1"
    old = json.loads((gone / "result.json").read_text())["best"]
    (gone / "result.json").unlink()
    settings = shipped_settings("ablation-digits", *SMALL)
    grid(settings, small, "uniform", "no-finetune", "equal-passes", "equal-seconds")
    assert json.loads((gone / "result.json").read_text())["best"] == old
    after = {path: path.stat().st_mtime_ns for path in results}
    assert {path for path in results if before[path] != after[path]} == {gone / "result.json"}


def test_a_folder_of_something_else_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="grid of other settings"):
        grid(shipped_settings("ablation-digits", *SMALL, "finetune.lr=0.5"), small)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is no grid"):
        grid(shipped_settings("ablation-digits", *SMALL), tmp_path)


def test_an_unknown_arm_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="arm 'unifrom' is unknown; did you mean 'uniform'"):
        chosen_arms(shipped_settings("ablation-digits"), ["unifrom"])
    with pytest.raises(ConfigError, match="arm 'uniform' is for searches with a supernet; choose one of full"):
        chosen_arms(shipped_settings("table"), ["uniform"])


def test_a_table_needs_no_supernet(tmp_path: Path) -> None:
    runs = grid(shipped_settings("table", "search.evaluations=30"), tmp_path / "a", seeds=7)
    assert len(runs) == 4 * 7
    assert not (tmp_path / "a" / "supernets").exists()
    table = pd.read_csv(tmp_path / "a" / "regret" / "ablation.csv").set_index("arm")
    assert table.loc["random", "mean"] > table.loc["full", "mean"]
    assert table["p"].notna().sum() == 3, "seeds are the unit where there is no supernet"


@pytest.mark.parametrize("name", SUPERNET_ARMS)
def test_every_arm_is_one_decision_and_a_fair_one_unless_its_name_says_so(
    name: str, tmp_path: Path, tiny: Callable[..., Settings]
) -> None:
    from evonas.ablate import changed

    settings = complete(tiny())
    made = changed(settings, ARMS[name].change(settings))
    assert (made == settings) == (name == "full")
    assert bool(unfair(made)) == (name.startswith("stale") or name in ("candidate", "no-remeasure"))
    if not ARMS[name].warms_up:
        from evonas.experiment import start

        result = start(changed(made, {"retrain.enabled": False}), tmp_path / "a", Silent())
        assert result["unfair"] == unfair(made)
