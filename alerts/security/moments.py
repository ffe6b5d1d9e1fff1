"""Mean and variance of a series, the newest values weighing most (West 1979; Finch 2009)."""

from __future__ import annotations

from math import sqrt

from msgspec import Struct

WEIGHT = 0.05  # of the newest value, once there are 1 / WEIGHT of them
LEAST_DEVIATION = 0.25  # of logarithms: about a quarter more or less is always usual


def learned(count: int, mean: float, variance: float, value: float) -> tuple[float, float]:
    """Mean and variance with one more value, the `count`-th."""
    weight = max(WEIGHT, 1 / count)
    difference = value - mean
    return mean + weight * difference, (1 - weight) * (variance + weight * difference * difference)


class Moments(Struct, array_like=True):
    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def limit(self, far: float) -> float:
        return self.mean + far * self._deviation

    def learn(self, value: float, far: float) -> None:
        """A value beyond `far` deviations is learned as if it lay one above, so who repeats it stays unusual."""
        usual = value if not self.count or value <= self.limit(far) else self.mean + self._deviation
        self.count += 1
        self.mean, self.variance = learned(self.count, self.mean, self.variance, usual)

    @property
    def _deviation(self) -> float:
        return max(sqrt(self.variance), LEAST_DEVIATION)
