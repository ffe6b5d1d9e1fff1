"""The slow, obvious twin of the minute counts: one event at a time, nothing but dicts, by the shipped `kpis.toml`."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.kpis.declared import read_kpis
from features import events as ev

SHIPPED = read_kpis(Path("config/kpis.toml").read_text(), "kpis.toml")
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
MINUTELY = ["store", "region", "channel", "campaign", "category", "daypart"]
MINUTELY += ["region+channel", "channel+campaign", "region+category", "region+campaign", "store+campaign"]
HOURLY = ["store+channel", "store+category", "region+daypart", "staff"]
DAYPARTS = {"breakfast": range(5, 11), "lunch": range(11, 14), "afternoon": range(14, 18), "evening": range(18, 23)}


class Chain:
    """What all partitions counted: `minutes[dim, minute_ms][counter]`, and what became of the events."""

    def __init__(self, retention_hours: int) -> None:
        self.retention_hours = retention_hours
        self.minutes: dict[tuple[str, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.fates: dict[str, int] = defaultdict(int)

    def count(self, log: list[ev.Event]) -> None:
        """Takes all events of one partition, in order."""
        ticks: dict[str, int] = {}
        now_ms, ids = 0, set()
        for event in log:
            if isinstance(event, ev.Tick):
                ticks[event.source] = max(event.at_ms, ticks.get(event.source, 0))
                if len(ticks) >= event.of:
                    now_ms = max(now_ms, min(ticks.values()))
                continue
            at_ms = counted_ms(event)
            known = (f"void|{event.order}" if isinstance(event, ev.Void) else event.id, at_ms // HOUR_MS)
            if at_ms // HOUR_MS + 1 + self.retention_hours <= now_ms / HOUR_MS:
                fate = "too_late"
            elif known in ids:
                fate = "duplicate"
            else:
                fate = "counted"
                ids.add(known)
                self._add(event, at_ms)
            who = "own" if ev.is_own(ev.kind_of(event), event.day) else "customer" if event.customer else "anonymous"
            self.fates[f"{fate} {who}"] += 1

    def _add(self, event: ev.Event, at_ms: int) -> None:
        for dim, minute_ms, category in dims_of(event, at_ms):
            for counter, number in counters(event, category).items():
                if number:
                    self.minutes[dim, minute_ms][counter] += number


def counted_ms(event: ev.Event) -> int:
    if isinstance(event, ev.CouponDelivered):
        return event.issued_ms or event.at_ms
    return event.ordered_ms if isinstance(event, ev.Void) else event.at_ms


def dims_of(event: ev.Event, at_ms: int) -> list[tuple[str, int, str]]:
    """(dimension, minute, category, if it is of one)"""
    minute_ms = at_ms // MINUTE_MS * MINUTE_MS
    last_ms = at_ms // HOUR_MS * HOUR_MS + 59 * MINUTE_MS
    found = [("chain:*", minute_ms, "")]
    for kind in MINUTELY + HOURLY:
        for values in combinations([values_of(event, at_ms, part) for part in kind.split("+")]):
            if "+" in kind:
                joined = "+".join(value.replace("%", "%25").replace("+", "%2B") for value in values)
            else:
                joined = values[0]
            category = values[kind.split("+").index("category")] if "category" in kind else ""
            found.append((f"{kind}:{joined}", last_ms if kind in HOURLY else minute_ms, category))
    return found


def combinations(choices: list[list[str]]) -> list[list[str]]:
    if not choices:
        return [[]]
    return [[first, *rest] for first in choices[0] for rest in combinations(choices[1:])]


def values_of(event: ev.Event, at_ms: int, part: str) -> list[str]:
    if part == "category":
        return sorted({line.category for line in event.lines if line.category}) if isinstance(event, ev.Order) else []
    if part == "daypart":
        if not event.tz:
            return []
        hour = datetime.fromtimestamp(at_ms / 1000, timezone.utc).astimezone(ZoneInfo(event.tz)).hour
        return [next((name for name, hours in DAYPARTS.items() if hour in hours), "night")]
    value = getattr(event, part, "")
    return [value] if value else []


def counters(event: ev.Event, category: str = "") -> dict[str, int]:
    """What an event adds; of an order's category, what its lines do."""
    match event:
        case ev.Void():
            found = {"orders": -1, "revenue_cents": -event.amount_cents, "items": -event.items}
            return {**found, "eligible_orders": -1 if event.customer else 0}
        case ev.Order():
            lines = [line for line in event.lines if not category or line.category == category]
            found = {
                "orders": 1,
                "rung_orders": 1,
                "eligible_orders": 1 if event.customer else 0,
                "mixed_orders": 1 if len({line.category for line in event.lines} - {""}) > 1 else 0,
                "wet_orders": int(event.rain_mm >= 0.1),
                "sold_items": sum(line.qty for line in lines),
                "sold_cents": sum(line.qty * line.price_cents for line in lines),
            }
            if not category:
                found["revenue_cents"] = event.total_cents
                found["items"] = sum(line.qty for line in event.lines)
                found["discount_cents"] = event.discount_cents
            return found
        case ev.Refund():
            return {"refunds": 1, "refund_cents": event.amount_cents}
        case ev.AppOpen():
            return {"visits": 1}
        case ev.Footfall():
            return {"visits": event.visitors, "footfall": event.visitors}
        case ev.CouponRedeemed():
            return {"redemptions": 1}
        case ev.CouponIssued():
            return {"coupons_issued": 1}
        case ev.CouponDelivered():
            return {"coupons_issued": event.issued}
        case ev.Bind():
            return {"new_members": 1}
        case ev.Rating():
            tenths = round(event.stars * 10)
            return {"ratings": 1, "stars_x10": tenths, "promoters": int(tenths >= 45), "detractors": int(tenths <= 30)}
        case ev.Complaint():
            return {"complaints": 1}
        case ev.DeliveryPromised():
            return {"promised": 1}
        case ev.DeliveryLate():
            return {"late_deliveries": 1}
        case ev.Heartbeat():
            return {"heartbeats": 1}
    return {}
