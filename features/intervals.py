"""Intervals that hold the truth in 95 of 100 cases."""

from __future__ import annotations

from math import sqrt

Z = 1.959964  # the normal distribution's 97.5th percentile
Interval = tuple[float, float]


def share_interval(found: int, of: int) -> Interval:
    """Wilson's score interval of a share. Source: Wilson, Probable Inference (1927)."""
    if not of:
        return 0.0, 1.0
    share, z = found / of, Z * Z / of
    middle, half = share + z / 2, Z * sqrt(share * (1 - share) / of + z / of / 4)
    return max(0.0, (middle - half) / (1 + z)), min(1.0, (middle + half) / (1 + z))


def difference_interval(found: int, of: int, found_there: int, of_there: int) -> Interval:
    """Of one share less another: Newcombe's hybrid score interval, method 10.

    Source: Newcombe, Interval estimation for the difference between independent proportions (1998).
    """
    here, there = found / of if of else 0.0, found_there / of_there if of_there else 0.0
    (low, high), (low_there, high_there) = share_interval(found, of), share_interval(found_there, of_there)
    down = sqrt((here - low) ** 2 + (high_there - there) ** 2)
    up = sqrt((high - here) ** 2 + (there - low_there) ** 2)
    return here - there - down, here - there + up


def mean_interval(mean: float, variance: float, of: int) -> Interval:
    """Of a mean, by the normal distribution: good from some thirty on."""
    half = Z * sqrt(variance / of) if of else float("inf")
    return mean - half, mean + half
