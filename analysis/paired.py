"""Statistics of paired differences: interval, test, correction for several tests, effect size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

SMALLEST = 6  # pairs below which the signed-rank test cannot give a p below 0.05: its least is 2 / 2**n


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of (n,) values by Student's t; nan for fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def signed_rank_p(differences: np.ndarray) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test of (n,) paired differences.

    Differences of zero are left out, as Wilcoxon did; all of them zero is a p of 1. None for fewer than SMALLEST pairs.
    """
    if len(differences) < SMALLEST:
        return None
    return float(stats.wilcoxon(differences, zero_method="wilcox").pvalue) if differences.any() else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of the p values of one family of tests, in their order (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.asarray(p, float)[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected.tolist()


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation, -1 to 1: what share of the ranks is positive, less what is negative.

    Ranks are those of the absolute differences that are not zero; 0 where there are none (Kerby 2014).
    """
    moved = differences[differences != 0]
    if not len(moved):
        return 0.0
    ranks = stats.rankdata(np.abs(moved))
    return float((ranks * np.sign(moved)).sum() / ranks.sum())
