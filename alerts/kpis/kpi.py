"""Counts by minute on their way from partition to partition, and what follows from them.

Counts travel by column: `COUNTERS` are known to the code by name and come first, those that `kpis.toml` alone knows
follow. A missing value is null, never zero: a minute without orders has no average order value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct, json

from features.times import HOUR_MS

COUNTERS = (
    "orders",
    "revenue_cents",
    "items",
    "discount_cents",
    "refunds",
    "refund_cents",
    "visits",
    "redemptions",
    "coupons_issued",
    "new_members",
    "ratings",
    "stars_x10",
    "complaints",
    "heartbeats",
)
COLUMN = {name: column for column, name in enumerate(COUNTERS)}


class Ratio(NamedTuple):
    """A KPI that follows from counters: `scale` times the sum of some, with their signs, by another."""

    name: str
    over: tuple[tuple[str, int], ...]
    under: str
    scale: float = 1.0


Counts = dict[int, int]  # column → count; what is not there is 0


class Partial(Struct, tag="partial"):
    """What one source partition has counted for a minute up to offset `version`; a newer one replaces it."""

    source: int
    dim: str
    minute_ms: int
    counters: Counts | list[int]
    version: int


class Row(Struct, array_like=True):
    """A partial among others of its source."""

    dim: str
    minute_ms: int
    counters: Counts
    version: int


class Partials(Struct, tag="partials"):
    """Partials that go to the same partition."""

    source: int
    rows: list[Row]


class ClockMark(Struct, tag="clock"):
    """How far one of `of` source partitions has come in event time."""

    source: int
    of: int
    at_ms: int


encode_partial = json.Encoder().encode
decode_partial = json.Decoder(Partial | Partials | ClockMark).decode


def store_of(dim: str) -> str:
    """Whose dimension it is; empty for others."""
    kind, _, name = dim.partition(":")
    return name if kind == "store" else ""


def counts_of(counters: Counts | list[int]) -> Counts:
    """What was kept as a list by column is read as well."""
    return counters if type(counters) is dict else {column: n for column, n in enumerate(counters) if n}


def total(parts: Iterable[Counts], columns: int) -> list[int]:
    """Sums by column."""
    sums = [0] * columns
    for counts in parts:
        for column, count in counts.items():
            sums[column] += count
    return sums


def ratios(counters: Mapping[str, int], ratios: Iterable[Ratio]) -> dict[str, float | None]:
    """The KPIs that follow from the counters; None where the denominator is not positive."""
    found: dict[str, float | None] = {}
    for ratio in ratios:
        under = counters[ratio.under]
        if under > 0:
            found[ratio.name] = ratio.scale * sum(sign * counters[name] for name, sign in ratio.over) / under
        else:
            found[ratio.name] = None
    return found


def hour_record(dim: str, at_ms: int) -> str:
    """Name of the record of a dimension's hour, e.g. `store:0012|486123`; also of the timer that deletes it."""
    return f"{dim}|{at_ms // HOUR_MS}"
