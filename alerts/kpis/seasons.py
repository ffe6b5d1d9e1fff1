"""What is known beforehand of an hour: holidays of the calendars, and campaigns that begin and end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from msgspec import Struct

from alerts.kpis.expectation import Moment
from features.times import HOUR_MS

Span = tuple[int, int]  # from, until, epoch ms


class Seasons(Struct, frozen=True):
    """Spans, each kind joined and in order."""

    holidays: tuple[Span, ...] = ()
    campaigns: tuple[Span, ...] = ()

    def moment(self, hour: int) -> Moment:
        """Of an hour since the epoch: which share of it lies in a holiday, and in a campaign."""
        return Moment(_share(self.holidays, hour * HOUR_MS), _share(self.campaigns, hour * HOUR_MS))


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """In order, and those that touch made one."""
    out: list[Span] = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        elif first < last:
            out.append((first, last))
    return tuple(out)


def _share(spans: tuple[Span, ...], from_ms: int) -> float:
    to_ms, at = from_ms + HOUR_MS, max(0, bisect_right(spans, (from_ms, 2**62)) - 1)
    inside = sum(max(0, min(last, to_ms) - max(first, from_ms)) for first, last in spans[at : at + 3])
    return inside / HOUR_MS
