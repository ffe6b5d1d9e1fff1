"""Windowed sums over panes: 5 minutes for an hour, hours for a day, store-local days for the rest.

A window of length W as of T holds all panes from the one that T − W falls into up to T (sawtooth,
after Chronon): the current partial pane counts, the oldest counts whole.
"""

from __future__ import annotations

from features.record import Record
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, local_day, parse_duration

FIVE_MS = 5 * MINUTE_MS
KEPT_FIVES = HOUR_MS // FIVE_MS + 1
KEPT_HOURS = 25


def add(record: Record, measure: int, amount: int, at_ms: int, day: int) -> None:
    """Adds to the lifetime and to every pane of that time; negative amounts take back."""
    width = len(record.lifetime)
    record.lifetime[measure] += amount
    for panes, pane in ((record.days, day), (record.hours, at_ms // HOUR_MS), (record.fives, at_ms // FIVE_MS)):
        cells = panes.get(pane)
        if cells is None:
            cells = panes[pane] = [0] * width
        cells[measure] += amount


def forget_old_panes(record: Record, now_ms: int, kept_days: int) -> None:
    """Drops what no window can reach any more, measured from the record's own newest time."""
    for panes, oldest in (
        (record.days, local_day(now_ms, record.tz or "UTC") - kept_days),
        (record.hours, now_ms // HOUR_MS - KEPT_HOURS),
        (record.fives, now_ms // FIVE_MS - KEPT_FIVES),
    ):
        if panes and min(panes) < oldest:
            for pane in [pane for pane in panes if pane < oldest]:
                del panes[pane]


def window_sums(record: Record, windows: list[str], at_ms: int) -> list[int]:
    """One sum per window and measure, window by window. Panes after `at_ms` do not count."""
    sums: list[int] = []
    for window in windows:
        if window == "lifetime":
            sums += record.lifetime
        else:
            panes, first, last = _span(record, parse_duration(window), at_ms)
            sums += _total([cells for pane, cells in panes.items() if first <= pane <= last], len(record.lifetime))
    return sums


def _span(record: Record, length_ms: int, at_ms: int) -> tuple[dict[int, list[int]], int, int]:
    if length_ms <= HOUR_MS:
        return record.fives, (at_ms - length_ms) // FIVE_MS, at_ms // FIVE_MS
    if length_ms <= DAY_MS:
        return record.hours, (at_ms - length_ms) // HOUR_MS, at_ms // HOUR_MS
    today = local_day(at_ms, record.tz or "UTC")
    return record.days, today - length_ms // DAY_MS, today


def _total(cells: list[list[int]], width: int) -> list[int]:
    if not cells:
        return [0] * width
    if len(cells) == 1:
        return cells[0]
    return [sum(column) for column in zip(*cells, strict=True)]
