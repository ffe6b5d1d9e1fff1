"""The KPIs: what is counted by minute, what follows from the counts.

Counters are integers and travel as lists in the order of `COUNTERS`; a new one goes to the end,
shorter lists count as zero there. A missing value is null, never zero: a minute without orders has
no average order value.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

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
)
COLUMN = {name: column for column, name in enumerate(COUNTERS)}

RATIOS = {  # name: (numerator, denominator, scale)
    "aov_cents": ("revenue_cents", "orders", 1.0),
    "conversion": ("orders", "visits", 1.0),
    "redemption_rate": ("redemptions", "coupons_issued", 1.0),
    "rating_mean": ("stars_x10", "ratings", 0.1),
}


class Partial(Struct, tag="partial"):
    """What one source partition has counted for a minute up to offset `version`; a newer one replaces it."""

    source: int
    dim: str
    minute_ms: int
    counters: list[int]
    version: int


class ClockMark(Struct, tag="clock"):
    """How far one of `of` source partitions has come in event time."""

    source: int
    of: int
    at_ms: int


encode_partial = json.Encoder().encode
decode_partial = json.Decoder(Partial | ClockMark).decode


def store_of(dim: str) -> str:
    """Whose dimension it is; empty for others."""
    kind, _, name = dim.partition(":")
    return name if kind == "store" else ""


def total(rows: Sequence[Sequence[int]]) -> Sequence[int]:
    """Column sums, in the order of `COUNTERS`."""
    if len(rows) == 1 and len(rows[0]) == len(COUNTERS):
        return rows[0]
    return [sum(column) for column in zip_longest([0] * len(COUNTERS), *rows, fillvalue=0)]


def ratios(counters: Sequence[int]) -> dict[str, float | None]:
    """The KPIs that follow from the counters; None where the denominator is not positive."""
    found: dict[str, float | None] = {}
    for name, (over, under, scale) in RATIOS.items():
        count = counters[COLUMN[under]]
        found[name] = scale * counters[COLUMN[over]] / count if count > 0 else None
    return found


def hour_record(dim: str, at_ms: int) -> str:
    """Name of the record of a dimension's hour, e.g. `store:0012|486123`; also of the timer that deletes it."""
    return f"{dim}|{at_ms // HOUR_MS}"
