"""Confidence sequences: intervals that hold the truth in 95 of 100 experiments at every look at once, however often one
looks and whenever one stops, also where what was found so far decides who is asked next.

Those of shares are exact: all shares under which what was found is no wonder, by a beta-binomial mixture. Those of
means are asymptotic.

Source: Robbins, Statistical methods related to the law of the iterated logarithm (1970); Howard et al., Time-uniform,
nonparametric, nonasymptotic confidence sequences (2021); Waudby-Smith et al., Time-uniform central limit theory and
asymptotic confidence sequences (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, lgamma, log, sqrt

ERRORS = 0.05
WONDER = log(1 / ERRORS)  # what is known against a share, in nats: more happens in 5 of 100 experiments if it is true
NARROWEST_AT = 1_000  # observations at which a mean's interval is as narrow as it can be made
STEPS = 30  # of a search: to a billionth of a share
THIRDS = 20  # of the search for the widest difference: to a thousandth of what may be known, which is flat there

Interval = tuple[float, float]


def share_interval(found: int, of: int) -> Interval:
    """Of a share; from nothing to all where nothing is known."""
    return _ends(found, of, WONDER)


def difference_interval(found: int, of: int, found_there: int, of_there: int) -> Interval:
    """Of one share less another: over all pairs of shares against which together too little is known."""
    high = _furthest(found, of, found_there, of_there)
    return -_furthest(found_there, of_there, found, of), high


def mean_interval(mean: float, variance: float, of: int) -> Interval:
    """Of a mean, from some thirty on; endless where nothing is known."""
    if not of:
        return -inf, inf
    spread = (2 * WONDER + log(2 * WONDER + 1)) / NARROWEST_AT
    known = of * spread + 1
    half = sqrt(variance / of * known / (of * spread) * (log(known) + 2 * WONDER))
    return mean - half, mean + half


def _against(found: int, of: int) -> Callable[[float], float]:
    """Of a share, what is known against it: the logarithm of the odds at which a mixture of all shares beats it."""
    mixture = lgamma(found + 1) + lgamma(of - found + 1) - lgamma(of + 2)
    hits, misses = float(found), float(of - found)

    def against(share: float) -> float:
        if (hits and share <= 0) or (misses and share >= 1):
            return inf
        return mixture - (hits * log(share) if hits else 0.0) - (misses * log(1 - share) if misses else 0.0)

    return against


def _ends(found: int, of: int, wonder: float) -> Interval:
    """The shares beside what was found against which no more than `wonder` is known."""
    against, share = _against(found, of), found / of if of else 0.5
    return _edge(against, share, 0.0, wonder), _edge(against, share, 1.0, wonder)


def _edge(against: Callable[[float], float], inside: float, outside: float, wonder: float) -> float:
    if against(outside) <= wonder:
        return outside
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if against(middle) <= wonder else (inside, middle)
    return inside


def _furthest(found: int, of: int, found_there: int, of_there: int) -> float:
    """The greatest difference, over the ways to divide what may be known between the two; it has one summit."""

    def difference(wonder: float) -> float:
        return _ends(found, of, wonder)[1] - _ends(found_there, of_there, WONDER - wonder)[0]

    low = _against(found, of)(found / of if of else 0.5)
    high = WONDER - _against(found_there, of_there)(found_there / of_there if of_there else 0.5)
    for _ in range(THIRDS):
        third = (high - low) / 3
        if difference(low + third) < difference(high - third):
            low += third
        else:
            high -= third
    return difference((low + high) / 2)
