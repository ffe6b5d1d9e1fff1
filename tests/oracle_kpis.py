"""The slow, obvious twin of the minute counts: one event at a time, nothing but dicts."""

from __future__ import annotations

from collections import defaultdict

from features import events as ev

HOUR_MS = 3_600_000


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
            at_ms = event.ordered_ms if isinstance(event, ev.Void) else event.at_ms
            if at_ms // HOUR_MS + 1 + self.retention_hours <= now_ms / HOUR_MS:
                fate = "too_late"
            elif (event.id, event.at_ms // HOUR_MS) in ids:
                fate = "duplicate"
            else:
                fate = "counted"
                ids.add((event.id, event.at_ms // HOUR_MS))
                self._add(event, at_ms - at_ms % 60_000)
            self.fates[f"{fate} {'customer' if event.customer else 'anonymous'}"] += 1

    def _add(self, event: ev.Event, minute_ms: int) -> None:
        dims = ["chain:*"]
        for kind in ("store", "region", "channel", "campaign"):
            if getattr(event, kind, ""):
                dims.append(f"{kind}:{getattr(event, kind)}")
        for counter, number in counters(event).items():
            if number:
                for dim in dims:
                    self.minutes[dim, minute_ms][counter] += number


def counters(event: ev.Event) -> dict[str, int]:
    """What an event adds."""
    match event:
        case ev.Void():
            return {"orders": -1, "revenue_cents": -event.amount_cents, "items": -event.items}
        case ev.Order():
            return {
                "orders": 1,
                "revenue_cents": event.total_cents,
                "items": sum(line.qty for line in event.lines),
                "discount_cents": event.discount_cents,
            }
        case ev.Refund():
            return {"refunds": 1, "refund_cents": event.amount_cents}
        case ev.AppOpen():
            return {"visits": 1}
        case ev.Footfall():
            return {"visits": event.visitors}
        case ev.CouponRedeemed():
            return {"redemptions": 1}
        case ev.CouponIssued():
            return {"coupons_issued": 1}
        case ev.Bind():
            return {"new_members": 1}
        case ev.Rating():
            return {"ratings": 1, "stars_x10": round(event.stars * 10)}
        case ev.Complaint():
            return {"complaints": 1}
    return {}
