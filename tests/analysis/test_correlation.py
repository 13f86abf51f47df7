import csv
import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.audit import read_audit
from analysis.correlation import Row, between_states, population_rows, rows, whole_rows, write_correlation
from analysis.correlation_plots import drift_figure, scatter_figure, states_figure
from analysis.figures import save
from analysis.ranking import ranking
from evonas.errors import AnalysisError

GENOTYPES = list(itertools.product(range(4), repeat=3))


def canonical(genotype: tuple[int, ...]) -> tuple[int, ...]:
    """Here, the order of the genes makes no other network."""
    return tuple(sorted(genotype))


def audit(states: int = 2, **columns: Any) -> pd.DataFrame:
    """Every genotype on each state: loss falls with the sum of the genes, and by 0.5 a state, with noise."""
    rng = np.random.default_rng(0)
    size = np.array([sum(genotype) for genotype in GENOTYPES], float)
    frames = [
        pd.DataFrame(
            {
                "state": state,
                "genotype": GENOTYPES,
                "canonical": [canonical(genotype) for genotype in GENOTYPES],
                "error": np.round(50 - 3 * size + rng.normal(size=64) - state, 1),
                "loss": 3 - 0.2 * size + 0.05 * rng.normal(size=64) - 0.5 * state,
                "params": 1000 + size,
                "flops": 10.0 * size**2,
            }
        )
        for state in range(states)
    ]
    return pd.concat(frames, ignore_index=True).assign(**columns)


def truth(frame: pd.DataFrame) -> np.ndarray:
    """Percent, by genotype."""
    return np.array([80 + sum(genotype) + 0.1 * genotype[0] for genotype in frame["genotype"]])


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def pick(found: list[Row], **wanted: object) -> list[Row]:
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def test_there_is_one_row_a_state_scorer_and_region_and_the_rest_stands_once() -> None:
    frame = audit()
    seeds = truth(frame)[:, None] + np.random.default_rng(1).normal(size=(64, 3))[frame.index % 64]
    found = rows(frame, truth(frame), generator(), seeds=seeds, resamples=5)
    by_state = [(row["state"], row["scorer"]) for row in pick(found, region="global")]
    assert by_state == [
        *((state, scorer) for state in (0, 1) for scorer in ("supernet loss", "supernet error")),
        *((None, scorer) for scorer in ("flops", "params", "ceiling")),
    ]
    assert [row["region"] for row in found[:3]] == ["global", "top10", "top5"]
    assert len(found) == 3 * len(by_state)


def test_networks_count_once_with_the_means_of_their_genotypes() -> None:
    frame = audit(1)
    found = pick(rows(frame, truth(frame), generator(), resamples=2), scorer="supernet loss", region="global")[0]
    networks = frame.assign(truth=truth(frame)).groupby("canonical")[["loss", "truth"]].mean().round(10)
    expected = ranking(-networks["loss"].to_numpy(), networks["truth"].to_numpy())
    assert found["n"] == len(networks) == 20
    assert found["kendall"] == expected.kendall
    assert found["regret"] == expected.regret


def test_the_mean_of_equal_truths_ties_with_them() -> None:
    frame = audit(1)
    found = rows(frame, np.full(64, 92.1) + (frame["params"] > 1004), generator(), resamples=2)
    merged = frame.assign(truth=frame["params"] > 1004).groupby("canonical")[["flops", "truth"]].mean()
    expected = ranking(merged["flops"].to_numpy(), merged["truth"].to_numpy(float))
    assert pick(found, scorer="flops", region="global")[0]["kendall"] == expected.kendall


def test_each_genotype_counts_where_that_is_asked_for() -> None:
    frame = audit(1)
    found = rows(frame, truth(frame), generator(), distinct=False, resamples=2)
    expected = ranking(-frame["error"].to_numpy(), truth(frame))
    row = pick(found, scorer="supernet error", region="global")[0]
    assert (row["n"], row["kendall"], row["precision_10"]) == (64, expected.kendall, expected.precision_10)


def test_a_diverged_score_is_dropped_from_its_scorer_alone() -> None:
    frame = audit(1)
    frame.loc[5, "loss"] = math.inf
    found = pick(rows(frame, truth(frame), generator(), distinct=False, resamples=2), region="global")
    assert [(row["scorer"], row["n"], row["dropped"]) for row in found[:2]] == [
        ("supernet loss", 63, 1),
        ("supernet error", 64, 0),
    ]


def test_drift_is_the_median_change_on_the_same_genotypes_by_probe_group() -> None:
    frame = audit(3, probe="")
    frame["error"] = [40.0 + i % 64 for i in frame.index]
    frame.loc[frame.index % 64 < 10, "probe"] = "uniform"
    frame.loc[frame.index % 64 >= 60, "probe"] = "population"
    later = frame["state"] >= 1
    frame.loc[later & (frame["probe"] == "uniform"), "error"] += 2.0
    frame.loc[later & (frame["probe"] == "population"), "error"] -= 3.0
    frame = frame.drop(index=64)  # the first genotype on state 1
    found = pick(between_states(frame), scorer="supernet error")
    assert [(row["previous"], row["state"], row["probe"], row["n"], row["drift"]) for row in found] == [
        (0, 1, "all", 63, 0.0),
        (0, 1, "uniform", 9, 2.0),
        (0, 1, "population", 4, -3.0),
        (1, 2, "all", 63, 0.0),
        (1, 2, "uniform", 9, 0.0),
        (1, 2, "population", 4, 0.0),
    ]
    assert found[3]["self_consistency"] == pytest.approx(1.0)


def test_without_probes_or_a_second_state_there_is_less_to_say() -> None:
    assert between_states(audit(1)) == []
    assert {row["probe"] for row in between_states(audit(2))} == {"all"}


def test_written_rows_read_back_with_the_same_bits(tmp_path: Path) -> None:
    frame = audit()
    found = rows(frame, truth(frame), generator(), resamples=5)
    write_correlation(tmp_path / "correlation.csv", found)
    text = (tmp_path / "correlation.csv").read_text()
    assert text.splitlines()[0] == (
        "state,scorer,region,n,dropped,kendall,kendall_low,kendall_high,sparse_kendall,spearman,spearman_low,spearman_high,"
        "precision_5,precision_10,best_rank_5,best_rank_10,regret,regret_top5"
    )
    assert text.splitlines()[1].startswith("0,supernet loss,global,20,0,")
    assert "\n,flops,global,20,0," in text
    read = list(csv.DictReader(text.splitlines()))
    for name in ("kendall", "kendall_low", "regret_top5"):
        assert [row[name] for row in read] == ["" if math.isnan(row[name]) else repr(row[name]) for row in found]


def test_an_audit_file_goes_all_the_way_to_rows(tmp_path: Path) -> None:
    frame = audit()
    for name in ("genotype", "canonical"):
        frame[name] = [str(list(value)) for value in frame[name]]
    frame.to_csv(tmp_path / "audit.csv", index=False)
    read = read_audit(tmp_path / "audit.csv")
    found, expected = (rows(each, truth(each), generator(), resamples=3) for each in (read, audit()))
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(expected))


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plots_are_written_by_suffix(tmp_path: Path, suffix: str) -> None:
    frame = audit()
    found = rows(frame, truth(frame), generator(), resamples=5)
    save(states_figure(found), tmp_path / f"states.{suffix}")
    made = scatter_figure(-frame["loss"].to_numpy(), truth(frame), score_label="-loss (nats)")
    save(made, tmp_path / f"scatter.{suffix}")
    start = {"svg": b"<?xml", "png": b"\x89PNG"}[suffix]
    for kind in ("states", "scatter"):
        written = (tmp_path / f"{kind}.{suffix}").read_bytes()
        assert written.startswith(start) and len(written) > 5000


def test_analysis_imports_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, analysis.correlation_plots, analysis.ablation_report; "
        "print([name for name in ('torch', 'pymoo', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"ends in '\.jpg'; expected one of \.svg, \.png"):
        save(scatter_figure(np.arange(3.0), np.arange(3.0), score_label="score"), tmp_path / "a.jpg")
    with pytest.raises(AnalysisError, match="no network has a finite score"):
        scatter_figure(np.full(3, np.nan), np.arange(3.0), score_label="score")
    with pytest.raises(AnalysisError, match="no row is of the region global"):
        states_figure([{"scorer": "flops", "region": "table"}])
    with pytest.raises(AnalysisError, match="no pair of states"):
        drift_figure([])


def searched() -> pd.DataFrame:
    """Two generations of six on states 0 and 1, one network twice on state 1, and three final candidates."""
    rng = np.random.default_rng(2)
    origins = ["initial"] * 6 + ["elite"] + ["child"] * 5 + ["final"] * 3
    return pd.DataFrame(
        {
            "state": [0] * 6 + [1] * 9,
            "canonical": [str(i) for i in [*range(6), 5, 6, 7, 8, 9, 6, 5, 7, 9]],
            "origin": origins,
            "error": rng.integers(10, 40, 15).astype(float),
            "loss": rng.random(15),
            "params": rng.integers(100, 900, 15).astype(float),
            "flops": rng.integers(100, 900, 15).astype(float),
        }
    )


def test_populations_are_ranked_on_their_own_state_and_the_candidates_by_themselves() -> None:
    history = searched()
    true = np.random.default_rng(3).random(15) * 10
    found = population_rows(history, true, generator(), resamples=2)
    assert [(row["region"], row["state"], row["n"]) for row in pick(found, scorer="supernet loss")] == [
        ("population", 0, 6),
        ("population", 1, 5),  # the sixth was measured twice
        ("final", 1, 3),
    ]
    expected = ranking(-history["loss"].to_numpy()[12:], true[12:])
    assert pick(found, scorer="supernet loss", region="final")[0]["kendall"] == expected.kendall
    sizes = ranking(history["flops"].to_numpy()[:6], true[:6])
    assert pick(found, scorer="flops", region="population", state=0)[0]["kendall"] == sizes.kendall


def test_a_whole_table_is_no_sample_and_has_no_interval() -> None:
    true = np.arange(20.0)
    row = whole_rows({"flops": true**2}, true)[0]
    assert (row["region"], row["state"], row["n"], row["kendall"]) == ("table", None, 20, 1.0)
    assert math.isnan(float(str(row["kendall_low"])))
