"""What events add to which counters: of each event, and of each category among an order's lines.

By category, an order counts once for each of its categories, with what the lines of that category add; its total and
its discount have no category, and neither has a void.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from alerts.kpis.catalog import CATEGORIES, ITEMS, LINES_CENTS, LINES_QTY, TENTHS, Condition, KpiCatalog
from alerts.kpis.tally import KINDS, ORDER, Events, Mask, Tally
from features.kernel.arrays import Ints
from features.kernel.words import group

MOST_CENTS = 10**12  # of a line, so that what sums of them come to is a whole number of 64 bits


class Lines:
    """All lines of the orders among some events; arrays are by line."""

    def __init__(self, tally: Tally, events: Events) -> None:
        scanned, of, orders = events.scanned, tally.scanner.of_line, np.flatnonzero(events.kind == ORDER)
        count = scanned.line_count[events.index[orders]]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        lines = np.repeat(scanned.first_line[events.index[orders]], count) + within
        self.event: Ints = np.repeat(orders, count)
        self.qty, price_cents, starts = (scanned.line_values[of[n], lines] for n in ("qty", "price_cents", "category"))
        self.cents: Ints = np.minimum(price_cents, MOST_CENTS // np.maximum(self.qty, 1)) * self.qty
        ends = scanned.line_ends[of["category"], lines]
        self.named = np.flatnonzero(ends > starts)
        self.category, first = group(scanned.bytes, starts[self.named], ends[self.named])
        places = self.named[first].tolist()
        self.categories = [scanned.text[starts[place] : ends[place]].decode() for place in places]


class Counted(Protocol):
    """Rows whose counts are wanted."""

    kind: Ints

    def number(self, field: str) -> Ints | None: ...

    def holds(self, where: Condition) -> Mask: ...


class Rows:
    """Events as they are."""

    def __init__(self, tally: Tally, events: Events, lines: Lines) -> None:
        self.tally, self.events, self.lines = tally, events, lines
        self.kind = events.kind
        self.numbers: dict[str, Ints] = {}

    def number(self, field: str) -> Ints:
        if field not in self.numbers:
            self.numbers[field] = self._number(field)
        return self.numbers[field]

    def _number(self, field: str) -> Ints:
        values, fields, lines = self.events.scanned.values, self.tally.fields, self.lines
        if field in (LINES_QTY, LINES_CENTS):
            return sums(lines.event, lines.qty if field == LINES_QTY else lines.cents, len(self.kind))
        if field == CATEGORIES:
            return np.bincount(Pairs(self).event, minlength=len(self.kind)).astype(np.int64)
        if field in TENTHS:
            decimals = values[fields[TENTHS[field]]][self.events.index].view(np.float64)
            tenths: Ints = np.rint(decimals * 10).astype(np.int64)
            return tenths
        plain: Ints = values[fields[field]][self.events.index]
        return plain + self.number(LINES_QTY) if field == ITEMS else plain

    def holds(self, where: Condition) -> Mask:
        scanned, fields, index = self.events.scanned, self.tally.fields, self.events.index
        if where.named is not None:
            filled: Mask = scanned.filled(fields[where.field])[index] == where.named
            return filled
        if where.texts:
            known: Mask = scanned.find(fields[where.field], self.tally.wanted[where])[index] >= 0
            return known
        amounts = self.number(where.field)
        within: Mask = (where.low <= amounts) & (amounts <= where.high)
        return within


class Pairs:
    """Orders by category: one row for each of an order's categories."""

    def __init__(self, rows: Rows) -> None:
        self.rows, lines = rows, rows.lines
        width = len(lines.categories) or 1
        codes, self.pair = np.unique(lines.event[lines.named] * width + lines.category, return_inverse=True)
        self.event: Ints = codes // width
        self.category: Ints = codes % width
        self.kind: Ints = np.full(len(codes), ORDER, dtype=np.int64)

    def number(self, field: str) -> Ints | None:
        lines = self.rows.lines
        if field not in (LINES_QTY, LINES_CENTS):
            return None
        return sums(self.pair, (lines.qty if field == LINES_QTY else lines.cents)[lines.named], len(self.kind))

    def holds(self, where: Condition) -> Mask:
        return self.rows.holds(where)[self.event]


def sums(places: Ints, values: Ints, count: int) -> Ints:
    """int64[count]: what falls to each place."""
    found = np.zeros(count, dtype=np.int64)
    np.add.at(found, places, values)
    return found


def added(catalog: KpiCatalog, counted: Counted) -> Ints:
    """int64[rows, counters]"""
    found = np.zeros((len(counted.kind), len(catalog.counters)), dtype=np.int64)
    places = {code: np.flatnonzero(counted.kind == code) for code in np.unique(counted.kind).tolist()}
    for column, counter in enumerate(catalog.counters):
        terms = [term for term in counter.terms if KINDS[term.event] in places]
        holding = [counted.holds(where) for where in counter.where] if terms else []
        for term in terms:
            rows = places[KINDS[term.event]]
            for holds in holding:
                rows = rows[holds[rows]]
            amounts = counted.number(term.field) if term.field else None
            if not term.field:
                found[rows, column] += term.sign
            elif amounts is not None:
                found[rows, column] += term.sign * amounts[rows]
    return found
