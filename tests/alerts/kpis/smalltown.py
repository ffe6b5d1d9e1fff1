"""A small chain's closings, minute by minute, for the judge; what it told of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from alerts.kpis.book import Judging
from alerts.kpis.closing import Closing, encode_closing
from alerts.kpis.judge import Judge
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import COUNTED
from features.loop import Store
from features.times import MINUTE_MS, parse_time
from sim.minutes import COUNTERS, Town
from sim.outages import CAMPAIGNS, CATEGORIES, Outage

START_MS = parse_time("2026-03-02T00:00:00Z")
MINUTES = 60
Alert = dict[str, Any]
Change = Callable[[np.ndarray, int], np.ndarray]  # of counts by store, in a minute


def town() -> Town:
    return Town(1, 16, 1_500, START_MS)


STORES = town().stores


def judge() -> Judge:
    return Judge("alerts", "dead-letters", Judging(), {store.id: store.region for store in STORES}, Seasons())


def closings(hours: int, faults: list[Outage], start: int = 0, change: Change | None = None) -> Iterator[bytes]:
    """One message a minute, of one merging partition."""
    life, number = town(), start
    regions = sorted(set(life.regions))
    names = [*(f"store:{store.id}" for store in STORES), *(f"region:{region}" for region in regions), "chain:*"]
    names += [*(f"campaign:{name}" for name in CAMPAIGNS), *(f"category:{name}" for name in CATEGORIES)]
    names += [f"region+category:{region}+{name}" for name in CATEGORIES for region in regions]
    for hour in life.hours(hours, faults):
        for minute in range(MINUTES):
            at = hour.at_ms // MINUTE_MS + minute
            counts = change(hour.counts[minute], at * MINUTE_MS) if change else hour.counts[minute]
            of_regions = [counts[life.regions == region].sum(axis=0) for region in regions]
            lines = hour.categories[:, minute]
            every = [counts, [*of_regions, counts.sum(axis=0)], hour.campaigns[:, minute], lines.sum(axis=1), *lines]
            rows = np.concatenate(every)[:, [COUNTERS.index(name) for name in COUNTED]]
            some = np.flatnonzero(rows.any(axis=1))
            told, raw = [names[place] for place in some], rows[some].astype("<i8").tobytes()
            yield encode_closing(Closing(0, 1, number, (at + 1) * MINUTE_MS, told, [at] * len(told), raw))
            number += 1


def alerts_of(store: Store) -> list[Alert]:
    return [json.loads(message.value)["data"] for message in store.sent if message.topic == "alerts"]


def firing(alerts: list[Alert], fault: Outage) -> list[Alert]:
    return [a for a in alerts if a["state"] == "firing" and fault.from_ms <= a["started_ms"] < fault.to_ms]
