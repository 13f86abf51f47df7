import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.ablation import compare, units
from analysis.ablation_report import markdown, write_ablation
from analysis.paired import holm, mean_interval, rank_biserial, signed_rank_p
from evonas.errors import AnalysisError

fewer = settings(max_examples=30)  # tables and exact tests take milliseconds an example
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)
differences = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=25).map(np.array)


def grid(values: dict[str, list[float]], supernets: int = 0) -> pd.DataFrame:
    """One row an arm and run; with supernets, runs go round them."""
    rows = []
    for arm, metrics in values.items():
        for run, value in enumerate(metrics):
            place = {"supernet": run % supernets, "seed": run // supernets} if supernets else {"seed": run}
            rows.append({"arm": arm, **place, "regret": value})
    return pd.DataFrame(rows)


def row(table: pd.DataFrame, arm: str) -> dict[str, float]:
    return table.set_index("arm").loc[arm].to_dict()


# -- paired statistics ------------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(probabilities)
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p: list[float]) -> None:
    corrected = holm(p)
    assert all(raw <= value <= 1 for raw, value in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)
    assert min(corrected) == pytest.approx(min(1.0, min(p) * len(p)))


@given(probabilities, st.randoms())
def test_holm_does_not_depend_on_the_order_of_the_tests(p: list[float], random: object) -> None:
    order = list(range(len(p)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert holm([p[i] for i in order]) == [holm(p)[i] for i in order]


def test_rank_biserial_by_hand() -> None:
    assert rank_biserial(np.array([1.0, 2.0, -3.0, 4.0, 0.0])) == pytest.approx((1 + 2 + 4 - 3) / 10)
    assert rank_biserial(np.array([2.0, -2.0])) == 0.0
    assert rank_biserial(np.zeros(4)) == 0.0


@given(differences)
def test_the_effect_lies_within_one_and_flips_with_the_arms(values: np.ndarray) -> None:
    assert -1 <= rank_biserial(values) <= 1
    assert rank_biserial(-values) == -rank_biserial(values)
    if (values > 0).all():
        assert rank_biserial(values) == 1.0


@fewer
@given(differences)
def test_the_signed_rank_p_is_two_sided_and_within_its_bounds(values: np.ndarray) -> None:
    p = signed_rank_p(values)
    assert (p is None) == (len(values) < 6)
    if p is not None:
        assert 0 < p <= 1
        assert signed_rank_p(-values) == pytest.approx(p)


def test_the_signed_rank_p_of_all_positive_differences_is_exact() -> None:
    assert signed_rank_p(np.arange(1.0, 7.0)) == pytest.approx(2 / 2**6)
    assert signed_rank_p(np.zeros(6)) == 1.0
    assert signed_rank_p(np.arange(1.0, 6.0)) is None


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    assert mean_interval(np.array([1.0, 3.0])) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-3)
    assert all(map(math.isnan, mean_interval(np.ones(1))))


# -- arms against a reference -----------------------------------------------------------------------------------------


def test_arms_are_compared_pair_by_pair() -> None:
    values = {"A1": [1.5, 2.5, 3.0, 4.5, 5.5, 7.0], "full": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    table = compare(grid(values), "regret", "full")
    assert table["arm"].tolist() == ["full", "A1"]
    found = row(table, "A1")
    assert (found["runs"], found["unit"], found["units"]) == (6, "seed", 6)
    assert (found["median"], found["mean"]) == (3.75, 4.0)
    assert (found["median_difference"], found["mean_difference"]) == (0.5, 0.5)
    d = np.array([0.5, 0.5, 0.0, 0.5, 0.5, 1.0])
    assert found["p"] == pytest.approx(stats.wilcoxon(d).pvalue)
    assert found["p_holm"] == found["p"]
    assert found["effect"] == -1.0  # more regret on every pair that differs
    low, high = stats.t.interval(0.95, 5, loc=0.5, scale=stats.sem(d))
    assert (found["mean_difference_low"], found["mean_difference_high"]) == pytest.approx((low, high))
    assert math.isnan(row(table, "full")["p"])


def test_holm_is_over_the_arms() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=20)
    table = compare(
        grid(
            {
                "full": list(base),
                **{arm: list(base + shift + rng.normal(size=20)) for arm, shift in (("a", 1), ("b", 0))},
            }
        ),
        "regret",
        "full",
    )
    tested = table.iloc[1:]
    assert tested["p_holm"].tolist() == holm(tested["p"].tolist())


def test_equal_arms_have_a_p_of_one_and_no_effect() -> None:
    noise = [0.1 * i for i in range(7)]
    again = [(0.7 + value) - 0.7 for value in noise]  # equal but for float noise
    found = row(compare(grid({"full": noise, "A1": again}), "regret", "full"), "A1")
    assert (found["p"], found["effect"], found["mean_difference"]) == (1.0, 0.0, 0.0)


pairs = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=9)


@fewer
@given(pairs, st.booleans())
def test_swapping_the_arms_flips_every_sign(values: list[tuple[int, int]], higher_is_better: bool) -> None:
    a, b = ([float(pair[i]) for pair in values] for i in (0, 1))
    there = row(compare(grid({"a": a, "b": b}), "regret", "a", higher_is_better=higher_is_better), "b")
    back = row(compare(grid({"a": a, "b": b}), "regret", "b", higher_is_better=higher_is_better), "a")
    for name in ("median_difference", "mean_difference", "effect"):
        assert there[name] == pytest.approx(-back[name])
    assert there["mean_difference_low"] == pytest.approx(-back["mean_difference_high"])
    assert there["p"] == pytest.approx(back["p"], nan_ok=True)


@fewer
@given(pairs, st.lists(st.integers(-50, 50), min_size=9, max_size=9))
def test_a_shift_of_both_runs_of_a_pair_changes_no_difference(values: list[tuple[int, int]], shifts: list[int]) -> None:
    arms = {name: [float(pair[i]) for pair in values] for i, name in enumerate(("full", "A1"))}
    moved = {name: [v + s for v, s in zip(column, shifts, strict=False)] for name, column in arms.items()}
    before, after = (row(compare(grid(each), "regret", "full"), "A1") for each in (arms, moved))
    for name in ("median_difference", "mean_difference", "mean_difference_low", "p", "p_holm", "effect"):
        assert before[name] == pytest.approx(after[name], nan_ok=True)


@fewer
@given(pairs)
def test_the_direction_flips_the_effect_alone(values: list[tuple[int, int]]) -> None:
    arms = grid({name: [float(pair[i]) for pair in values] for i, name in enumerate(("full", "A1"))})
    lower, higher = (row(compare(arms, "regret", "full", higher_is_better=flag), "A1") for flag in (False, True))
    assert lower.pop("effect") == -higher.pop("effect")
    assert lower == pytest.approx(higher, nan_ok=True)


# -- supernets --------------------------------------------------------------------------------------------------------


def test_the_supernet_is_the_unit_where_there_are_several() -> None:
    # Seeds of supernet 0: differences 1 and 3; of 1: 0 and 2; of 2: -1 and 1.
    values = {"full": [10.0, 20.0, 30.0, 10.0, 20.0, 30.0], "A1": [11.0, 20.0, 29.0, 13.0, 22.0, 31.0]}
    found = row(compare(grid(values, supernets=3), "regret", "full"), "A1")
    assert (found["runs"], found["unit"], found["units"]) == (6, "supernet", 3)
    assert [found[f"difference_supernet_{i}"] for i in range(3)] == [2.0, 1.0, 0.0]
    assert (found["mean"], found["median"]) == (21.0, 21.0)
    assert (found["mean_difference"], found["median_difference"]) == (1.0, 1.0)
    assert (found["mean_difference_low"], found["mean_difference_high"]) == pytest.approx(
        mean_interval(np.array([2.0, 1.0, 0.0]))
    )
    assert found["effect"] == -1.0
    assert math.isnan(found["p"])  # three supernets allow none


def test_p_values_are_taken_over_six_supernets_whatever_their_seeds() -> None:
    base = np.zeros(24)
    arm = np.array([i % 6 + 1 for i in range(24)], float)
    found = row(compare(grid({"full": list(base), "A1": list(arm)}, supernets=6), "regret", "full"), "A1")
    assert (found["units"], found["p"]) == (6, pytest.approx(2 / 2**6))


def test_seeds_of_one_supernet_give_no_p_value() -> None:
    values = {"full": [0.0] * 30, "A1": [float(i) for i in range(1, 31)]}
    table = compare(grid(values, supernets=1), "regret", "full")
    found = row(table, "A1")
    assert (found["unit"], found["units"]) == ("seed of one supernet", 30)
    assert math.isnan(found["p"]) and math.isnan(found["p_holm"])
    assert "No p values: all seeds share one supernet" in markdown(table, "regret")


# -- grids that are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.drop(columns="regret"), "no column 'regret'"),
        (lambda g: g[g["arm"] != "full"], "reference arm 'full' has no runs; choose one of A1"),
        (lambda g: g[g["arm"] == "full"], "the grid holds the reference arm 'full' alone"),
        (lambda g: g.iloc[:-1], "arm 'A1' has no run for supernet 1, seed 1, and arm 'full' has"),
        (lambda g: g.iloc[1:], "arm 'full' has no run for supernet 0, seed 0, and arm 'A1' has"),
        (lambda g: pd.concat([g, g.iloc[:1]]), "arm 'full', supernet 0, seed 0 stands in the grid twice"),
        (lambda g: g.assign(regret=[1.0, math.nan, *[1.0] * 6]), "arm 'full', supernet 1, seed 0 has regret nan"),
        (lambda g: g.assign(regret=["1", "2", "x", *["1"] * 5]), "has regret x; expected a finite number"),
        (lambda g: g.assign(seed=[None, *[1] * 7]), "row 1 of the grid, of arm 'full', names no seed"),
    ],
)
def test_what_does_not_pair_is_refused(change: object, message: str) -> None:
    whole = grid({"full": [1.0] * 4, "A1": [2.0] * 4}, supernets=2)
    with pytest.raises(AnalysisError, match=message):
        units(change(whole), "regret", "full")  # type: ignore[operator]


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_show_every_arm_and_every_supernet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = {arm: list(rng.normal(shift, 0.3, size=12)) for arm, shift in (("full", 1), ("A1", 1.5), ("A|2", 1))}
    table = write_ablation(tmp_path / "out", grid(values, supernets=3), "regret", "full", label="regret (points)")
    read = pd.read_csv(tmp_path / "out" / "ablation.csv")
    assert read["arm"].tolist() == table["arm"].tolist() == ["full", "A1", "A|2"]
    np.testing.assert_allclose(read["mean_difference"], table["mean_difference"])
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert text.startswith("# regret (points): arms against full\n")
    assert "over 3 supernets, each the mean of its seeds (12 runs an arm)" in text
    assert "| arm | supernet 0 | supernet 1 | supernet 2 |" in text
    assert "A\\|2" in text
    assert "nan" not in text
    for suffix in ("svg", "png"):
        assert (tmp_path / "out" / f"ablation.{suffix}").stat().st_size > 3000
