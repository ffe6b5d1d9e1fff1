"""Faults of a simulated chain that the judging of KPIs finds, how soon, and what it finds where nothing is wrong.

python -m benchmarks.incidents [--stores 2000] [--days 7] [--learn 14] [--quiet SERIES] [--shortages] [--quick]
    [--plot FILE] [--json FILE]

Counts by minute, drawn by the laws of `sim.minutes` and not order by order, go as closings straight into the job
that judges them, without Kafka and Redis. Faults (`sim.outages`) begin after the days of learning, five a day. One is
found when an incident fires, between its beginning and half an hour after its end, of a dimension that it touches; an
incident that no fault touches is false. `--quiet`: no faults, so many series, and every incident is false.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import orjson
from msgspec import Struct
from rich.progress import track
from rich.table import Table

from alerts.kpis.book import Judging
from alerts.kpis.catalog import values_of
from alerts.kpis.closing import ROWS, Closing, encode_closing
from alerts.kpis.incident import kind, region_of_line
from alerts.kpis.judge import Judge
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import CATEGORY, COUNTED, LINES, SERIES
from benchmarks.house import out
from benchmarks.incident_plot import Course, draw
from brewline.backtests.plot import check_plot, write_picture
from brewline.results import write_json
from features.job import Batch
from features.loop import Store, run
from features.times import DAY_MS, MINUTE_MS, parse_time, rfc3339
from sim.minutes import COUNTERS, Minutes, Town
from sim.outages import CAMPAIGNS, CATEGORIES, CHANNELS, Outage, plan_outages, plan_shortages

START_MS = parse_time("2026-03-02T00:00:00Z")  # a Monday
AFTER_MS = 30 * MINUTE_MS
LIVE_MINUTES = 60  # at the end, one batch a minute as in live running


class Found(Struct):
    """An incident as it was told first, and when it was resolved; 0: never."""

    id: str
    dim: str
    kpis: list[str]
    at_ms: int
    why: str
    began_ms: int  # from the minute on in which it was unusual enough
    window: int  # minutes that were looked at
    resolved_ms: int = 0


class Delay(NamedTuple):
    """Minutes from a fault's beginning until it was told, by what they were waited for."""

    evidence: float  # until a minute began that was unusual enough
    hold: float  # from pending to firing
    clock: float  # until a minute has ended

    @property
    def whole(self) -> float:
        return sum(self)


class Chain:
    """A town and its judge; `found` grows with each hour."""

    def __init__(self, seed: int, stores: int, orders: float) -> None:
        self.town = Town(seed, stores, orders, START_MS)
        self.regions = sorted(set(self.town.regions))
        names = [*(f"region:{region}" for region in self.regions), "chain:*", *(f"channel:{name}" for name in CHANNELS)]
        names += [*(f"campaign:{name}" for name in CAMPAIGNS), *(f"category:{name}" for name in CATEGORIES)]
        names += [f"region+category:{region}+{name}" for name in CATEGORIES for region in self.regions]
        self.dims = [*(f"store:{store.id}" for store in self.town.stores), *names]
        self.job = Judge("alerts", "dead-letters", Judging(), {s.id: s.region for s in self.town.stores}, Seasons())
        self.store, self.offset = Store(), 0
        self.found: dict[str, Found] = {}
        self.busy_s = 0.0

    def live(self, hours: int, outages: list[Outage], course: Course | None, live_from: int) -> None:
        """`live_from`: the hour from which each minute is a batch of its own, and time is taken anew."""
        for hour, minutes in enumerate(track(self.town.hours(hours, outages), "hours", total=hours, console=out)):
            if hour == live_from:
                self.busy_s = 0.0
            values = [value for minute in range(60) for value in self._closings(minutes, minute)]
            pieces = 60 if hour >= live_from else 1
            for part in np.array_split(np.arange(len(values)), pieces):
                self._judge([values[place] for place in part])
            if course is not None:
                course.note(self.job, self.store, minutes.at_ms)

    def _closings(self, minutes: Minutes, minute: int) -> Iterator[bytes]:
        counts = minutes.counts[minute]
        regions = [counts[self.town.regions == region].sum(axis=0) for region in self.regions]
        channels = minutes.channels[:, minute].sum(axis=1)
        campaigns = minutes.campaigns[:, minute]
        lines = minutes.categories[:, minute]
        every = [counts, [*regions, counts.sum(axis=0)], channels, campaigns, lines.sum(axis=1), *lines]
        rows = np.concatenate(every)[:, [COUNTERS.index(c) for c in COUNTED]]
        some = np.flatnonzero(rows.any(axis=1))
        number = minutes.at_ms // MINUTE_MS + minute
        for start in range(0, max(1, len(some)), ROWS):
            these = some[start : start + ROWS]
            at_ms = (number + 1) * MINUTE_MS if start + ROWS >= len(some) else 0
            dims, raw = [self.dims[place] for place in these], rows[these].astype("<i8").tobytes()
            self.offset += 1
            yield encode_closing(Closing(0, 1, self.offset, at_ms, dims, [number] * len(these), raw))

    def _judge(self, values: list[bytes]) -> None:
        after = self.store.position.offset
        batch = Batch("kpi.closings", 0, after, [after + 1 + n for n in range(len(values))], values, [0] * len(values))
        started = time.process_time()
        run(self.job, [batch], {0: self.store})
        self.busy_s += time.process_time() - started
        for message in self.store.sent:
            self._note(orjson.loads(message.value))
        self.store.sent.clear()

    def _note(self, event: dict[str, Any]) -> None:
        data, at_ms = event["data"], parse_time(event["time"])
        if data["state"] == "resolved":
            self.found[data["incident"]].resolved_ms = at_ms
        elif data["incident"] not in self.found:
            self.found[data["incident"]] = Found(
                data["incident"],
                data["dim"],
                data["kpis"],
                at_ms,
                data["why"],
                data["started_ms"],
                data["window_minutes"],
            )


def delay_of(outage: Outage, found: Found) -> Delay:
    """A series that began to be unusual before the fault has waited for nothing but it."""
    began = max(0.0, (found.began_ms - outage.from_ms) / MINUTE_MS)
    whole = (found.at_ms - outage.from_ms) / MINUTE_MS
    return Delay(began, whole - began - 1, 1.0)


def touches(outage: Outage, dim: str, region_of: dict[str, str]) -> bool:
    """Whether a fault shows in a dimension."""
    if dim.startswith("campaign:"):
        return dim == f"campaign:{outage.campaign}"
    if outage.category and kind(dim) in LINES and outage.category not in values_of(dim):
        return False
    where = outage.where
    if kind(where) in ("chain", "channel") or dim in (outage.dim, where):
        return True
    inside = region_of_line(dim) or f"region:{region_of.get(dim)}"
    return kind(where) == "region" and (kind(dim) in ("chain", "channel", CATEGORY) or inside == where)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=7, help="with faults, or quiet ones")
    parser.add_argument("--learn", type=int, default=14, help="days before")
    parser.add_argument("--orders", type=float, default=500, help="a day, of a middling store")
    parser.add_argument("--quiet", type=int, default=0, help="so many series without faults")
    parser.add_argument("--shortages", action="store_true", help="products that are not sold, in place of other faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="100 stores, 5 days of learning, 2 with faults")
    parser.add_argument("--plot", type=Path, help="a picture of series, bands, alerts and truth: .svg, .png")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    check_plot(asked.plot)
    if asked.quick:
        asked.stores, asked.learn, asked.days = 100, 5, 2
    if asked.quiet:
        asked.stores = asked.quiet // SERIES
    chain = Chain(asked.seed, asked.stores, asked.orders)
    first_ms = START_MS + asked.learn * DAY_MS
    plan = plan_shortages if asked.shortages else plan_outages
    outages = [] if asked.quiet else plan(asked.seed, chain.town.stores, first_ms, asked.days)
    course = Course(outages, first_ms) if asked.plot else None
    hours = (asked.learn + asked.days) * 24
    chain.live(hours, outages, course, hours - LIVE_MINUTES // 60)
    figures = judged(chain, outages, first_ms, asked.days)
    if course:
        write_picture(asked.plot, draw(course, outages, [*chain.found.values()]), "Faults and incidents")
    write_json(asked.json, figures)


def judged(chain: Chain, outages: list[Outage], first_ms: int, days: int) -> dict[str, Any]:
    """The figures, which are printed."""
    region_of = {f"store:{store.id}": store.region for store in chain.town.stores}
    told = [found for found in chain.found.values() if found.at_ms >= first_ms]
    delays: dict[str, list[Delay | None]] = {}
    related: set[str] = set()
    right = 0
    shown = Table(
        "fault", "where", "from", "found after", "evidence", "hold", "clock", "window", "incidents", "told as"
    )
    for outage in outages:
        mine = [
            found
            for found in told
            if outage.from_ms <= found.at_ms <= outage.to_ms + AFTER_MS and touches(outage, found.dim, region_of)
        ]
        related |= {found.id for found in mine}
        right += any(found.dim == outage.dim for found in mine)
        delay = delay_of(outage, mine[0]) if mine else None
        delays.setdefault(outage.kind, []).append(delay)
        after = ("never",) if delay is None else (f"{delay.whole:.0f} min", *(f"{part:.0f}" for part in delay))
        names = (f"{mine[0].window}", f"{len(mine)}", f"{mine[0].dim}: {', '.join(mine[0].kpis)}") if mine else ()
        shown.add_row(outage.kind, outage.dim, rfc3339(outage.from_ms)[5:16], *after, *names)
    false = [found for found in told if found.id not in related]
    early = sum(found.at_ms < first_ms for found in chain.found.values())
    known = [delay.whole for all in delays.values() for delay in all if delay is not None]
    live_series = len(chain.dims) * SERIES * LIVE_MINUTES
    if outages:
        out.print(shown, by_kind(delays))
    for found in false:
        out.print(f"[red]false[/] {rfc3339(found.at_ms)[5:16]} {found.why}", highlight=False, soft_wrap=True)
    figures = {
        "stores": len(chain.town.stores),
        "series": len(chain.dims) * SERIES,
        "days": days,
        "incidents": len(outages),
        "found": len(known),
        "median_delay_min": median(known) if known else None,
        "named_right": right,
        "incidents_a_fault": round(len(related) / max(1, len(known)), 2),
        "false_incidents": len(false),
        "false_incidents_per_day": round(len(false) / days, 2),
        "while_learning": early,
        "us_per_series_and_minute": round(chain.busy_s / live_series * 1e6, 2),
        "state_mb": round(sum(map(len, chain.store.records.values())) / 2**20, 1),
    }
    for name, value in figures.items():
        out.print(f"{name.replace('_', ' '):<26} {value}")
    return figures


def by_kind(delays: dict[str, list[Delay | None]]) -> Table:
    """Medians, in minutes."""
    shown = Table("kind", "faults", "found", "after", "evidence", "hold", "clock")
    for name, all in delays.items():
        known = [delay for delay in all if delay is not None]
        parts = [[delay.whole for delay in known], *zip(*known, strict=True)]
        medians = [f"{median(part):.0f}" for part in parts] if known else []
        shown.add_row(name, f"{len(all)}", f"{len(known)}", *medians)
    return shown


if __name__ == "__main__":
    main()
