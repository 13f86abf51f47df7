"""The comparison with published methods: its figures are those of peers.csv, and its counts those of its figures."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from run_folders import write_run

from analysis.peers import CATEGORIES, FOLDER, load_peers, load_target
from analysis.runs import read_runs
from analysis.tables import comparison, left_out, lower_errors, summary
from evonas.errors import AnalysisError


@pytest.mark.parametrize(("dataset", "methods"), [("cifar10", 32), ("cifar100", 28)])
def test_each_figure_is_that_of_peers_csv_with_its_source(dataset: str, methods: int) -> None:
    # Read once more without any of our code.
    raw = pd.read_csv(FOLDER / "peers.csv")
    raw = raw[(raw["in_comparison"] == "yes") & (raw["dataset"] == dataset)].set_index("key")
    table = comparison(dataset)
    published = table[table["group"].isin(CATEGORIES)]
    assert len(published) == methods == published["key"].nunique()
    for _, row in published.iterrows():
        truth = raw.loc[row["key"]]
        for column in ("error_pct", "error_std", "params_m", "gpu_days"):
            assert row[column] == truth[column] or (math.isnan(row[column]) and math.isnan(truth[column]))
        for column in ("name", "search_method", "source", "source_url"):
            assert row[column] == truth[column] != ""
        assert row["group"] == truth["category"]
    assert set(published["source_key"]) == set(range(1, published["source_key"].max() + 1))
    assert published.groupby("source_key")["source"].nunique().eq(1).all()


def test_the_target_stands_beside_the_peers_and_not_among_them() -> None:
    table = comparison("cifar100")
    assert table["group"].tolist() == sorted(table["group"], key=[*CATEGORIES, "target"].index)
    (row,) = table[table["group"] == "target"].itertuples()
    assert (row.error_pct, row.gpu_days) == (17.07, 0.92)
    assert not set(load_target()["key"]) & set(load_peers()["key"])


def test_runs_stand_beside_with_their_mean_and_what_they_ran_on(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"run-{seed}", seed=seed, error=2.4 + 0.2 * seed) for seed in range(3)]
    small = write_run(
        tmp_path / "small", dataset="cifar10-small", error=25.0, device="cpu (EPYC)", unfair=["search.stale"]
    )
    groups = read_runs([*paths, small])
    mine = comparison("cifar10", groups)
    mine = mine[mine["group"] == "evonas"].reset_index()
    assert mine["error_pct"].tolist() == pytest.approx([2.6, 25.0])
    assert mine["error_std"][0] == pytest.approx(0.2) and math.isnan(mine["error_std"][1])
    assert mine["seeds"].tolist() == [3, 1]
    assert mine["hardware"].tolist() == ["NVIDIA H100", "cpu (EPYC)"]
    assert mine["params_m"].tolist() == [3.0, 3.0]
    assert mine["reduced"][0] == "" and "15 of 600 retraining epochs" in mine["reduced"][1]
    assert "search.stale" in mine["note"][1]
    assert mine["source"][0] == "run run-0 (seed 0), run-1 (seed 1), run-2 (seed 2)"
    assert not (comparison("cifar100", groups)["group"] == "evonas").any()


def test_what_the_target_beats_is_counted() -> None:
    """The counts by hand: P-DARTS ties 2.50, ENAS ties 0.5 GPU-days; seven hand-crafted ones have no GPU-days."""
    first, second = summary().to_dict("records")
    assert (first["error_beaten"], first["error_equal"], first["error_n"]) == (31, 1, 32)
    assert (first["cost_beaten"], first["cost_equal"], first["cost_n"]) == (20, 1, 25)
    assert first["dominated"] == 21  # all that cost more, and ENAS, which costs the same
    assert first["better_inside"] == ""
    for name in (
        "ProxylessNAS",
        "NSGANetV1-A4",
        "NASNet-A (27.6 M)",
        "NAO",
        "EENas",
        "EEEA-Net-C",
        "EvNAS-A",
        "CDARTS",
    ):
        assert name in first["better_outside"]
    assert len(first["better_outside"].split(", ")) == 9
    assert (second["error_beaten"], second["error_n"], second["cost_n"]) == (23, 28, 21)
    assert len(second["better_inside"].replace("(add, ", "").split(", ")) == 5
    assert "SI-EvoNAS (SI-EvoNet-S, journal version) 15.70 (unverified)" in second["better_outside"]


def test_a_run_is_compared_and_the_days_of_a_reduced_one_are_not(tmp_path: Path) -> None:
    groups = read_runs(
        [
            write_run(tmp_path / "full", error=2.6, days=0.2),
            write_run(tmp_path / "small", "retrain.epochs=6", error=2.6, days=0.2),
            write_run(tmp_path / "unknown", "search.mutation=0.3", error=2.6, days=None),
        ]
    )
    counts = summary(groups)
    counts = counts[counts["group"] == "evonas"].reset_index()
    assert counts["error_beaten"].tolist() == [30] * 3  # all but P-DARTS and PC-DARTS
    assert counts["cost_n"].tolist() == [25, 0, 0]
    assert counts["cost_beaten"].tolist() == [24, 0, 0]  # PC-DARTS took 0.1
    assert counts["dominated"].tolist() == [23, 0, 0]  # P-DARTS has a lower error


def test_lower_errors_are_lower(tmp_path: Path) -> None:
    groups = read_runs([write_run(tmp_path / "a", error=3.0)])
    lower = lower_errors(groups)
    for than, limit in (("evonas ga (a)", 3.0), ("One-shot NAS with supernet fine-tuning", 2.5)):
        found = lower[(lower["than"] == than) & (lower["dataset"] == "cifar10")]
        known = load_peers()
        assert len(found) == ((known["dataset"] == "cifar10") & (known["error_pct"] < limit)).sum()
        assert found["error_pct"].is_monotonic_increasing


def test_runs_that_cannot_be_compared_are_named_in_a_line_each(tmp_path: Path) -> None:
    killed = write_run(tmp_path / "killed")
    (killed / "result.json").unlink()
    paths = [
        killed,
        write_run(tmp_path / "digits", dataset="digits"),
        write_run(tmp_path / "table", "table.file=x.csv"),
        write_run(tmp_path / "untrained", "retrain.enabled=false", error=None),
    ]
    groups = read_runs(paths)
    assert left_out(groups) == [
        f"{killed}: unfinished: result.json is not there",
        "evonas ga (digits): ran on digits; published results are on CIFAR-10, CIFAR-100",
        "evonas ga (table): searched the table x.csv, and trained no network",
        "evonas ga (untrained): has no test error: its network was not retrained, or result.json is damaged",
    ]
    pd.testing.assert_frame_equal(comparison("cifar10", groups), comparison("cifar10"))


def test_rows_of_the_user_are_in_the_set_if_they_say_so() -> None:
    peers = load_peers()
    more = peers.iloc[[0]].assign(key="mine", origin="mine.csv")
    table = comparison("cifar10", peers=pd.concat([peers, more], ignore_index=True))
    assert table[table["key"] == "mine"]["origin"].tolist() == ["mine.csv"]
    assert table["group"].isin(CATEGORIES).sum() == 33


def test_a_data_set_without_published_results_is_refused() -> None:
    with pytest.raises(AnalysisError, match="no published results on 'cifar'; did you mean 'cifar10'"):
        comparison("cifar")
