"""Judges a dimension as its minutes close: is the trailing window as usual for this hour?

While all is quiet it looks every `JUDGE_EVERY` minutes, otherwise every minute. A minute without
events counts as zero, for a till that fails says nothing. A minute is learned when it leaves the
window, so that late events are in it and an incident that began with it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, msgpack

from alerts.kpis.expectation import Estimate, Expectation, spans
from alerts.kpis.incident import Direction, Incident, Verdict, alert
from alerts.kpis.kpi import JUDGED
from alerts.kpis.load import Usual, pause
from alerts.kpis.tail import two_sided

DAY_MINUTES = 1440
LEAST_CHANGE = 0.3  # of the mean: a smaller one is nobody's business, however sure
LEAST_UNITS = 5.0  # orders, coupons, or as many average amounts
JUDGE_EVERY = 5  # minutes, while all is quiet: the window moves slowly, and judging is most of the cost
RETIRED_DAYS = 14  # a dimension without any event for so long is no longer watched


class Judging(Struct, frozen=True):
    """How to judge; a watch learned with another window starts again."""

    window_minutes: int = 30
    learn_days: int = 2
    hold_minutes: int = 10


class Series(Struct, array_like=True):
    """One judged series: the window by minute modulo its length, what is usual, what is wrong."""

    window: list[int]
    expectation: Expectation
    incident: Incident
    unusual: int = 0  # the last minute that was


class Watch(Struct, array_like=True):
    """All judged series of a dimension; minutes are counted since the epoch."""

    first: int
    since: int  # the first minute after the last gap
    next: int  # to be judged
    active: int  # the last minute in which anything happened
    series: list[Series]
    load: Usual | None = None  # of a store


encode_watch = msgpack.Encoder().encode
_decode_watch = msgpack.Decoder(Watch).decode


def begin(minute: int, judging: Judging) -> Watch:
    """A watch that knows nothing yet and judges `minute` first."""
    window = judging.window_minutes
    series = [Series([0] * window, Expectation(kpi.money), Incident()) for kpi in JUDGED]
    return Watch(minute, minute, minute, minute, series)


def decode_watch(raw: bytes, judging: Judging) -> Watch:
    """A stored watch; one of another shape begins again at its next minute."""
    watch = _decode_watch(raw)
    fits = [len(series.window) for series in watch.series] == [judging.window_minutes] * len(JUDGED)
    return watch if fits else begin(watch.next, judging)


def skip(watch: Watch, minute: int) -> None:
    """Goes on at `minute`, with an empty window: what was before is no longer known."""
    watch.since = watch.next = minute
    for series in watch.series:
        series.window = [0] * len(series.window)
    if watch.load:
        pause(watch.load)


def correct(watch: Watch, minute: int, counters: Sequence[int]) -> None:
    """Takes the new counts of a minute that was judged already, if it still counts."""
    if max(watch.since, watch.next - len(watch.series[0].window) + 1) <= minute < watch.next:
        for kpi, series in zip(JUDGED, watch.series, strict=True):
            series.window[minute % len(series.window)] = counters[kpi.column]


def judge(watch: Watch, dim: str, counters: Sequence[int], judging: Judging) -> list[dict[str, Any]]:
    """Takes the counts of the next minute, empty for none; returns what there is to tell."""
    minute, width, told = watch.next, judging.window_minutes, []
    window = spans(minute - width + 1, width)
    full = minute - watch.since >= width - 1
    ready = minute - watch.first >= judging.learn_days * DAY_MINUTES
    if any(counters):
        watch.active = minute
    for kpi, series in zip(JUDGED, watch.series, strict=True):
        series.window[minute % width] = counters[kpi.column] if counters else 0
        if full and (minute % JUDGE_EVERY == 0 or minute % width == 0 or series.incident.state != "quiet"):
            usual = series.expectation.over(window)
            if usual:
                told += _compare(series, dim, kpi.name, minute, usual, judging, ready)
        _learn(series, minute + 1 - width, watch.since)
    watch.next += 1
    return told


def _compare(
    series: Series, dim: str, name: str, minute: int, usual: Estimate, judging: Judging, ready: bool
) -> list[dict[str, Any]]:
    """Judges the window, if it is time to; learns from it how far windows stray, once for each whole one."""
    observed, told = max(0, sum(series.window)), []
    if ready:
        p, direction = rarity(observed / usual.unit, usual)
        change = series.incident.step(minute, p, direction, judging.hold_minutes)
        if change:
            verdict = Verdict(minute, observed, usual.mean * usual.unit, p, judging.window_minutes)
            told.append(alert(dim, name, series.incident, change, verdict))
    if series.incident.state != "quiet":
        series.unusual = minute
    elif minute % judging.window_minutes == 0:
        series.expectation.learn_spread(observed / usual.unit, usual)
    return told


def rarity(units: float, usual: Estimate) -> tuple[float, Direction]:
    """Two-sided tail probability of a window, 1 where the difference does not matter; and its side."""
    direction: Direction = "low" if units < usual.mean else "high"
    if abs(units - usual.mean) < max(LEAST_UNITS, LEAST_CHANGE * usual.mean):
        return 1.0, direction
    return two_sided(round(units), usual.mean, usual.shape), direction


def _learn(series: Series, leaving: int, since: int) -> None:
    """Learns the minute that leaves the window, and empties its place for the next one."""
    place = leaving % len(series.window)
    if leaving >= since:
        series.expectation.learn(leaving, series.window[place], series.unusual >= leaving - leaving % 60)
    series.window[place] = 0


def retired(watch: Watch) -> bool:
    return watch.next - watch.active > RETIRED_DAYS * DAY_MINUTES


def farewell(watch: Watch, dim: str, judging: Judging) -> list[dict[str, Any]]:
    """Resolves what still fires when a dimension is no longer watched."""
    verdict = Verdict(watch.next - 1, 0, 0.0, 1.0, judging.window_minutes)
    note = f"{dim}: no events for {RETIRED_DAYS} days, no longer watched"
    pairs = zip(JUDGED, watch.series, strict=True)
    return [alert(dim, k.name, s.incident, "resolved", verdict, note) for k, s in pairs if s.incident.state == "firing"]
