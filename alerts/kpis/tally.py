"""Reads a batch of clean events as columns: which of them may count, and when.

A void counts in the minute of the order that it undoes, a coupon of Brewline's in that of its decision, whenever and
however often a gateway took it; a refund leaves the sale as it was and counts in its own minute. What Brewline itself
writes counts only where a counter names it, and apart from what was sent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.kpis.catalog import CATEGORIES, LINES_CENTS, LINES_QTY, OF_EVENTS, TENTHS, KpiCatalog, numbers, texts
from features.events import CONTROL, CUSTOMER_EVENTS, OF_BOTH, OWN
from features.fields import Field, Scanned, Scanner, Words
from features.job import Batch, Clock
from features.kernel.arrays import Ints
from features.kernel.scan import DECIMAL, TEXT, WHOLE

Mask = npt.NDArray[np.bool_]
KINDS = {kind: code for code, kind in enumerate((*CUSTOMER_EVENTS, *CONTROL))}
TICK, VOID, ORDER, DELIVERED = (KINDS[kind] for kind in ("tick", "void", "order", "coupon_delivered"))
CONTROLS, OWNS, OF_BOTHS = ([KINDS[kind] for kind in kinds] for kinds in (CONTROL, OWN, OF_BOTH))
TEXTS = ("type", "id", "order", "customer", "tz", "source", *OF_EVENTS)
WHOLES = ("at_ms", "ordered_ms", "issued_ms", "day", "of")
COMPUTED = {*TENTHS, CATEGORIES, LINES_QTY, LINES_CENTS}


class Events(Struct):
    """Those of a batch that may count; arrays are by event, in log order."""

    scanned: Scanned
    index: Ints  # where in the batch
    kind: Ints
    at_ms: Ints
    counted_ms: Ints  # the time at which it counts
    clock_ms: Ints  # the partition's clock when it came
    own: Mask  # Brewline itself has written it
    of_customer: Mask
    clock: Clock  # at the end of the batch
    malformed: list[int]  # where in the batch

    def only(self, rows: Ints | Mask) -> Events:
        arrays = ("index", "kind", "at_ms", "counted_ms", "clock_ms", "own", "of_customer")
        kept = {name: getattr(self, name)[rows] for name in arrays}
        return Events(scanned=self.scanned, clock=self.clock, malformed=self.malformed, **kept)


class Tally:
    """Reads batches for a catalog."""

    def __init__(self, catalog: KpiCatalog) -> None:
        self.catalog = catalog
        terms = [term for counter in catalog.counters for term in counter.terms]
        asked = {term.field for term in terms} | {each.field for counter in catalog.counters for each in counter.where}
        wholes, words = (
            sorted({name for kind in CUSTOMER_EVENTS for name in asked & known(kind)}) for known in (numbers, texts)
        )
        fields = [Field(name, TEXT) for name in dict.fromkeys((*TEXTS, *words))]
        fields += [Field(name, WHOLE) for name in (*WHOLES, *wholes) if name not in COMPUTED]
        of_line = [Field("qty", WHOLE, 1), Field("price_cents", WHOLE), Field("category", TEXT)]
        fields += [Field(name, DECIMAL) for name in TENTHS.values()]
        self.scanner = Scanner(fields, of_line, "type")
        self.fields = self.scanner.fields
        self.kinds = Words(KINDS)
        self.counted = np.array([KINDS[term.event] for term in terms], dtype=np.int64)
        self.wanted = {each: Words(each.texts) for counter in catalog.counters for each in counter.where}

    def events(self, batch: Batch, clock: Clock) -> Events:
        scanned, fields = self.scanner.scan(batch.values), self.fields
        kind = scanned.find(fields["type"], self.kinds)
        clock_ms, since = np.empty(len(kind), dtype=np.int64), 0
        for i in np.flatnonzero(kind == TICK).tolist():
            clock_ms[since:i], since = clock.now_ms, i
            of, at_ms = (int(scanned.values[fields[name], i]) for name in ("of", "at_ms"))
            clock = clock.moved(scanned.texts(fields["source"], [i])[0], of, at_ms)
        clock_ms[since:] = clock.now_ms
        own = np.isin(kind, OWNS) | (np.isin(kind, OF_BOTHS) & (scanned.values[fields["day"]] == 0))
        told = (kind >= 0) & (kind != TICK) & ~np.isin(kind, CONTROLS)
        at_ms, ordered_ms, issued_ms = (scanned.values[fields[name]] for name in ("at_ms", "ordered_ms", "issued_ms"))
        issued = (kind == DELIVERED) & (issued_ms > 0)
        every = Events(
            scanned=scanned,
            index=np.arange(len(kind)),
            kind=kind,
            at_ms=at_ms,
            counted_ms=np.select([kind == VOID, issued], [ordered_ms, issued_ms], at_ms),
            clock_ms=clock_ms,
            own=own,
            of_customer=scanned.filled(fields["customer"]),
            clock=clock,
            malformed=np.flatnonzero(kind < 0).tolist(),
        )
        return every.only(told & (~own | np.isin(kind, self.counted)))

    def ids(self, events: Events) -> list[str]:
        """What each is known by. A void goes by its order: of two with different ids, the second is a repeat."""
        found = events.scanned.texts(self.fields["id"], events.index)
        voids = np.flatnonzero(events.kind == VOID).tolist()
        orders = events.scanned.texts(self.fields["order"], events.index[voids]) if voids else []
        for place, order in zip(voids, orders, strict=True):
            found[place] = f"void|{order}"
        return found
