"""How well scores rank networks against the truth, which is what each of them is worth when it is trained alone.

One convention throughout: `scores` and `truth` are (n,) arrays of floats in which higher is better. Ties are never
broken by position: where one touches the border of a top K, figures are expected values over a random choice among
the tied, so nothing here depends on the order of the networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis import bootstrap

REGIONS = {"global": 100, "top10": 10, "top5": 5}  # percent of the networks, the best by truth
LARGE = 2000  # networks above which a bootstrap makes FEW resamples: intervals are narrow there, and resamples slow
FEW = 200
SMALLEST = 10  # networks below which no interval is given: resamples of so few say nothing
SPARSE_DECIMALS = 1  # of an accuracy in percent, for the sparse tau
DECIMALS = 10  # means are rounded to these: float noise would break ties
Pair = tuple[np.ndarray, np.ndarray]


class Ranking(NamedTuple):
    """What scores are worth as a ranking of n networks; nan where n < 2 or nothing differs.

    dropped: networks left out for a score or a truth that is not finite. kendall: tau-b. sparse_kendall: tau-b with the
    truth rounded to 0.1, differences below which are noise (sparse tau, arXiv 2003.04276). precision_K: share of the
    best K percent by score (at least one network) that are among the best K percent by truth, 0 to 1. best_rank_K: rank
    by truth, over n, of the best network among the best K percent by score; 1/n is perfect. Both are P@K and BR@K of
    Ning et al. (NeurIPS 2021). regret: best truth minus that of the network with the best score, in the unit of the
    truth. regret_top5: best truth minus the best one among the five best scores.
    """

    n: int
    dropped: int
    kendall: float
    sparse_kendall: float
    spearman: float
    precision_5: float
    precision_10: float
    best_rank_5: float
    best_rank_10: float
    regret: float
    regret_top5: float


class Interval(NamedTuple):
    """Bounds of a 95 % interval; nan where there is none."""

    low: float
    high: float


class Regional(NamedTuple):
    """A ranking within one region, with its bootstrap intervals over the networks."""

    ranking: Ranking
    kendall: Interval
    spearman: Interval


def ranking(scores: np.ndarray, truth: np.ndarray) -> Ranking:
    """The ranking by `scores` of the networks whose score and truth are finite; both (n,), higher is better.

    truth: accuracies in percent, which sparse_kendall rounds. Raises ValueError where the two differ in length.
    """
    finite = np.isfinite(scores) & np.isfinite(truth)
    scores, truth = scores[finite], truth[finite]
    n, dropped = len(scores), int((~finite).sum())
    if n < 2:
        return Ranking(n, dropped, *[math.nan] * 9)
    ranks = stats.rankdata(-truth, method="min").astype(float)
    few, some = count(n, 5), count(n, 10)
    return Ranking(
        n=n,
        dropped=dropped,
        kendall=kendall(scores, truth),
        sparse_kendall=kendall(scores, truth.round(SPARSE_DECIMALS)),
        spearman=spearman(scores, truth),
        precision_5=precision(scores, truth, few),
        precision_10=precision(scores, truth, some),
        best_rank_5=-expected_best(scores, -ranks, few) / n,
        best_rank_10=-expected_best(scores, -ranks, some) / n,
        regret=float(truth.max()) - expected_best(scores, truth, 1),
        regret_top5=float(truth.max()) - expected_best(scores, truth, 5),
    )


def count(n: int, percent: int) -> int:
    """Whole networks in that percentage of n, halves up, at least one."""
    return max(1, (n * percent + 50) // 100)


def top(truth: np.ndarray, percent: int) -> np.ndarray:
    """Which of (n,) finite values are the best `percent`, those that tie with the last of them included; (n,), bool."""
    return np.asarray(truth >= _kth_best(truth, count(len(truth), percent)))


def kendall(scores: np.ndarray, truth: np.ndarray) -> float:
    """Kendall's tau-b of (n,) scores and truths; nan where all scores or all truths are equal."""
    return float(stats.kendalltau(scores, truth, variant="b").statistic) if _differ(scores, truth) else math.nan


def spearman(scores: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's rank correlation of (n,) scores and truths; nan where all scores or all truths are equal."""
    return float(stats.spearmanr(scores, truth).statistic) if _differ(scores, truth) else math.nan


def precision(scores: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Expected share, 0 to 1, of the k best by score that are among the k best by truth, or tie with the last of them.

    scores, truth: (n,), finite, higher is better. Ties in the score count by chance.
    """
    good = truth >= _kth_best(truth, k)
    border = _kth_best(scores, k)
    above = scores > border
    places = k - above.sum()
    return float((good[above].sum() + places * good[scores == border].mean()) / k)


def expected_best(scores: np.ndarray, values: np.ndarray, k: int) -> float:
    """Expected maximum of `values` (n,) over the k best by score (n,), ties by chance; all where n is below k."""
    k = min(k, len(scores))
    border = _kth_best(scores, k)
    above = values[scores > border]
    tied = np.sort(values[scores == border])[::-1]
    left = np.arange(len(tied), 0, -1)
    drawn = np.minimum((k - len(above)) / left, 1.0)  # probability of each, given that none better was drawn
    missed = np.cumprod(np.concatenate([[1.0], 1.0 - drawn[:-1]]))
    maxima = np.maximum(tied, above.max(initial=-math.inf))
    # As what is lost from the highest, so that it is exact where nothing is.
    return float(maxima[0] - (missed * drawn) @ (maxima[0] - maxima))


def ceiling_pairs(seeds: np.ndarray) -> list[Pair]:
    """Each training seed as a score against the mean of the others: the noise ceiling of any ranking.

    seeds: (n, seeds), at least two, what the networks were worth in repeated trainings.
    """
    assert seeds.ndim == 2 and seeds.shape[1] >= 2, f"expected (n, seeds) with two seeds or more, got {seeds.shape}"
    others = [np.delete(seeds, i, axis=1).mean(axis=1).round(DECIMALS) for i in range(seeds.shape[1])]
    return [(seeds[:, i], mean) for i, mean in enumerate(others)]


def by_region(pairs: Sequence[Pair], rng: np.random.Generator, resamples: int = 1000) -> dict[str, Regional]:
    """The ranking in each of REGIONS, figures averaged over the pairs of scores and truth of the same n networks.

    Intervals are percentile bootstraps over the networks, regions held as they are in the whole sample; above LARGE
    networks they come from at most FEW resamples.
    """
    finite = np.logical_and.reduce([np.isfinite(values) for pair in pairs for values in pair])
    kept = [(scores[finite], truth[finite]) for scores, truth in pairs]
    dropped = int((~finite).sum())
    regions = {
        name: [top(truth, percent) if len(truth) else np.zeros(0, bool) for _, truth in kept]
        for name, percent in REGIONS.items()
    }
    taus = _bootstrap(kept, regions, rng, resamples)
    found = {}
    for name, masks in regions.items():
        inside = [ranking(scores[m], truth[m]) for (scores, truth), m in zip(kept, masks, strict=True)]
        smallest = min(one.n for one in inside)
        mean = Ranking(smallest, dropped, *np.mean([one[2:] for one in inside], axis=0).tolist())
        found[name] = Regional(mean, *(_interval(taus[name][:, i], smallest) for i in range(2)))
    return found


def _bootstrap(
    pairs: Sequence[Pair], regions: Mapping[str, Sequence[np.ndarray]], rng: np.random.Generator, resamples: int
) -> dict[str, np.ndarray]:
    """Kendall and Spearman of each resample by region, (resamples, 2), averaged over the pairs."""
    n = len(pairs[0][0])
    resamples = min(resamples, FEW) if n > LARGE else resamples
    if n < SMALLEST:
        return {name: np.full((resamples, 2), math.nan) for name in regions}
    counts = bootstrap.draws(rng, n, resamples)
    return {
        name: np.mean(
            [
                _resampled(counts[:, mask], scores[mask], truth[mask])
                for (scores, truth), mask in zip(pairs, masks, strict=True)
            ],
            axis=0,
        )
        for name, masks in regions.items()
    }


def _resampled(counts: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Kendall and Spearman of each resample, (resamples, 2)."""
    if len(scores) <= LARGE:
        taus = bootstrap.kendall(counts, scores, truth)
    else:  # all pairs would not fit in memory
        drawn = (np.repeat(np.arange(len(scores)), row.astype(int)) for row in counts)
        taus = np.array([kendall(scores[chosen], truth[chosen]) for chosen in drawn])
    return np.column_stack([taus, bootstrap.spearman(counts, scores, truth)])


def _interval(values: np.ndarray, n: int) -> Interval:
    """The middle 95 % of resampled values; those of resamples in which nothing differed are nan and left out."""
    values = values[np.isfinite(values)]
    if n < SMALLEST or not len(values):
        return Interval(math.nan, math.nan)
    return Interval(*np.percentile(values, [2.5, 97.5]).tolist())


def _kth_best(values: np.ndarray, k: int) -> float:
    return float(np.partition(values, len(values) - k)[len(values) - k])


def _differ(scores: np.ndarray, truth: np.ndarray) -> bool:
    return len(scores) > 1 and bool(np.ptp(scores) > 0 and np.ptp(truth) > 0)
