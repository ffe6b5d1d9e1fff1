"""Counts of a batch by dimension and minute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from alerts.kpis.catalog import CATEGORY, DAYPART, Dimension, dim_of
from alerts.kpis.counting import Lines, Pairs, Rows, added
from alerts.kpis.kpi import Counts, hour_record
from alerts.kpis.tally import Events, Tally
from features.kernel.arrays import Ints
from features.times import MINUTE_MS, local_hour


class Group(NamedTuple):
    """What a batch adds to a minute of a dimension, and where in the batch the last event is that did."""

    dim: str
    record: str  # of its hour
    minute: int  # since the epoch
    counts: Counts
    last: int


class Grouping:
    """Some events of a batch, counted; `row` says which event a counted row is of."""

    def __init__(self, tally: Tally, events: Events) -> None:
        self.tally, self.events = tally, events
        self.rows = Rows(tally, events, Lines(tally, events))
        self.deltas = added(tally.catalog, self.rows)
        self.row: Ints = np.flatnonzero(self.deltas.any(axis=1))
        self.deltas = self.deltas[self.row]
        self.hours = {hour: name for name, hours in tally.catalog.dayparts.items() for hour in hours}

    def groups(self) -> Iterator[Group]:
        if not len(self.row):
            return
        dimensions = self.tally.catalog.dimensions
        for dimension in dimensions:
            if CATEGORY not in dimension.parts:
                yield from self._by(dimension, self.row, self.deltas, None)
        if any(CATEGORY in dimension.parts for dimension in dimensions):
            pairs = Pairs(self.rows)
            deltas = added(self.tally.catalog, pairs)
            for dimension in dimensions:
                if CATEGORY in dimension.parts:
                    yield from self._by(dimension, pairs.event, deltas, pairs)

    def _by(self, dimension: Dimension, row: Ints, deltas: Ints, pairs: Pairs | None) -> Iterator[Group]:
        parts = [self._values(part, row, pairs) for part in dimension.parts]
        kept = np.flatnonzero(np.logical_and.reduce([codes >= 0 for codes, _ in parts])) if parts else np.arange(len(row))
        if not len(kept):
            return
        minute = slots(self.events.counted_ms[row[kept]], dimension.slot_minutes)
        code = minute - minute.min()
        for codes, _ in parts:
            code = np.unique(code, return_inverse=True)[1] * (codes.max() + 1) + codes[kept]
        order = np.argsort(code, kind="stable")
        starts = np.flatnonzero(np.diff(code[order], prepend=-1))
        sums = np.add.reduceat(deltas[kept][order], starts)
        last = row[kept[order[np.append(starts[1:], len(order)) - 1]]]
        first = kept[order[starts]]
        names = [[texts[code] for code in codes[first].tolist()] for codes, texts in parts]
        values = zip(*names, strict=True) if names else [()] * len(starts)
        where, columns = np.nonzero(sums)
        counts: list[Counts] = [{} for _ in starts]
        for place, column, count in zip(where.tolist(), columns.tolist(), sums[where, columns].tolist(), strict=True):
            counts[place][column] = count
        minutes, lasts = minute[order[starts]].tolist(), self.events.index[last].tolist()
        for each, at, count, end in zip(values, minutes, counts, lasts, strict=True):
            dim = dim_of(dimension.parts, each)
            yield Group(dim, hour_record(dim, at * MINUTE_MS), at, count, end)

    def _values(self, part: str, row: Ints, pairs: Pairs | None) -> tuple[Ints, list[str]]:
        """By row: the number of its text, -1 where it has none; and the texts."""
        if part == CATEGORY and pairs is not None:
            return pairs.category, self.rows.lines.categories
        if part == DAYPART:
            return self._dayparts(row)
        scanned, field, index = self.events.scanned, self.tally.fields[part], self.events.index[row]
        codes, first = scanned.group(field, index)
        return np.where(scanned.filled(field)[index], codes, -1), scanned.texts(field, index[first])

    def _dayparts(self, row: Ints) -> tuple[Ints, list[str]]:
        """Of those whose time zone is known."""
        zones, texts = self._values("tz", row, None)
        names = list(self.tally.catalog.dayparts)
        hour_ms = 15 * MINUTE_MS  # zones are off by whole quarters of an hour
        quarters = self.events.counted_ms[row] // hour_ms
        codes, found = np.unique(np.stack((quarters, zones)), axis=1, return_inverse=True)
        places = [
            names.index(self.hours[local_hour(quarter * hour_ms, texts[zone])]) if zone >= 0 else -1
            for quarter, zone in codes.T.tolist()
        ]
        return np.array(places, dtype=np.int64)[found.ravel()], names


def slots(at_ms: Ints, slot_minutes: int) -> Ints:
    """The minutes since the epoch in which a dimension counts what happens then: the last of each slot."""
    minute = at_ms // MINUTE_MS
    found: Ints = minute - minute % slot_minutes + slot_minutes - 1
    return found
