"""Rank correlation against brute force, and against published tables where they lie beside the checkout."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.ranking import (
    FEW,
    LARGE,
    SMALLEST,
    by_region,
    ceiling_pairs,
    count,
    expected_best,
    kendall,
    precision,
    ranking,
    top,
)

TABLES = Path(__file__).parents[3] / "shared" / "benchmarks"  # beside a checkout of ours, and nowhere else


def table(name: str, **options: Any) -> pd.DataFrame:
    path = TABLES / name
    if not path.is_file():
        pytest.skip(f"the ground-truth table {name} is not beside this checkout")
    return pd.read_csv(path, **options)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_choices(scores: np.ndarray, k: int) -> list[tuple[int, ...]]:
    """The top k by score under every order of the tied."""
    orders = itertools.permutations(range(len(scores)))
    return [order[:k] for order in orders if all(np.diff(scores[list(order)]) <= 0)]


few_values = st.lists(st.integers(0, 3).map(float), min_size=2, max_size=6)
paired_values = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 9).map(float), min_size=n, max_size=n)] * 2)
)


@given(few_values, st.integers(1, 6), st.randoms())
def test_expected_best_is_the_mean_over_all_orders_of_the_tied(scores: list[float], k: int, random: Any) -> None:
    values = np.array([random.randint(0, 5) for _ in scores], float)
    choices = random_choices(np.array(scores), k)
    expected = np.mean([values[list(choice)].max() for choice in choices])
    assert expected_best(np.array(scores), values, k) == pytest.approx(expected)


@given(few_values, st.randoms())
def test_precision_is_the_mean_over_all_orders_of_the_tied(scores: list[float], random: Any) -> None:
    truth = np.array([random.randint(0, 5) for _ in scores], float)
    for k in range(1, len(scores) + 1):
        good = truth >= np.sort(truth)[-k]
        expected = np.mean([good[list(choice)].mean() for choice in random_choices(np.array(scores), k)])
        assert precision(np.array(scores), truth, k) == pytest.approx(expected)


@given(paired_values, st.randoms())
def test_no_figure_depends_on_the_order_of_the_networks(values: tuple[list[float], list[float]], random: Any) -> None:
    scores, truth = map(np.array, values)
    order = list(range(len(scores)))
    random.shuffle(order)
    assert ranking(scores[order], truth[order]) == pytest.approx(ranking(scores, truth), nan_ok=True)


@given(paired_values)
def test_only_the_order_of_the_scores_counts(values: tuple[list[float], list[float]]) -> None:
    scores, truth = map(np.array, values)
    assert ranking(np.exp(scores), truth) == pytest.approx(ranking(scores, truth), nan_ok=True)


@given(paired_values)
def test_figures_stay_in_their_ranges(values: tuple[list[float], list[float]]) -> None:
    scores, truth = map(np.array, values)
    found = ranking(scores, truth)
    for share in (found.precision_5, found.precision_10):
        assert -1e-12 <= share <= 1 + 1e-12
    for rank in (found.best_rank_5, found.best_rank_10):
        assert 1 / found.n - 1e-12 <= rank <= 1 + 1e-12
    assert -1e-12 <= found.regret_top5 <= found.regret + 1e-12 <= np.ptp(truth) + 2e-12


@given(st.lists(st.integers(0, 9).map(float), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1))
def test_the_truth_as_scores_is_perfect(values: list[float]) -> None:
    truth = np.array(values)
    found = ranking(truth, truth)
    assert (found.kendall, found.spearman) == pytest.approx((1.0, 1.0))
    assert (found.precision_5, found.precision_10) == pytest.approx((1.0, 1.0))
    assert (found.best_rank_5, found.best_rank_10) == pytest.approx((1 / found.n, 1 / found.n))
    assert (found.regret, found.regret_top5) == (0.0, 0.0)


def test_scores_that_are_not_finite_are_dropped_and_counted() -> None:
    scores = np.array([1.0, 2.0, 3.0, -math.inf, math.nan, 4.0])
    truth = np.array([1.0, 2.0, 3.0, 9.0, 9.0, math.nan])
    found = ranking(scores, truth)
    assert (found.n, found.dropped, found.kendall, found.regret) == (3, 3, 1.0, 0.0)


def test_regret_is_the_mean_over_the_tied_best() -> None:
    assert ranking(np.array([5.0, 5.0, 1.0]), np.array([90.0, 92.0, 95.0])).regret == 4.0


def test_nothing_is_said_of_one_network_or_of_scores_that_do_not_differ() -> None:
    assert all(math.isnan(value) for value in ranking(np.ones(1), np.ones(1))[2:])
    assert math.isnan(ranking(np.ones(3), np.arange(3.0)).kendall)
    assert math.isnan(ranking(np.arange(3.0), np.ones(3)).spearman)
    assert ranking(np.zeros(0), np.zeros(0)).n == 0


@pytest.mark.parametrize(
    ("n", "percent", "whole"), [(3969, 10, 397), (3969, 5, 198), (4, 5, 1), (10, 5, 1), (30, 5, 2)]
)
def test_a_share_is_rounded_to_whole_networks(n: int, percent: int, whole: int) -> None:
    assert count(n, percent) == whole


def test_the_sparse_tau_holds_truths_for_equal_that_round_to_one_tenth() -> None:
    truth = np.array([90.01, 90.04, 91.0, 92.0])
    found = ranking(np.array([2.0, 1.0, 3.0, 4.0]), truth)
    assert found.kendall == pytest.approx(4 / 6)
    assert found.sparse_kendall == pytest.approx(stats.kendalltau([2, 1, 3, 4], [90.0, 90.0, 91.0, 92.0]).statistic)
    assert found.sparse_kendall > found.kendall


def test_a_region_holds_what_ties_with_its_last() -> None:
    assert top(np.array([1.0, 3.0, 3.0, 2.0]), 5).tolist() == [False, True, True, False]


def test_regions_restrict_to_the_best_by_truth() -> None:
    rng = generator()
    truth = rng.normal(size=200)
    scores = truth + rng.normal(size=200)
    found = by_region([(scores, truth)], generator(), 20)
    best = np.argsort(truth)[-20:]
    assert found["top10"].ranking.n == 20
    assert found["top10"].ranking.kendall == pytest.approx(stats.kendalltau(scores[best], truth[best]).statistic)


def test_intervals_hold_the_figure_and_repeat_by_seed() -> None:
    rng = generator()
    truth = rng.normal(size=300)
    pair = (truth + rng.normal(size=300), truth)
    found = by_region([pair], generator(1), 200)
    for regional in found.values():
        assert regional.kendall.low < regional.ranking.kendall < regional.kendall.high
        assert regional.spearman.low < regional.ranking.spearman < regional.spearman.high
    assert by_region([pair], generator(1), 200) == found
    assert by_region([pair], generator(2), 200) != found


def test_a_bootstrap_interval_is_as_wide_as_samples_are_spread() -> None:
    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        truth = rng.normal(size=150)
        return truth + rng.normal(size=150), truth

    rng = generator()
    spread = np.percentile([stats.kendalltau(*sample(rng)).statistic for _ in range(400)], [2.5, 97.5])
    low, high = by_region([sample(rng)], rng, 400)["global"].kendall
    assert high - low == pytest.approx(float(np.ptp(spread)), rel=0.25)


def test_fewer_networks_than_an_interval_needs_get_none() -> None:
    values = np.arange(SMALLEST - 1.0)
    found = by_region([(values, values)], generator(), 20)["global"]
    assert found.ranking.kendall == pytest.approx(1.0)
    assert all(map(math.isnan, found.kendall))
    empty = by_region([(np.full(3, math.nan), np.ones(3))], generator(), 20)["global"]
    assert (empty.ranking.n, empty.ranking.dropped) == (0, 3)


def test_large_samples_are_resampled_fewer_times(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("analysis.ranking.kendall", lambda scores, truth: calls.append(len(scores)) or 0.5)
    monkeypatch.setattr("analysis.ranking.spearman", lambda scores, truth: 0.5)
    values = np.arange(LARGE + 1.0)
    by_region([(values, values)], generator(), 1000)
    assert len(calls) == FEW + 2 * 3, "one a resample of the whole, and both figures of each region"


# -- published tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "column", "tau", "rho"),
    [
        ("nb201_cifar.csv", "c10_flops", 0.5774, None),
        ("nb201_cifar.csv", "c10_val_12", 0.5944, None),
        ("nb201_supernet.csv", "oneshot_acc", 0.4847, 0.6771),
        ("nb201_supernet.csv", "fewshot_acc", 0.5505, 0.7410),
    ],
)
def test_nb201(file: str, column: str, tau: float, rho: float | None) -> None:
    truth = table("nb201_cifar.csv", usecols=["c10_test_200"])["c10_test_200"].to_numpy(float)
    found = ranking(table(file, usecols=[column])[column].to_numpy(float), truth)
    assert (found.n, found.dropped) == (15_625, 0)
    assert round(found.kendall, 4) == tau
    assert rho is None or round(found.spearman, 4) == rho


@pytest.mark.parametrize(
    ("column", "first", "accuracy", "tied"), [("oneshot_acc", 221, 91.01, 30), ("fewshot_acc", 158, 92.70, 2)]
)
def test_nb201_supernets_tie_at_the_top_and_regret_is_their_mean(
    column: str, first: int, accuracy: float, tied: int
) -> None:
    truth = table("nb201_cifar.csv", usecols=["c10_test_200"])["c10_test_200"].to_numpy(float)
    scores = table("nb201_supernet.csv", usecols=[column])[column].to_numpy(float)
    best = np.flatnonzero(scores == scores.max())
    assert (best[0], round(truth[best[0]], 2), len(best)) == (first, accuracy, tied)
    assert ranking(scores, truth).regret == pytest.approx(truth.max() - truth[best].mean())


def test_naswot_has_201_cells_that_count_as_dropped() -> None:
    truth = table("nb201_cifar.csv", usecols=["c10_test_200"])["c10_test_200"].to_numpy(float)
    found = ranking(table("nb201_zerocost.csv", usecols=["c10_naswot"])["c10_naswot"].to_numpy(float), truth)
    assert (found.dropped, round(found.kendall, 3)) == (201, 0.598)


def macro() -> pd.DataFrame:
    """The distinct networks of NAS-Bench-Macro."""
    return table("nb_macro_cifar10.csv", dtype={"arch": str, "canonical": str}).drop_duplicates("canonical")


@pytest.mark.parametrize(
    ("column", "expected"),
    [("flops", (0.5462, 0.3352, 0.2323)), ("params", (0.2155, 0.1418, 0.0295))],
)
def test_nb_macro_by_region(column: str, expected: tuple[float, ...]) -> None:
    networks = macro()
    found = by_region([(networks[column].to_numpy(float), networks["mean_acc"].to_numpy(float))], generator(), 2)
    # 397 and 198 are asked for; the rest ties with the last of them.
    assert [found[region].ranking.n for region in found] == [3969, 402, 199]
    assert tuple(round(found[region].ranking.kendall, 4) for region in found) == expected


@pytest.mark.parametrize(
    ("column", "percent", "noted"),
    [("flops", 10, 0.330), ("flops", 5, 0.225), ("params", 10, 0.135), ("params", 5, 0.022)],
)
def test_figures_of_others_are_one_choice_among_the_networks_tied_at_the_border(
    column: str, percent: int, noted: float
) -> None:
    networks = macro()
    scores, truth = (networks[name].to_numpy(float) for name in (column, "mean_acc"))
    region = np.flatnonzero(top(truth, percent))
    border = truth[region].min()
    sure, tied = region[truth[region] > border], region[truth[region] == border]
    chosen = itertools.combinations(tied, count(len(truth), percent) - len(sure))
    taus = [kendall(scores[list(each)], truth[list(each)]) for each in ([*sure, *some] for some in chosen)]
    assert min(taus) - 0.002 < noted < max(taus) + 0.002


def test_nb_macro_noise_ceiling() -> None:
    found = by_region(ceiling_pairs(macro()[["acc_1", "acc_2", "acc_3"]].to_numpy(float)), generator(), 2)
    assert tuple(round(found[region].ranking.kendall, 3) for region in found) == (0.895, 0.332, 0.296)
