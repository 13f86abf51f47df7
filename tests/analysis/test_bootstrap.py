"""Rank correlations of many resamples at once equal scipy's of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis import bootstrap


@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.integers(2, 30))
def test_each_resample_is_correlated_as_scipy_does(seed: int, n: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    scores, truth = (rng.integers(values, size=n).astype(float) for _ in range(2))  # with ties
    counts = bootstrap.draws(rng, n, 5)
    assert (counts.sum(axis=1) == n).all()
    taus, rhos = (f(counts, scores, truth) for f in (bootstrap.kendall, bootstrap.spearman))
    for row, tau, rho in zip(counts, taus, rhos, strict=True):
        chosen = np.repeat(np.arange(n), row.astype(int))
        a, b = scores[chosen], truth[chosen]
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            assert np.isnan(tau) and np.isnan(rho)
            continue
        assert tau == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
        assert rho == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
