"""What is usual for a series: its rate in each UTC hour, and how far it strays from that beyond chance.

Values are measured in units: 1 for a count; for money the variance of a minute over its mean, so that
an amount behaves like a count of so many units. A rate is known as well as a gamma of the events seen
allows (Jeffreys prior); spread is the squared relative deviation of whole windows that neither chance
nor a short history explains: weather, weekends, ramps inside an hour. Both widen the tails.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from msgspec import Struct, field

HOURS = 24
ENOUGH_DAYS = 5  # an hour's rate is the mean of its days, then the newest weighs a fifth: half is from the last three
PULL = 2.0  # an hour with anything unusual in it counts as at most so many times its rate, or so little
UNIT_MEMORY = 0.98  # by hour: half of it is from the last 34
SPREAD_MEMORY = 0.995  # by window: half of it is from the last 139
SPREAD_LEAST = 0.02  # 14 % of the mean: no chain runs more evenly
SPREAD_PRIOR, SPREAD_PRIOR_WEIGHT = 0.05, 200.0
OUTLIER_SD = 4.0  # a window further out counts as so far out

Spans = list[tuple[int, int]]  # (UTC hour, minutes in it)


def spans(first: int, count: int) -> Spans:
    """The UTC hours that `count` minutes from minute `first` since the epoch lie in."""
    found = []
    while count:
        part = min(count, 60 - first % 60)
        found.append((first // 60 % HOURS, part))
        first, count = first + part, count - part
    return found


class Estimate(NamedTuple):
    """A belief on the sum over a window, in units."""

    mean: float
    shape: float  # of the gamma of its mean
    unit: float
    blur: float  # squared relative error of the learned rates
    errors: float  # 1 + 1/days: days stray now, and strayed when they were learned


class Expectation(Struct, array_like=True):
    """What has been learned of one series."""

    money: bool
    rates: list[float] = field(default_factory=lambda: [0.0] * HOURS)  # per minute
    days: list[int] = field(default_factory=lambda: [0] * HOURS)
    minutes: int = 0  # of the hour being learned
    sum: int = 0
    squares: float = 0.0  # of money they outgrow 64 bits
    unit: float = 1.0
    unit_parts: tuple[float, float] = (0.0, 0.0)
    spread: float = SPREAD_PRIOR
    spread_parts: tuple[float, float] = (SPREAD_PRIOR * SPREAD_PRIOR_WEIGHT, SPREAD_PRIOR_WEIGHT)

    def over(self, window: Spans) -> Estimate | None:
        """None while one of the hours was never learned."""
        mean, variance, fewest = 0.0, 0.0, ENOUGH_DAYS
        for hour, minutes in window:
            days = self.days[hour]
            if not days:
                return None
            fewest = min(fewest, days)
            learned = 60 * min(days, ENOUGH_DAYS)
            share, shape = minutes / learned, self.rates[hour] * learned / self.unit + 0.5
            mean += share * shape
            variance += share * share * shape
        blur, errors = variance / (mean * mean), 1 + 1 / fewest
        return Estimate(mean, 1 / (self.spread * errors + blur), self.unit, blur, errors)

    def learn(self, minute: int, value: int, unusual: bool) -> None:
        """Takes one minute; at the end of a whole hour its rate moves. `unusual`: trust this hour less."""
        if minute % 60 == 0:
            self.minutes, self.sum, self.squares = 0, 0, 0.0
        self.minutes += 1
        self.sum += value
        self.squares += value * value
        if minute % 60 == 59 and self.minutes == 60:
            self._learn_hour(minute // 60 % HOURS, unusual)

    def _learn_hour(self, hour: int, unusual: bool) -> None:
        rate, days, new = self.rates[hour], self.days[hour], max(0.0, self.sum / 60)
        if unusual and days:
            new = min(max(new, rate / PULL), PULL * max(rate, self.unit / 60))
        elif self.money and self.sum > 0:
            over, under = self.unit_parts
            strayed = self.squares - self.sum**2 / 60
            self.unit_parts = over, under = over * UNIT_MEMORY + strayed, under * UNIT_MEMORY + self.sum
            self.unit = max(1.0, over / under)
        self.rates[hour] += (new - rate) * max(1 / ENOUGH_DAYS, 1 / (days + 1))
        self.days[hour] += 1

    def learn_spread(self, count: float, usual: Estimate) -> None:
        """Takes one whole window of `count` units."""
        furthest = OUTLIER_SD * sqrt(usual.mean + usual.mean**2 / usual.shape)
        strayed = min(abs(count - usual.mean), furthest) ** 2
        over, under = (part * SPREAD_MEMORY for part in self.spread_parts)
        beyond = strayed - usual.mean - usual.mean**2 * usual.blur
        self.spread_parts = over, under = over + beyond, under + usual.mean**2 * usual.errors
        self.spread = max(SPREAD_LEAST, over / under)
