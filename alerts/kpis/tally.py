"""What one event adds to which counters, and under which dimensions.

Revenue is the total of orders, gross. A void undoes the sale: it takes the order, its items and its
money out of the minute in which they were ordered. A refund leaves the sale as it was and is counted
in its own minute, so that a wave of refunds shows when it happens. A void names neither campaign nor
discount, so those of the order remain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alerts.kpis.kpi import COLUMN
from features import events as ev

Deltas = tuple[tuple[int, int], ...]  # (column, what it grows by)

CHAIN = "chain:*"
KINDS = ("store", "region", "channel", "campaign")


def _deltas(**counters: int) -> Deltas:
    return tuple((COLUMN[name], count) for name, count in counters.items() if count)


def _order(event: ev.Order) -> Deltas:
    items = sum(line.qty for line in event.lines)
    return _deltas(orders=1, revenue_cents=event.total_cents, items=items, discount_cents=event.discount_cents)


def _void(event: ev.Void) -> Deltas:
    return _deltas(orders=-1, revenue_cents=-event.amount_cents, items=-event.items)


TALLIES: dict[type[ev.Event], Callable[[Any], Deltas]] = {
    ev.Order: _order,
    ev.Void: _void,
    ev.Refund: lambda event: _deltas(refunds=1, refund_cents=event.amount_cents),
    ev.AppOpen: lambda event: _deltas(visits=1),
    ev.Footfall: lambda event: _deltas(visits=event.visitors),
    ev.CouponRedeemed: lambda event: _deltas(redemptions=1),
    ev.CouponIssued: lambda event: _deltas(coupons_issued=1),
    ev.Bind: lambda event: _deltas(new_members=1),
    ev.Rating: lambda event: _deltas(ratings=1, stars_x10=round(event.stars * 10)),
    ev.Complaint: lambda event: _deltas(complaints=1),
}


def tally(event: ev.Event) -> Deltas:
    """Empty when the event moves no KPI."""
    count = TALLIES.get(type(event))
    return count(event) if count else ()


def counted_ms(event: ev.Event) -> int:
    """The time at which an event counts: a void where its order did, all else at its own."""
    return event.ordered_ms if isinstance(event, ev.Void) else event.at_ms


def dimensions(event: ev.Event) -> list[str]:
    """`chain:*`, then each of `store:…`, `region:…`, `channel:…`, `campaign:…` that the event names."""
    named = ((kind, getattr(event, kind, "")) for kind in KINDS)
    return [CHAIN, *(f"{kind}:{value}" for kind, value in named if value)]
