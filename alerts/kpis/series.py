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
    "eligible_orders",
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
    harm: int = 0  # the side on which it is somebody's business: -1 low, 1 high, 0 both
    weight: float = 1.0  # its part of the false alerts: they are spent where a fault costs most
    lasting: bool = (
        False  # more than usual counts in the longest window alone: a party, or guests who were called, soon go
    )


KPIS = (
    Kpi("orders", "count", PLACE["orders"], weight=3.0, lasting=True),
    Kpi("visits", "count", PLACE["visits"], shortest=10, weight=0.5, lasting=True),
    Kpi("redemptions", "count", PLACE["redemptions"], weight=0.5),
    Kpi("new_members", "count", PLACE["new_members"], weight=0.25, lasting=True),
    Kpi("alive", "count", ALIVE, shortest=10**9, weight=0.025, harm=-1),
    Kpi("conversion", "share", PLACE["orders"], PLACE["visits"], shortest=10, harm=-1),
    Kpi("redemption_share", "share", PLACE["redemptions"], PLACE["eligible_orders"], weight=3.0),
    Kpi("refund_rate", "share", PLACE["refunds"], PLACE["orders"], weight=0.5, harm=1),
    Kpi("complaint_rate", "share", PLACE["complaints"], PLACE["orders"], weight=0.25, harm=1),
    Kpi("late_delivery_rate", "share", PLACE["late_deliveries"], PLACE["promised"], harm=1),
    Kpi("aov_cents", "amount", PLACE["revenue_cents"], PLACE["orders"]),
)
SERIES = len(KPIS)
NAMES = tuple(kpi.name for kpi in KPIS)
ORDERS, VISITS, REDEMPTIONS, ALIVE_MINUTES = (NAMES.index(n) for n in ("orders", "visits", "redemptions", "alive"))
CONVERSION = NAMES.index("conversion")
REDEEMED = (REDEMPTIONS, NAMES.index("redemption_share"))
SOLD = (ORDERS, CONVERSION)  # that fall when something is not sold
REFUNDS, AOV = NAMES.index("refund_rate"), NAMES.index("aov_cents")
COUNTS = slice(0, 5)
SHARES = slice(5, 10)
OVER = [kpi.over for kpi in KPIS]
SHARE_UNDER = [KPIS[place].under for place in range(SHARES.start, SHARES.stop)]
UNDER = [NAMES.index(COUNTED[place]) if COUNTED[place] in NAMES else -1 for place in SHARE_UNDER]  # if judged itself
FAMILIES = tuple(  # series that one fault moves together
    {NAMES.index(name) for name in family}
    for family in (
        ("orders", "visits", "redemptions", "new_members", "alive", "conversion"),
        ("redemptions", "redemption_share"),
        ("refund_rate", "complaint_rate", "late_delivery_rate"),
        ("aov_cents",),
    )
)
TABLE = np.array(  # by series: counters over, under, kind, shortest window, series of the counter under, harm, lasting
    [
        [kpi.over for kpi in KPIS],
        [kpi.under for kpi in KPIS],
        [("count", "share", "amount").index(kpi.kind) for kpi in KPIS],
        [kpi.shortest for kpi in KPIS],
        [-1 if kpi.kind != "share" else UNDER[place - SHARES.start] for place, kpi in enumerate(KPIS)],
        [kpi.harm for kpi in KPIS],
        [kpi.lasting for kpi in KPIS],
    ]
)
SIDES = np.array([[1.0 if kpi.harm else 2.0] for kpi in KPIS])  # on which a value may lie, [SERIES, 1]
WEIGHTS = np.array([[kpi.weight] for kpi in KPIS]) * SERIES / sum(kpi.weight for kpi in KPIS)  # [SERIES, 1]
CATEGORY, OF_REGION = "category", "region+category"
LINES = (CATEGORY, OF_REGION)  # of products: an order counts in each that it has
KINDS = ("chain", "region", "channel", "campaign", *LINES, "store")  # judged; each has a part of the false alerts
ONLY = {
    "campaign": (REDEMPTIONS, 1),
    CATEGORY: (ORDERS, -1),
    OF_REGION: (ORDERS, -1),
}  # of a kind: one series, one side


def series_of(dim_kind: str, series: int) -> int:
    """What stands for a series in a kind of dimension: a campaign has redemptions, and no share of orders; a line of
    products has orders, and no visits."""
    if dim_kind == "campaign" and series in REDEEMED:
        return REDEMPTIONS
    return ORDERS if dim_kind in LINES and series in SOLD else series


LAYOUT = int.from_bytes(blake2b("|".join(COUNTED).encode(), digest_size=4).digest())  # of rows, and of what is learned

Counts = NDArray[np.int64]  # [WIDTH, dimensions]


def alive(counts: Counts, till: NDArray[np.bool_]) -> Counts:
    """Sets, for one minute, whether a dimension was heard: a store whose `till` sends heartbeats by these alone."""
    counts[ALIVE] = np.where(till, counts[PLACE["heartbeats"]] > 0, (counts[:ALIVE] != 0).any(axis=0))
    return counts
