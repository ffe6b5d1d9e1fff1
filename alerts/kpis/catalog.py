"""What is counted by minute, what follows from the counts, and by what they are kept; `declared.py` reads it.

Counters are integers. Those that the code knows by name (`alerts.kpis.kpi.COUNTERS`) have the first columns, the
others follow in the order of the file: a new one goes to its end, and what was kept before it came stays good.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from alerts.kpis.kpi import COUNTERS, Ratio
from features.declared import text_fields, whole_numbers
from features.events import CUSTOMER_EVENTS, Placed

Every = Literal["1m", "1h"]
SLOT_MINUTES: dict[Every, int] = {"1m": 1, "1h": 60}
ITEMS = "items"  # a number of orders that is no field of theirs
STARS, RAIN = "star_tenths", "rain_tenths"
TENTHS = {STARS: "stars", RAIN: "rain_mm"}  # of decimals
CATEGORIES, LINES_QTY, LINES_CENTS = "categories", "lines.qty", "lines.cents"
OF_LINES = {LINES_QTY, LINES_CENTS}
OF_ORDERS = {CATEGORIES, *OF_LINES}
OF_EVENTS = ("store", "region", "channel", "campaign", "staff")  # texts of the event that it may be counted by
DAYPART, CATEGORY = "daypart", "category"  # of the store's clock; of an order's lines
CHAIN = "chain:*"
MOST_PARTS = 3  # of a cross: their numbers in a batch of thousands fit into 64 bits together
PARTS = (*OF_EVENTS, DAYPART, CATEGORY)
FORMERLY = {"coupons_issued: coupon_issued=1 coupon_delivered=issued": "coupons_issued: coupon_issued=1"}


class Term(NamedTuple):
    """What an event of a type adds: `sign` times a number of it, times 1 where `field` is empty."""

    event: str
    sign: int
    field: str

    def __str__(self) -> str:
        return f"{self.event}={self.sign if not self.field else '-' * (self.sign < 0) + self.field}"


class Condition(NamedTuple):
    """Of an event's field: a number from `low` to `high`, a text that is one of `texts`, or whether it is `named`."""

    field: str
    low: int = 0
    high: int = 0
    texts: tuple[str, ...] = ()
    named: bool | None = None

    def __str__(self) -> str:
        if self.named is not None:
            return f"{self.field}={self.named}"
        return f"{self.field}={','.join(self.texts)}" if self.texts else f"{self.field}={self.low}..{self.high}"


class Counter(NamedTuple):
    name: str
    terms: tuple[Term, ...]
    where: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        """Its meaning: counts that are kept for one are no counts of another."""
        where = "".join(f" where {condition}" for condition in self.where)
        return f"{self.name}: {' '.join(map(str, self.terms))}{where}"


class Dimension(NamedTuple):
    """The chain, where there are no parts. Counts of an hourly one stand in the last minute of their hour."""

    parts: tuple[str, ...]
    slot_minutes: int = 1

    @property
    def kind(self) -> str:
        return "+".join(self.parts) or "chain"


class KpiCatalog(NamedTuple):
    counters: tuple[Counter, ...]  # by column
    ratios: tuple[Ratio, ...] = ()
    dimensions: tuple[Dimension, ...] = (Dimension(()),)
    dayparts: dict[str, tuple[int, ...]] = {}  # hours of the store's clock
    targets: dict[str, dict[str, int]] = {}  # by dimension: counter → what is wanted of it in a day

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(counter.name for counter in self.counters)

    @property
    def layout(self) -> tuple[str, list[str]]:
        """What columns mean; and what they may have meant before, for counters are only ever added at the end.

        A counter of `FORMERLY` has come to count more, from then on.
        """
        meanings = [str(counter) for counter in self.counters]
        formerly = [FORMERLY.get(meaning, meaning) for meaning in meanings]
        every, before = (
            ["; ".join(each[:count]) for count in range(1, len(each) + 1)] for each in (meanings, formerly)
        )
        return every[-1], every[:-1] + before

    def slot_minutes(self, dim: str) -> int:
        return _slot_minutes(self.dimensions).get(dim.partition(":")[0], 1)


@lru_cache
def _slot_minutes(dimensions: tuple[Dimension, ...]) -> dict[str, int]:
    return {dimension.kind: dimension.slot_minutes for dimension in dimensions}


KNOWN_BY_NAME = KpiCatalog(tuple(Counter(name, ()) for name in COUNTERS))  # what the merge needs of any catalog


def numbers(event: str) -> set[str]:
    """What of an event can be added up."""
    placed = {RAIN} if issubclass(CUSTOMER_EVENTS[event], Placed) else set()
    return {*whole_numbers(event)} | placed | (OF_ORDERS if event == "order" else set())


def texts(event: str) -> set[str]:
    """What a condition may ask for; of lines, dimensions tell."""
    return {*text_fields(event), "customer"} - {"sku", "category"}


def dim_of(parts: tuple[str, ...], values: tuple[str, ...]) -> str:
    """`store:0012`, `store+channel:0012+app`: the kind, then the values in its order."""
    if len(values) == 1:
        return f"{parts[0]}:{values[0]}"
    return f"{'+'.join(parts)}:{'+'.join(map(_escaped, values))}" if parts else CHAIN


def _escaped(value: str) -> str:
    return value if value.isalnum() else value.replace("%", "%25").replace("+", "%2B")


def values_of(dim: str) -> list[str]:
    """What `dim_of` was given."""
    kinds, _, values = dim.partition(":")
    if "+" not in kinds:
        return [values]
    return [value.replace("%2B", "+").replace("%25", "%") for value in values.split("+")]
