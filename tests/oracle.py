"""The slow, obvious twin of a customer's record: every event in a list, every feature computed from that list."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from math import nan
from typing import Any
from zoneinfo import ZoneInfo

from features import events as e

FIVE_MS, HOUR_MS, DAY_MS = 300_000, 3_600_000, 86_400_000
UNIT_MS = {"m": 60_000, "h": HOUR_MS, "d": DAY_MS}


class Customer:
    """One customer's whole past; `declared` is the parsed features file."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.declared = declared
        self.events: list[e.Event] = []

    def take(self, event: e.Event) -> bool:
        """False when an event of this id was taken before."""
        if any(event.id == known.id for known in self.events):
            return False
        self.events.append(event)
        return True

    @property
    def newest_ms(self) -> int:
        return max(event.at_ms for event in self.events)

    @property
    def zone(self) -> str:
        """The zone of the event that came last."""
        return next((event.tz for event in reversed(self.events) if event.tz), "UTC")

    def features(self, at_ms: int) -> dict[str, float]:
        """Every declared feature as of `at_ms`, by name; NaN where there is none."""
        row = {
            f"{measure}_{window}": self.total(measure, window, at_ms)
            for window in self.declared["windows"]
            for measure in self.declared["measures"]
        }
        for name, (top, bottom) in self.declared["ratios"].items():
            row[name] = row[top] / row[bottom] if row[bottom] != 0 else nan
        for name, recency in self.declared["recency"].items():
            row[name] = self.since_last(recency["event"], at_ms) / UNIT_MS[recency["unit"]]
        return row | self.built_in(at_ms)

    def total(self, measure: str, window: str, at_ms: int) -> int:
        """Sum over a window: of what each event adds, or takes back in the pane of the order that it undoes."""
        total = 0
        for event in self.events:
            amount = self.declared["measures"][measure].get(e.kind_of(event), 0)
            undone = str(amount).startswith("-")
            moment_ms = event.ordered_ms if undone else event.at_ms
            if covers(window, moment_ms, event.tz or "UTC", at_ms, self.zone):
                total += value_of(event, amount)
        return total

    def since_last(self, kind: str, at_ms: int) -> float:
        times = [event.at_ms for event in self.events if e.kind_of(event) == kind]
        return max(0, at_ms - max(times)) if times else nan

    def built_in(self, at_ms: int) -> dict[str, float]:
        orders = [event.at_ms for event in self.events if isinstance(event, e.Order)]
        standing = self.total("orders", "lifetime", at_ms)  # without the voided ones
        rhythm = (max(orders) - min(orders)) / (standing - 1) / DAY_MS if orders and standing > 1 else nan
        return {
            "rhythm_days": rhythm,
            "gap_over_rhythm": (max(0, at_ms - max(orders)) / DAY_MS) / rhythm if rhythm > 0 else nan,
            "age_days": max(0, at_ms - min(orders)) / DAY_MS if orders else nan,
            "complaints_open": len(self.open_cases()),
        }

    def open_cases(self) -> list[str]:
        """In log order: an answer that closes takes one complaint of its case away."""
        cases: list[str] = []
        for event in self.events:
            if isinstance(event, e.Complaint):
                cases.append(event.case)
            elif isinstance(event, e.ComplaintAnswered) and event.closed and event.case in cases:
                cases.remove(event.case)
        return cases

    def granted(self, purpose: str) -> bool:
        """The word with the latest event time counts; of two at one instant, the refusal."""
        words = [c for c in self.events if isinstance(c, e.Consent) and c.purpose == purpose]
        latest_ms = max((c.at_ms for c in words), default=0)
        return bool(words) and all(c.granted for c in words if c.at_ms == latest_ms)


def covers(window: str, moment_ms: int, zone: str, at_ms: int, home: str) -> bool:
    """Whether a pane of the window holds this moment: from the pane `at_ms` − length falls into, to that of `at_ms`."""
    if window == "lifetime":
        return True
    if window in ("1h", "24h"):
        pane_ms, length_ms = (FIVE_MS, HOUR_MS) if window == "1h" else (HOUR_MS, 24 * HOUR_MS)
        return (at_ms - length_ms) // pane_ms <= moment_ms // pane_ms <= at_ms // pane_ms
    today = day_in(home, at_ms)
    return today - timedelta(days=int(window[:-1])) <= day_in(zone, moment_ms) <= today


def day_in(zone: str, at_ms: int) -> date:
    """Calendar date on a zone's own wall."""
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=at_ms)
    return moment.astimezone(ZoneInfo(zone)).date()


def value_of(event: Any, amount: int | str) -> int:
    """What `1`, `-1`, `"field"` or `"-field"` is for this event."""
    if isinstance(amount, int):
        return amount
    sign, field = (-1, amount[1:]) if amount.startswith("-") else (1, amount)
    if field == "items" and isinstance(event, e.Order):
        return sign * sum(line.qty for line in event.lines)
    if field == "star_tenths":
        return sign * round(event.stars * 10)
    return sign * int(getattr(event, field))
