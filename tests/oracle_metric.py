"""The slow and obvious twin of alerts/metric: each view of each value by its definition, from all values so far."""

from __future__ import annotations

from collections import defaultdict
from math import floor, inf, log, log2, log10, nan, sqrt

from alerts.metric.detector import Settings

DAY_MS = 86_400_000


def rarities(settings: Settings, at_ms: list[int], values: list[float]) -> list[list[float]]:
    """Of each value: -log10 p of the eight views of it as it is, without arcsinh."""
    past = [Past(settings) for _ in range(8)]
    days = defaultdict[int, list[float]](list)
    residuals, found = list[float](), []
    for i in range(len(values)):
        seen = [value - values[0] for value in values[: i + 1]]
        slot = at_ms[i] % DAY_MS * settings.slots_of_day // DAY_MS
        residual = seen[-1] - usual(settings, days[slot]) if days[slot] else 0.0
        residuals.append(residual)
        views = means(settings, seen) + shapes(settings, seen)
        views += [abs(residual) if days[slot] else nan]
        lately = residuals[-settings.residuals :]
        views += [abs(sum(lately) / len(lately)) if days[slot] and i >= settings.residuals else nan]
        days[slot].append(seen[-1])
        found.append([one.learn(view) if view == view else 0.0 for one, view in zip(past, views, strict=True)])
        for one in past:
            one.age()
    return found


def usual(settings: Settings, before: list[float]) -> float:
    mean = 0.0
    for count, value in enumerate(before, 1):
        mean += (value - mean) * max(settings.profile_weight, 1 / count)
    return mean


def means(settings: Settings, seen: list[float]) -> list[float]:
    before = seen[:-1][-settings.history :]
    mean = sum(before) / len(before) if before else 0.0
    short, long = seen[-settings.short :], seen[-settings.long :]
    return [
        abs(seen[-1] - mean) if len(before) >= 16 else nan,
        abs(sum(short) / settings.short - mean) if len(seen) > 16 else nan,
        abs(sum(long) / settings.long - mean) if len(seen) > settings.long else nan,
    ]


def shapes(settings: Settings, seen: list[float]) -> list[float]:
    found = []
    for lag in settings.lags:
        window, distances = seen[-lag:], []
        for back in range(max(lag, settings.apart), min(settings.history, len(seen) - lag) + 1):
            other = seen[len(seen) - lag - back : len(seen) - back]
            distances.append(sum((x - y) ** 2 for x, y in zip(window, other, strict=True)))
        ranked = sorted(distances)
        known = len(distances) > lag
        found.append(sqrt(ranked[min(settings.nearest, len(ranked)) - 1] / lag) if known else nan)
    return found


class Past:
    """All values of a view, each with its weight."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.values, self.weights, self.base = settings, list[float](), list[float](), -inf

    def age(self) -> None:
        self.weights = [weight * 0.5 ** (1 / self.settings.half_life) for weight in self.weights]

    def slot(self, x: float) -> int:
        return min(159, max(0, floor((log2(x) - self.base) * 4))) if x > 0 else 0

    def learn(self, x: float) -> float:
        if self.base == -inf and x > 0:
            self.base = log2(x) - 20
        found = min(self.settings.cap, self.rarity(x)) if len(self.values) >= self.settings.least_seen else 0.0
        self.values.append(x)
        self.weights.append(1.0)
        return found

    def rarity(self, x: float) -> float:
        """Values of a slot are taken to be spread evenly over it where the tail starts in its midst."""
        weights, amounts = [0.0] * 160, [0.0] * 160
        for value, weight in zip(self.values, self.weights, strict=True):
            weights[self.slot(value)] += weight
            amounts[self.slot(value)] += weight * value
        everything, mine = sum(weights), self.slot(x)
        wanted = self.settings.tail * everything
        first = max(slot for slot in range(160) if slot == 0 or sum(weights[slot:]) >= wanted)
        rest = sum(weights[first + 1 :])
        share = (wanted - rest) / weights[first] if first else 1.0
        high = 2 ** (self.base + (first + 1) / 4)
        start = high - share * (high - 2 ** (self.base + first / 4)) if first else 0.0
        above = rest + share * weights[first]
        amount = share * weights[first] * (start + high) / 2 if first else amounts[0]
        excess = (sum(amounts[first + 1 :]) + amount) / above - start
        if x >= start:
            if excess <= 1e-9 * start:
                return inf if x > start else -log10(above / everything)
            return -log10(above / everything) + (x - start) / excess / log(10)
        rarer = above + sum(weights[mine + 1 : first]) + (1 - share) * weights[first] * (0.5 if mine == first else 1)
        rarer += weights[mine] / 2 if mine < first else 0
        return -log10(min(1.0, rarer / everything))
