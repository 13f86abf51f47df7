"""Rank correlations of many bootstrap resamples at once.

A resample is how often each network was drawn. Kendall's tau-b of it is a quadratic form in these counts over the pairs
of networks (two draws of one network are a tie, as in the resample itself), and Spearman's a weighted correlation of
ranks, so that a thousand resamples cost a few matrix products in place of a thousand sorts.
"""

from __future__ import annotations

import numpy as np


def draws(rng: np.random.Generator, n: int, resamples: int) -> np.ndarray:
    """How often each of n networks is drawn in each resample, shape (resamples, n)."""
    return np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples)]).astype(float)


def kendall(counts: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each resample, (resamples,); nan where all scores or all truths of one are equal.

    counts: (resamples, n). scores, truth: (n,), finite. Memory grows with n squared.
    """
    first, second = (np.sign(values[:, None] - values[None]) for values in (scores, truth))
    with np.errstate(invalid="ignore", divide="ignore"):
        untied = _form(counts, np.abs(first)) * _form(counts, np.abs(second))
        return np.asarray(_form(counts, first * second) / np.sqrt(untied))


def spearman(counts: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each resample, (resamples,); nan where all scores or truths of one are equal."""
    first, second = (_centred(counts, values) for values in (scores, truth))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (counts * first**2).sum(axis=1) * (counts * second**2).sum(axis=1)
        return np.asarray((counts * first * second).sum(axis=1) / np.sqrt(spread))


def _form(counts: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("rn,rn->r", counts @ pairs, counts))


def _centred(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each network's mean rank within each resample, less the mean of all, (resamples, n)."""
    _, group = np.unique(values, return_inverse=True)
    sizes = np.zeros((len(counts), int(group.max()) + 1))
    np.add.at(sizes.T, group, counts.T)
    ranks = np.cumsum(sizes, axis=1) - sizes / 2
    return np.asarray(ranks[:, group] - counts.sum(axis=1, keepdims=True) / 2)
