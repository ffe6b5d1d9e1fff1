"""The series that are judged: eleven of each dimension, made of its counters."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

COUNTED = (  # the counters that judging needs, in the order in which they travel to it; one that nobody counts is 0
    "orders",
    "revenue_cents",
    "visits",
    "redemptions",
    "new_members",
    "refunds",
    "complaints",
    "discount_cents",
    "wet_orders",
    "promised",
    "late_deliveries",
    "heartbeats",
)
PLACE = {name: place for place, name in enumerate(COUNTED)}
ALIVE = len(COUNTED)  # behind them, made where they are judged: minutes in which a dimension was heard
WIDTH = ALIVE + 1


class Kpi(NamedTuple):
    """`over` alone is a count; over `under` a share, or a mean amount."""

    name: str
    kind: Literal["count", "share", "amount"]
    over: int
    under: int = -1
    shortest: int = 1  # window, in minutes, that says something: doors count visitors by five minutes


KPIS = (
    Kpi("orders", "count", PLACE["orders"]),
    Kpi("visits", "count", PLACE["visits"], shortest=10),
    Kpi("redemptions", "count", PLACE["redemptions"]),
    Kpi("new_members", "count", PLACE["new_members"]),
    Kpi("alive", "count", ALIVE, shortest=10**9),
    Kpi("conversion", "share", PLACE["orders"], PLACE["visits"], shortest=10),
    Kpi("redemptions_per_order", "share", PLACE["redemptions"], PLACE["orders"]),
    Kpi("refund_rate", "share", PLACE["refunds"], PLACE["orders"]),
    Kpi("complaint_rate", "share", PLACE["complaints"], PLACE["orders"]),
    Kpi("late_delivery_rate", "share", PLACE["late_deliveries"], PLACE["promised"]),
    Kpi("aov_cents", "amount", PLACE["revenue_cents"], PLACE["orders"]),
)
SERIES = len(KPIS)
NAMES = tuple(kpi.name for kpi in KPIS)
ORDERS, VISITS, REDEMPTIONS, ALIVE_MINUTES = (NAMES.index(n) for n in ("orders", "visits", "redemptions", "alive"))
REFUNDS, AOV = NAMES.index("refund_rate"), NAMES.index("aov_cents")
COUNTS = slice(0, 5)
SHARES = slice(5, 10)
OVER = [kpi.over for kpi in KPIS]
SHARE_UNDER = [KPIS[place].under for place in range(SHARES.start, SHARES.stop)]
UNDER = [NAMES.index(COUNTED[place]) if COUNTED[place] in NAMES else -1 for place in SHARE_UNDER]  # if judged itself
CONVERSION = NAMES.index("conversion")
FAMILIES = tuple(  # series that one fault moves together
    {NAMES.index(name) for name in family}
    for family in (
        ("orders", "visits", "redemptions", "new_members", "alive", "conversion"),
        ("redemptions", "redemptions_per_order"),
        ("refund_rate", "complaint_rate", "late_delivery_rate"),
        ("aov_cents",),
    )
)
TABLE = np.array(  # by series: counters over and under, kind, shortest window, and which series the counter under is
    [
        [kpi.over for kpi in KPIS],
        [kpi.under for kpi in KPIS],
        [("count", "share", "amount").index(kpi.kind) for kpi in KPIS],
        [kpi.shortest for kpi in KPIS],
        [-1 if kpi.kind != "share" else UNDER[place - SHARES.start] for place, kpi in enumerate(KPIS)],
    ]
)
KINDS = ("chain", "region", "channel", "store")  # of dimensions that are judged; each has a part of the false alerts

LAYOUT = int.from_bytes(blake2b("|".join(COUNTED).encode(), digest_size=4).digest())  # of rows, and of what is learned

Counts = NDArray[np.int64]  # [WIDTH, dimensions]


def alive(counts: Counts, till: NDArray[np.bool_]) -> Counts:
    """Sets, for one minute, whether a dimension was heard: a store whose `till` sends heartbeats by these alone."""
    counts[ALIVE] = np.where(till, counts[PLACE["heartbeats"]] > 0, (counts[:ALIVE] != 0).any(axis=0))
    return counts
