"""Counts of a batch by dimension and minute: all dimensions are sorted at once, for live batches are small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from alerts.kpis.catalog import CATEGORY, DAYPART, MOST_PARTS, Dimension, dim_of
from alerts.kpis.counting import Lines, Pairs, Rows, added
from alerts.kpis.kpi import Counts, hour_record
from alerts.kpis.tally import Events, Tally
from features.kernel.arrays import Ints
from features.times import MINUTE_MS, local_hour

QUARTER_MS = 15 * MINUTE_MS  # zones are off by whole ones


class Group(NamedTuple):
    """What a batch adds to a minute of a dimension, and where in the batch the last event is that did."""

    dim: str
    record: str  # of its hour
    minute: int  # since the epoch
    counts: Counts
    last: int


class Part(NamedTuple):
    """By row: the number of its text, -1 where it has none."""

    codes: Ints
    texts: list[str]


class Grouping:
    """Some events of a batch, counted: a row for each, then one for each category of each order."""

    def __init__(self, tally: Tally, events: Events) -> None:
        self.tally, self.events, self.dimensions = tally, events, tally.catalog.dimensions
        rows = Rows(tally, events, Lines(tally, events))
        deltas, row, category = added(tally.catalog, rows), np.arange(len(events.kind)), np.full(len(events.kind), -1)
        if any(CATEGORY in dimension.parts for dimension in self.dimensions):
            pairs = Pairs(rows)
            deltas = np.concatenate((deltas, added(tally.catalog, pairs)))
            row, category = np.concatenate((row, pairs.event)), np.concatenate((category, pairs.category))
        kept = np.flatnonzero(deltas.any(axis=1))
        self.deltas, self.row = deltas[kept], row[kept]
        self.minute: Ints = events.counted_ms[self.row] // MINUTE_MS
        self.parts = {CATEGORY: Part(category[kept], rows.lines.categories)}

    def groups(self) -> list[Group]:
        if not len(self.row):
            return []
        first, second, third = (
            np.stack([self._codes(dimension, place) for dimension in self.dimensions]) for place in range(MOST_PARTS)
        )
        by_category = np.array([CATEGORY in dimension.parts for dimension in self.dimensions])
        of_category = self.parts[CATEGORY].codes >= 0
        named = ((first | second | third) >= 0) & (by_category[:, None] == of_category)
        code = np.arange(len(self.dimensions))[:, None]
        for numbers in (first, second, third):
            code = code * (numbers.max() + 1) + numbers
        lengths = np.array([dimension.slot_minutes for dimension in self.dimensions])[:, None]
        slot: Ints = slots(self.minute, lengths) - self.minute.min()
        codes = code * (slot.max() + 1) + slot
        dimension, rows = np.nonzero(named)
        return list(self._sorted(rows, codes[dimension, rows], named.sum(axis=1).tolist()))

    def _codes(self, dimension: Dimension, place: int) -> Ints:
        nothing: Ints = np.zeros(len(self.row), dtype=np.int64)
        return self._part(dimension.parts[place]).codes if place < len(dimension.parts) else nothing

    def _sorted(self, rows: Ints, codes: Ints, counts: list[int]) -> Iterator[Group]:
        """Those of one dimension follow each other, as dimensions lead the codes."""
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        rows = rows[order]
        sums = np.add.reduceat(self.deltas[rows], starts)
        lasts = self.events.index[self.row[rows[np.append(starts[1:], len(rows)) - 1]]].tolist()
        firsts = rows[starts]
        where, columns = np.nonzero(sums)
        found: list[Counts] = [{} for _ in lasts]
        for place, column, count in zip(where.tolist(), columns.tolist(), sums[where, columns].tolist(), strict=True):
            found[place][column] = count
        edges = np.searchsorted(starts, np.cumsum([0, *counts])).tolist()
        for number, dimension in enumerate(self.dimensions):
            part = slice(edges[number], edges[number + 1])
            yield from self._named(dimension, firsts[part], found[part], lasts[part])

    def _named(self, dimension: Dimension, rows: Ints, counts: list[Counts], lasts: list[int]) -> Iterator[Group]:
        parts = [self._part(part) for part in dimension.parts]
        texts = [[part.texts[code] for code in part.codes[rows].tolist()] for part in parts]
        values = zip(*texts, strict=True) if texts else [()] * len(lasts)
        minutes = slots(self.minute[rows], dimension.slot_minutes).tolist()
        for each, minute, counted, last in zip(values, minutes, counts, lasts, strict=True):
            dim = dim_of(dimension.parts, each)
            yield Group(dim, hour_record(dim, minute * MINUTE_MS), minute, counted, last)

    def _part(self, name: str) -> Part:
        if name not in self.parts:
            self.parts[name] = self._dayparts() if name == DAYPART else self._texts(name)
        return self.parts[name]

    def _texts(self, name: str) -> Part:
        scanned, field, index = self.events.scanned, self.tally.fields[name], self.events.index[self.row]
        codes, first = scanned.group(field, index)
        return Part(np.where(scanned.filled(field)[index], codes, -1), scanned.texts(field, index[first]))

    def _dayparts(self) -> Part:
        """Of those whose time zone is known."""
        zones, dayparts = self._part("tz"), self.tally.catalog.dayparts
        names = list(dayparts)
        number = {hour: names.index(name) for name, hours in dayparts.items() for hour in hours}
        quarters = self.events.counted_ms[self.row] // QUARTER_MS
        pairs, place = np.unique(np.stack((quarters, zones.codes)), axis=1, return_inverse=True)
        found = [
            number[local_hour(quarter * QUARTER_MS, zones.texts[zone])] if zone >= 0 else -1
            for quarter, zone in pairs.T.tolist()
        ]
        return Part(np.array(found, dtype=np.int64)[place.ravel()], names)


def slots(minute: Ints, slot_minutes: Any) -> Ints:
    """The minutes since the epoch in which a dimension counts what happens then: the last of each slot."""
    last: Ints = minute - minute % slot_minutes + slot_minutes - 1
    return last
