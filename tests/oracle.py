"""The slow, obvious twin of a customer's record: every event in a list, every feature computed from that list."""

from __future__ import annotations

import statistics
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from math import nan
from typing import Any

from features import events as e
from tests.oracle_values import WINDOWED, clock, fits, month, points, unbounded, values_of

FIVE_MS, HOUR_MS, DAY_MS = 300_000, 3_600_000, 86_400_000
UNIT_MS = {"m": 60_000, "h": HOUR_MS, "d": DAY_MS}


class Customer:
    """One customer's whole past; `declared` is the parsed features file."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.declared = declared
        self.events: list[Any] = []

    def take(self, event: e.Event) -> bool:
        """False when an event of this id, or a void of this order, was taken before."""
        fresh = all(_told_by(event) != _told_by(known) for known in self.events)
        self.events += [event] if fresh else []
        return fresh

    @property
    def newest_ms(self) -> int:
        return max(event.at_ms for event in self.events)

    @property
    def zone(self) -> str:
        """The zone of the event that came last."""
        return self.zone_of(self.events[-1]) if self.events else "UTC"

    def zone_of(self, event: e.Event) -> str:
        """The event's own, or that of the one before it."""
        known = self.events[: self.events.index(event) + 1]
        return next((one.tz for one in reversed(known) if one.tz), "UTC")

    def features(self, at_ms: int) -> dict[str, float]:
        """Every declared feature as of `at_ms`, by name; NaN where there is none. A text is its code."""
        row: dict[str, Any] = {}
        for name, measure in self.declared["measures"].items():
            aggregate, values = measure.get("aggregate", "sum"), self.values(measure)
            if aggregate not in WINDOWED:
                row |= unbounded(name, measure, values, at_ms)
                continue
            for window in measure.get("windows", self.declared["windows"]):
                inside = [(value, weight) for value, weight, moment in values if self.covers(window, moment, at_ms)]
                row[f"{name}_{window}"] = WINDOWED[aggregate](inside)
        for name, recency in self.declared["recency"].items():
            row[name] = self.since_last(recency["event"], at_ms) / UNIT_MS[recency["unit"]]
        row |= self.rhythm(at_ms) | self.points(at_ms) | {"complaints_open": len(self.open_cases())}
        for name, (top, bottom) in self.declared["ratios"].items():
            row[name] = row[top] / row[bottom] if row[bottom] != 0 else nan
        for name, band in self.declared["bands"].items():
            step = 1 + sum(row[band["of"]] >= cut for cut in band["cuts"])
            step = len(band["cuts"]) + 2 - step if band.get("best") == "low" else step
            row[name] = step if row[band["of"]] == row[band["of"]] else nan
        for name, segments in self.declared["segments"].items():
            fits = [all(low <= row[f] <= high for f, (low, high) in s["when"].items()) for s in segments]
            row[name] = fits.index(True) + 1 if True in fits else nan
        return row

    def values(self, measure: dict[str, Any]) -> list[tuple[Any, int, tuple[int, str]]]:
        """(value, weight or sign, (time, zone)) of all that counts; what is undone stands at the time of its order."""
        found = []
        for event in self.events:
            amount = measure.get(e.kind_of(event))
            if amount is None:
                continue
            undone = str(amount).startswith("-")
            moment_ms = event.ordered_ms if undone else event.at_ms
            lines = [line for line in getattr(event, "lines", [None]) if fits(event, line, moment_ms, measure)]
            for value, weight in values_of(event, lines, amount) if lines else ():
                found.append((value, -weight if undone else weight, (moment_ms, self.zone_of(event))))
        return found

    def covers(self, window: str, moment: tuple[int, str], at_ms: int) -> bool:
        """Whether the window holds the moment's pane: from the pane `at_ms` − length falls into, to that of `at_ms`."""
        if window in ("1h", "24h"):
            pane_ms, length_ms = (FIVE_MS, HOUR_MS) if window == "1h" else (HOUR_MS, 24 * HOUR_MS)
            return (at_ms - length_ms) // pane_ms <= moment[0] // pane_ms <= at_ms // pane_ms
        today, day = clock(at_ms, self.zone).date(), clock(*moment).date()
        return window == "lifetime" or today - timedelta(days=int(window[:-1])) <= day <= today

    def since_last(self, kind: str, at_ms: int) -> float:
        times = [event.at_ms for event in self.events if e.kind_of(event) == kind]
        return max(0, at_ms - max(times)) if times else nan

    def rhythm(self, at_ms: int) -> dict[str, float]:
        orders = [event.at_ms for event in self.events if isinstance(event, e.Order)]
        standing = sum(v * w for v, w, _ in self.values(self.declared["measures"]["orders"]))  # without the voided ones
        rhythm = (max(orders) - min(orders)) / (standing - 1) / DAY_MS if orders and standing > 1 else nan
        latest: list[int] = []
        for event in self.events:
            if isinstance(event, e.Order):
                latest = sorted([*latest, event.at_ms])[-16:]
            elif isinstance(event, e.Void) and event.ordered_ms in latest:
                latest.remove(event.ordered_ms)
        gaps = [(later - one) / DAY_MS for one, later in pairwise(latest)]
        return {
            "rhythm_days": rhythm,
            "rhythm_spread_days": statistics.pstdev(gaps) if len(gaps) > 1 else nan,
            "gap_over_rhythm": (max(0, at_ms - max(orders)) / DAY_MS) / rhythm if rhythm > 0 else nan,
            "age_days": max(0, at_ms - min(orders)) / DAY_MS if orders else nan,
        }

    def points(self, at_ms: int) -> dict[str, float]:
        """Cents and points by month, of all that is known."""
        sums: list[dict[int, int]] = []
        for part in ("earn", "spend"):
            sums.append(defaultdict(int))
            for value, sign, moment in self.values(self.declared["points"][part]):
                sums[-1][month(*moment)] += value * sign
        return points(self.declared["points"], *sums, month(at_ms, self.zone))

    def open_cases(self) -> list[str]:
        """By the last word on each case, in log order: closed where it was settled or the guest is satisfied."""
        is_open: dict[str, bool] = {}
        for event in self.events:
            if isinstance(event, e.Complaint):
                is_open[event.case] = True
            elif isinstance(event, e.ComplaintConfirmed):
                is_open[event.case] = not event.satisfied
            elif isinstance(event, e.ComplaintAnswered) and event.closed:
                is_open[event.case] = False
        return [case for case, yes in is_open.items() if yes]

    def granted(self, purpose: str) -> bool:
        """The word with the latest event time counts; of two at one instant, the refusal."""
        words = [c for c in self.events if isinstance(c, e.Consent) and c.purpose == purpose]
        latest_ms = max((c.at_ms for c in words), default=0)
        return bool(words) and all(c.granted for c in words if c.at_ms == latest_ms)


def _told_by(event: e.Event) -> tuple[str, str]:
    return ("void", event.order) if isinstance(event, e.Void) else ("", event.id)
