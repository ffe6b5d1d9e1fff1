"""What a correlation measures of a window's events: how many, their sum or mean, how many values, which of them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from typing import Protocol

from msgspec import Struct

from alerts.sigma.correlating import TEMPORAL, Correlation


class Counted(Struct, array_like=True):
    """One event of a group, or several that were added up; the id is kept for the latest few only, as evidence."""

    at_ms: int
    value: float | int
    id: str = ""
    events: int = 1


class Measure(Protocol):
    """What a window's events come to, one by one."""

    def add(self, event: Counted, sign: int) -> None: ...

    @property
    def mask(self) -> int: ...

    @property
    def measured(self) -> float: ...


def measure_of(rule: Correlation) -> Measure:
    if rule.kind in TEMPORAL:
        return Seen()
    if rule.kind == "value_count":
        return Distinct()
    if rule.kind in ("value_percentile", "value_median"):
        return Rank(rule.percentile)
    return Mean() if rule.kind == "value_avg" else Total()


class Total:
    """The sum; of counted events, their number."""

    mask = 0

    def __init__(self) -> None:
        self.measured: float = 0

    def add(self, event: Counted, sign: int) -> None:
        self.measured += sign * event.value


class Mean:
    mask = 0

    def __init__(self) -> None:
        self.total: float = 0
        self.events = 0

    def add(self, event: Counted, sign: int) -> None:
        self.total += sign * event.value
        self.events += sign * event.events

    @property
    def measured(self) -> float:
        return self.total / self.events


class Distinct:
    """How many different values."""

    mask = 0

    def __init__(self) -> None:
        self.values = Counter[float]()

    def add(self, event: Counted, sign: int) -> None:
        self.values[event.value] += sign
        if not self.values[event.value]:
            del self.values[event.value]

    @property
    def measured(self) -> float:
        return len(self.values)


class Rank:
    """The value at a percentile, in between by straight lines: 50 is the median."""

    mask = 0

    def __init__(self, percentile: float) -> None:
        self.percentile = percentile
        self.values: list[float] = []

    def add(self, event: Counted, sign: int) -> None:
        if sign > 0:
            insort(self.values, event.value)
        else:
            del self.values[bisect_left(self.values, event.value)]

    @property
    def measured(self) -> float:
        place = (len(self.values) - 1) * self.percentile / 100
        low = int(place)
        high = min(low + 1, len(self.values) - 1)
        return self.values[low] + (self.values[high] - self.values[low]) * (place - low)


class Seen:
    """How many different rules met, and which."""

    def __init__(self) -> None:
        self.masks = Counter[int]()

    def add(self, event: Counted, sign: int) -> None:
        self.masks[int(event.value)] += sign

    @property
    def mask(self) -> int:
        seen = 0
        for mask, times in self.masks.items():
            seen |= mask if times else 0
        return seen

    @property
    def measured(self) -> float:
        return self.mask.bit_count()
