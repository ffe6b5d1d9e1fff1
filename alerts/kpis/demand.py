"""What a series will come to in each hour of the days ahead: its profile by hour of the week, times its level of late.

A series is a counter of one dimension, hour by hour. An hour of the week is believed to be its hour of the day times
its weekday, until its own count says otherwise: gamma-Poisson, the prior as wide as hours differ beyond chance. Opening
hours change in some shops and not in others: a profile that forgets soon and one that does not are averaged, each by
what it foretold of late. A day is learned from once it is over, and was foretold before that: `errors` are of whole
days, foretold as they began. An hour beyond all sense, as of a till that counts wrong, is cut to what might have been.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_HOURS, WEEK_DAYS = 24, 7
PROFILE_HALF_LIVES = (16.0 * WEEK_DAYS, 4.0 * WEEK_DAYS)  # days
SURPRISE = np.array([0.0, 6.0])  # how much likelier what came must have been to one that forgets soon, as a logarithm
LEVEL_HALF_LIFE = 10.0
LEVEL_PRIOR = 50.0  # counts' worth of belief that the level is the profile's own
ERROR_HALF_LIFE = 28.0
LEAST_EXPECTED = 0.01  # of an hour; what comes where less is expected counts no more than there
MOST = 10.0  # times what is expected, and as many deviations: an hour counts for no more
LEAST_DIFFERENCE, MOST_DIFFERENCE = 0.002, 1.0  # squared, of an hour of the week from what its day and hour say


class Errors(Struct):
    """Sums over hours, fading: of what came, and of how far it was from what was foretold and from a week before."""

    came: float = 0.0
    foretold: float = 0.0
    week_before: float = 0.0

    def add(self, came: Floats, foretold: Floats, before: Floats) -> None:
        fading = 0.5 ** (1 / ERROR_HALF_LIFE)
        self.came = fading * self.came + float(came.sum())
        self.foretold = fading * self.foretold + float(np.abs(came - foretold).sum())
        self.week_before = fading * self.week_before + float(np.abs(came - before).sum())


class Demand:
    """Learns whole days in their order. Weekdays are counted from the epoch's, hours are those of UTC."""

    def __init__(self) -> None:
        self.days = 0  # learned
        self.latest = np.full((WEEK_DAYS, DAY_HOURS), np.nan)
        self.courses = [Course(half_life) for half_life in PROFILE_HALF_LIVES]
        self.losses = np.zeros(len(PROFILE_HALF_LIVES))  # fading sums, of what each foretold
        self.errors = Errors()

    def learn(self, day: int, came: Floats) -> None:
        """Takes float64[24]; an hour in which more was taken back than came is an empty one."""
        weekday, came = day % WEEK_DAYS, np.clip(came, 0.0, self._most(day))
        if self.days >= WEEK_DAYS:
            self.errors.add(came, self.foretell(day), self.latest[weekday])
            self.losses = 0.5 ** (1 / ERROR_HALF_LIFE) * self.losses + [one.loss(day, came) for one in self.courses]
        for one in self.courses:
            one.learn(weekday, came)
        self.latest[weekday] = came
        self.days += 1

    def foretell(self, day: int) -> Floats:
        """float64[24] of a day ahead; NaN before anything is learned."""
        losses = self.losses + SURPRISE
        counts = np.exp(losses.min() - losses)
        return np.asarray(counts @ [one.foretell(day) for one in self.courses] / counts.sum())

    def _most(self, day: int) -> float:
        """What an hour may count for: many times the busiest that is foretold of the week, and chance on top."""
        if not self.days:
            return np.inf
        busiest = max(float(np.max([self.foretell(day + i) for i in range(WEEK_DAYS)])), LEAST_EXPECTED)
        spread = max(one.spread for one in self.courses)
        return MOST * (busiest + float(np.sqrt(spread * busiest)))


class Course:
    """A profile that forgets by a half-life in days, and the level beside it."""

    def __init__(self, half_life: float) -> None:
        self.fading = 0.5 ** (1 / half_life)
        self.seen = np.zeros((WEEK_DAYS, DAY_HOURS))  # fading sums
        self.of = np.zeros(WEEK_DAYS)  # over so many days, fading too
        self.level = np.zeros(2)  # what came lately, and what the profile alone had said
        self.strayed = np.ones(2)  # of hours: squared errors in parts of what was expected, and how many
        self.profile = np.full((WEEK_DAYS, DAY_HOURS), np.nan)  # what an hour of the week comes to

    def learn(self, weekday: int, came: Floats) -> None:
        if self.of.any():
            self._compare(came, self.profile[weekday])
        self.seen, self.of = self.fading * self.seen, self.fading * self.of
        self.seen[weekday] += came
        self.of[weekday] += 1.0
        self.profile = self._profile()

    def foretell(self, day: int) -> Floats:
        """float64[24]; NaN before anything is learned."""
        came, said = self.level + LEVEL_PRIOR * self.spread
        return np.asarray(self.profile[day % WEEK_DAYS] * came / said)

    def loss(self, day: int, came: Floats) -> float:
        """Quasi-Poisson: negative log likelihood but for a constant, in parts of the spread."""
        said = np.maximum(self.foretell(day), LEAST_EXPECTED)
        return float((said - came * np.log(said)).sum() / self.spread)

    @property
    def spread(self) -> float:
        """Variance of a count over its mean: 1 of customers who buy one piece each, more of those who buy many."""
        away, hours = self.strayed
        return max(1.0, float(away / hours))

    def _compare(self, came: Floats, said: Floats) -> None:
        known = said > 0
        away = ((came - said)[known] ** 2 / np.maximum(said[known], LEAST_EXPECTED)).sum()
        self.strayed = 0.5 ** (1 / ERROR_HALF_LIFE) * self.strayed + [float(away), float(known.sum())]
        self.level = 0.5 ** (1 / LEVEL_HALF_LIFE) * self.level + [float(came.sum()), float(said.sum())]

    def _profile(self) -> Floats:
        hours = self.seen.sum(axis=0) / self.of.sum()
        weekdays = self._shrunk(self.seen.sum(axis=1), hours.sum() * self.of)
        usual = hours * weekdays[:, None]
        return np.asarray(usual * self._shrunk(self.seen, usual * self.of[:, None]))

    def _shrunk(self, seen: Floats, expected: Floats) -> Floats:
        """How many times what was expected there is, drawn to once as far as chance alone explains it."""
        beyond = float(((seen - expected) ** 2 - self.spread * expected).sum())
        differs = np.clip(beyond / max(float((expected**2).sum()), 1e-9), LEAST_DIFFERENCE, MOST_DIFFERENCE)
        shape = self.spread / differs
        return np.asarray((seen + shape) / (expected + shape))


def learned(hours: Mapping[int, float], first: int, last: int) -> Demand:
    """Of the days since the epoch from `first` until before `last`; nothing came in hours that are left out."""
    demand = Demand()
    for day in range(first, last):
        start = day * DAY_HOURS
        demand.learn(day, np.array([hours.get(start + hour, 0.0) for hour in range(DAY_HOURS)], dtype=np.float64))
    return demand
