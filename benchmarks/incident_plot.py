"""The picture of a run of `benchmarks.incidents`: series with their bands, faults as they were, incidents as told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from alerts.kpis.book import Book
from alerts.kpis.judge import Judge
from alerts.kpis.series import AOV, NAMES, SHARES
from brewline.backtests.svg import COLOURS, INK, line, picture, rect, steps, text
from features.loop import Store
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from sim.outages import APP, CHAIN, COUPON, DRIFT, KINDS, LATE, PAYMENT, PRICE, SHORTAGE, TILL, Outage

WIDTH, LEFT, HEIGHT, GAP = 1100, 90, 110, 58
INNER = WIDTH - LEFT - 20
FIRST, LAST = 1, 14  # UTC hours that are shown of a day
BAND = 3.0
SHOWS = {  # the series that a fault of each kind shows best in
    TILL: "alive",
    PAYMENT: "orders",
    COUPON: "redemption_share",
    APP: "orders",
    LATE: "late_delivery_rate",
    PRICE: "aov_cents",
    CHAIN: "orders",
    DRIFT: "orders",
    SHORTAGE: "orders",
}


class Point(NamedTuple):
    at_ms: int
    seen: float
    low: float
    mid: float
    high: float


class Course:
    """Of the first fault of each kind, the day of its series, at the end of every ten minutes that were judged."""

    def __init__(self, outages: list[Outage], first_ms: int) -> None:
        firsts = {kind: next((o for o in outages if o.kind == kind), None) for kind in (*KINDS, SHORTAGE)}
        self.outages = [outage for outage in firsts.values() if outage is not None]
        self.points: dict[str, list[Point]] = {outage.kind: [] for outage in self.outages}

    def note(self, job: Judge, store: Store, at_ms: int) -> None:
        """After an hour was judged: its windows of ten minutes."""
        mine = [
            o for o in self.outages if at_ms // DAY_MS == o.from_ms // DAY_MS and FIRST <= at_ms // HOUR_MS % 24 < LAST
        ]
        if mine:
            book = Book(store.records, job.judging, job.regions, job.seasons)
            for outage in mine:
                self.points[outage.kind] += _points(book, outage, at_ms)


def _points(book: Book, outage: Outage, at_ms: int) -> list[Point]:
    panel = book.stores if outage.dim.startswith("store:") else book.roots
    place, series, found = panel.place[outage.dim], NAMES.index(SHOWS[outage.kind]), []
    for minute in range(at_ms // MINUTE_MS + 59 - panel.window + 10, at_ms // MINUTE_MS + 60, 10):
        screened = book.look(panel, minute).screened
        window = panel.widths.index(10)
        seen, of, mid, sd = (float(a[window, series, place]) for a in (*screened[:3], screened.sd))
        if of and np.isfinite(mid):
            found.append(Point((minute + 1) * MINUTE_MS, *_readable(series, seen, of, mid, sd)))
    return found


def _readable(series: int, seen: float, of: float, mid: float, sd: float) -> tuple[float, float, float, float]:
    if series == AOV:
        return tuple(float(np.exp(x) / 100) for x in (seen / of, mid - BAND * sd / of, mid, mid + BAND * sd / of))  # type: ignore[return-value]
    scale = of / 100 if SHARES.start <= series < SHARES.stop else 1.0
    return seen / scale, max(0.0, of * mid - BAND * sd) / scale, of * mid / scale, (of * mid + BAND * sd) / scale


def draw(course: Course, outages: list[Outage], found: Sequence[Any]) -> str:
    """One panel a kind of fault."""
    shapes = [text(20, 30, "Faults of a simulated chain, and what was told of them", 18, weight="bold")]
    for i, words in enumerate(
        ("seen in ten minutes", "usual", "a fault, as it was", "an incident, from firing to resolved")
    ):
        shapes += [
            rect(20 + 260 * i, 44, 12, 12, (INK, "#c9dcec", "#f6d7c3", COLOURS[3])[i]),
            text(38 + 260 * i, 54, words),
        ]
    y = 90.0
    for outage in course.outages:
        points = course.points[outage.kind]
        if points:
            shapes += _panel(outage, points, [o for o in outages if o.dim == outage.dim], found, y)
            y += HEIGHT + GAP
    return picture(WIDTH, y, shapes)


def _panel(outage: Outage, points: list[Point], same: list[Outage], found: Sequence[Any], y: float) -> list[str]:
    day_ms = outage.from_ms // DAY_MS * DAY_MS
    start_ms, span_ms = day_ms + FIRST * HOUR_MS, (LAST - FIRST) * HOUR_MS
    ticks = steps(max(max(p.high, p.seen) for p in points), 3)

    def x(at_ms: float) -> float:
        return LEFT + min(1.0, max(0.0, (at_ms - start_ms) / span_ms)) * INNER

    def at(value: float) -> float:
        return y + HEIGHT - min(1.0, value / ticks[-1]) * HEIGHT

    name = f"{outage.kind.replace('_', ' ')}: {SHOWS[outage.kind].replace('_', ' ')} of {outage.dim}"
    shapes = [text(LEFT, y - 8, f"{name}, {rfc3339(day_ms)[:10]}", 13, weight="bold")]
    for one in same:
        if x(one.from_ms) < x(one.to_ms):
            shapes.append(rect(x(one.from_ms), y, x(one.to_ms) - x(one.from_ms), HEIGHT, "#f6d7c3"))
    for tick in ticks:
        shapes += [
            line(LEFT, at(tick), LEFT + INNER, at(tick)),
            text(LEFT - 8, at(tick) + 4, f"{tick:,.10g}", 10, "end"),
        ]
    for hour in range(FIRST, LAST + 1):
        shapes.append(text(x(day_ms + hour * HOUR_MS), y + HEIGHT + 24, f"{hour:02}:00", 10, "middle"))
    band = " ".join(f"{x(p.at_ms):.1f},{at(p.high):.1f}" for p in points)
    band += " " + " ".join(f"{x(p.at_ms):.1f},{at(p.low):.1f}" for p in reversed(points))
    seen = " ".join(f"{x(p.at_ms):.1f},{at(p.seen):.1f}" for p in points)
    shapes.append(f'<polygon points="{band}" fill="#9fc3df" fill-opacity="0.55"/>')
    shapes.append(f'<polyline points="{seen}" fill="none" stroke="{INK}" stroke-width="1.6"/>')
    for one in found:
        end_ms = one.resolved_ms or start_ms + span_ms
        if one.dim == outage.dim and x(one.at_ms) < x(end_ms):
            shapes.append(rect(x(one.at_ms), y + HEIGHT + 3, x(end_ms) - x(one.at_ms), 7, COLOURS[3], one.why))
    return shapes
