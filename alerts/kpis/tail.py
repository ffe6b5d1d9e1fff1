"""How rare a count, a share or a mean this far out is: tails of the negative binomial, beta-binomial and Student's t.

All are two-sided: twice the tail on the side where the value lies. A count whose mean strays by a gamma is negative
binomial, a share whose probability strays by a beta is beta-binomial; `stray` is the squared relative deviation of
that mean. Arrays in, arrays out, all of one length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln, stdtr

Floats = NDArray[np.float64]

LEAST_STRAY = 1e-6  # below it the tail is that of the plain Poisson or binomial
STEP = 128  # terms of a beta-binomial tail added at a time
ENOUGH = 1e-12  # of the tail: what further terms may add
T_DEGREES = 15.0  # means of amounts have heavier tails than the normal; many orders make them less heavy


def count_p(seen: Floats, mean: Floats, stray: Floats) -> Floats:
    """Of a count, negative binomial with variance mean + stray·mean² (Abramowitz & Stegun 26.5.24)."""
    shape = 1 / np.maximum(stray, LEAST_STRAY)
    below = betainc(shape, seen + 1, shape / (shape + mean))
    above = betainc(np.maximum(seen, LEAST_STRAY), shape, mean / (shape + mean))
    tail = np.where(seen < mean, below, np.where(seen > 0, above, 1.0))
    return np.asarray(np.minimum(1.0, 2 * tail))


def share_p(seen: Floats, of: Floats, share: Floats, stray: Floats) -> Floats:
    """Of `seen` among `of`, beta-binomial with mean of·share."""
    weight = (1 - share) / (share * np.maximum(stray, LEAST_STRAY)) - 1  # a + b of the beta
    a = np.maximum(share * weight, 1e-3)
    b = np.maximum((1 - share) * weight, 1e-3)
    low = seen < of * share
    # what lies below among successes lies above among failures
    tail = _at_least(np.where(low, of - seen, seen), of, np.where(low, b, a), np.where(low, a, b))
    return np.minimum(1.0, 2 * tail)


def _at_least(seen: Floats, of: Floats, a: Floats, b: Floats) -> Floats:
    """P(X >= seen): terms from `seen` outwards, which shrink, until those to come no longer matter."""
    tail, left = np.zeros(len(seen)), np.arange(len(seen))
    start = np.asarray(seen, dtype=np.float64).copy()
    while len(left):
        k = start[left, None] + np.arange(STEP)
        n, alpha, beta = of[left, None], a[left, None], b[left, None]
        inside = k <= n
        k = np.minimum(k, n)
        logs = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        logs += gammaln(k + alpha) + gammaln(n - k + beta) - gammaln(n + alpha + beta)
        logs += gammaln(alpha + beta) - gammaln(alpha) - gammaln(beta)
        terms = np.where(inside, np.exp(logs), 0.0)
        tail[left] += terms.sum(axis=1)
        start[left] += STEP
        more = (start[left] <= of[left]) & (terms[:, -1] * (of[left] - start[left] + 1) > ENOUGH * tail[left])
        left = left[more & (tail[left] < 1)]
    return np.minimum(tail, 1.0)


def mean_p(z: Floats, of: Floats) -> Floats:
    """Of a mean amount of so many orders, so many standard deviations from what was expected."""
    return np.asarray(2 * stdtr(T_DEGREES + of / T_DEGREES, -np.abs(z)))
