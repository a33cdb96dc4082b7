"""Tests that a verdict could have had: what `verdict.py` compares that of the package with."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

Draws = np.ndarray[Any, np.dtype[np.float64]]
Test = Callable[[Draws, Draws, int], Draws]


def pooled(mean: Draws, variance: Draws, seeds: int) -> Draws:
    """One variance for all arms, as if they were independent."""
    error = np.sqrt(variance.mean(-1, keepdims=True) / seeds)
    return 2 * stats.t.sf(abs(mean) / error, mean.shape[-1] * (seeds - 1))


def fitted(variance: Draws, seeds: int) -> tuple[Draws, Draws]:
    """Limma's fitFDist: prior variance and degrees of freedom by moments of log s^2 (Smyth 2004).

    With e = log s^2 - psi(d/2) + log(d/2): psi'(d0/2) = var(e) - psi'(d/2) and
    log s0^2 = mean(e) + psi(d0/2) - log(d0/2).
    """
    d = seeds - 1
    e = np.log(variance) - special.digamma(d / 2) + np.log(d / 2)
    left = e.var(-1, ddof=1) - special.polygamma(1, d / 2)
    d0 = np.where(left > 0, 2 * trigamma_inverse(np.where(left > 0, left, 1.0)), np.inf)
    bounded = np.minimum(d0, 1e8)
    return np.exp(e.mean(-1) + special.digamma(bounded / 2) - np.log(bounded / 2)), bounded


def trigamma_inverse(value: Draws) -> Draws:
    """Newton's method on 1 / psi' (Smyth 2004, appendix)."""
    found = 0.5 + 1 / value
    for _ in range(30):
        now = special.polygamma(1, found)
        found = found + now * (1 - now / value) / special.polygamma(2, found)
    return np.where(value < 1e-6, 1 / value, found)


def with_prior(mean: Draws, variance: Draws, seeds: int, s0: Draws, d0: Draws) -> Draws:
    """P of the moderated t-test."""
    d, worth = seeds - 1, d0[..., None]
    both = (worth * s0[..., None] + d * variance) / (worth + d)
    return 2 * stats.t.sf(abs(mean) / np.sqrt(both / seeds), worth + d)


def limma(mean: Draws, variance: Draws, seeds: int, most: float = np.inf) -> Draws:
    """Prior estimated from the arms; its degrees of freedom at most so many."""
    s0, d0 = fitted(variance, seeds)
    return with_prior(mean, variance, seeds, s0, np.minimum(d0, most))


def mean_at_most(times: float) -> Test:
    """Prior of the mean variance; degrees of freedom estimated, at most so many times (n - 1)."""

    def test(mean: Draws, variance: Draws, seeds: int) -> Draws:
        d0 = np.minimum(fitted(variance, seeds)[1], times * (seeds - 1))
        return with_prior(mean, variance, seeds, variance.mean(-1), d0)

    return test


def limma_at_most_4(mean: Draws, variance: Draws, seeds: int) -> Draws:
    """Limma's prior, worth 4 degrees of freedom at most."""
    return limma(mean, variance, seeds, 4.0)
