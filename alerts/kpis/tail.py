"""Tails of the negative binomial: how rare a count this far out is.

A count whose mean is uncertain by a gamma of shape `shape` is negative binomial with variance
mean + mean²/shape. Its tails are regularised incomplete beta functions (Abramowitz & Stegun 26.5.24),
computed by continued fraction (Numerical Recipes, 6.4).
"""

from __future__ import annotations

from math import exp, lgamma, log

TINY = 1e-300
PRECISION = 1e-12
LIMIT = 10_000  # the fraction needs about the square root of its parameters


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or TINY)
    h = d
    for m in range(1, LIMIT):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / (1 + step * d or TINY)
            c = 1 + step / c or TINY
            h *= c * d
        if abs(c * d - 1) < PRECISION:
            return h
    raise ArithmeticError(f"incomplete beta of x={x}, a={a}, b={b} does not settle")


def beta_below(x: float, rest: float, a: float, b: float) -> float:
    """Regularised incomplete beta I_x(a, b); `rest` is 1 - x, given apart so that neither loses digits."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def at_most(count: float, mean: float, shape: float) -> float:
    """P(X <= count), count >= 0."""
    return beta_below(shape / (shape + mean), mean / (shape + mean), shape, count + 1)


def at_least(count: float, mean: float, shape: float) -> float:
    """P(X >= count)."""
    return beta_below(mean / (shape + mean), shape / (shape + mean), count, shape) if count > 0 else 1.0


def two_sided(count: float, mean: float, shape: float) -> float:
    """Twice the tail on the side of the mean where `count` lies."""
    tail = at_most(count, mean, shape) if count < mean else at_least(count, mean, shape)
    return min(1.0, 2 * tail)
