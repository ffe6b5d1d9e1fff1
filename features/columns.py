"""A batch of clean events as columns: what the kernel reads, one array per field.

Only the fields that the core looks at are decoded. Ingest has checked the events; bytes that do
not decode all the same are told by index.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct

from features import events as e
from features import kernel
from features.amounts import Kind, amounts, touches
from features.catalog import Catalog
from features.declared import LINE_TEXTS
from features.job import Batch, Clock
from features.kernel import Ints, hash_texts
from features.zones import ZoneTable

KINDS: dict[str, int] = {kind: code for code, kind in enumerate(e.CUSTOMER_EVENTS)}
NAMES: list[str] = list(KINDS)
TICK, COMPLAINT, ANSWERED, CONSENT = (KINDS[k] for k in ("tick", "complaint", "complaint_answered", "consent"))
UNDOING = (KINDS["refund"], KINDS["void"])
MORE = (*UNDOING, COMPLAINT, ANSWERED, CONSENT)


class Columns(Struct):
    """A batch, ready to be applied. `events` are those with a customer, in log order."""

    events: list[Any]
    index: Ints  # where in the batch each stands
    kind: Any
    customers: list[str]  # in the order in which they come
    who: Ints  # by event: index into customers
    moved: list[tuple[int, int]]  # (where in the batch, clock from then on)
    clock: Clock
    malformed: list[int]  # where in the batch
    last: int  # offset
    words: dict[int, str] = {}  # the texts that codes in tables stand for


class Decoder:
    """Decodes batches for a catalog; keeps the zones it has met."""

    def __init__(self, catalog: Catalog, zones: ZoneTable) -> None:
        self.catalog = catalog
        self.zones = zones
        fields: list[Any] = [
            ("type", str),
            *((name, str, "") for name in ("id", "customer", "tz", "store", "region", "channel", "source")),
            *((name, int, 0) for name in ("at_ms", "ordered_ms", "of")),
            *((name, str, "") for name in ("case", "purpose")),
            *((name, bool, False) for name in ("closed", "granted")),
            ("lines", list[_piece(catalog)], []),  # type: ignore[misc]
            ("stars", float, 0.0),
        ]
        known = {field[0] for field in fields}
        values = [x.value for each in (*catalog.effects.values(), *catalog.touches.values()) for x in each]
        wheres = [x.where for each in (*catalog.effects.values(), *catalog.touches.values()) for x in each]
        numbers = {value.field for value in values if value.field and not value.text}
        texts = {value.field for value in values if value.text} | {field for w in wheres for field, _ in w.texts}
        fields += [(name, int, 0) for name in sorted(numbers - known - {"star_tenths"})]
        fields += [(name, str, "") for name in sorted(texts - known) if "." not in name]
        self.decode = msgspec.json.Decoder(msgspec.defstruct("Seen", fields, gc=False)).decode

    def columns(self, batch: Batch, clock: Clock) -> Columns:
        decoded, malformed = self._decoded(batch.values)
        kinds = [KINDS.get(event.type, -1) if event is not None else -1 for event in decoded]
        malformed += [i for i, kind in enumerate(kinds) if kind < 0 and decoded[i] is not None]
        moved: list[tuple[int, int]] = []
        if TICK in kinds:
            for i, kind in enumerate(kinds):
                if kind == TICK:
                    now_ms, tick = clock.now_ms, decoded[i]
                    clock = clock.moved(tick.source, tick.of, tick.at_ms)
                    if clock.now_ms != now_ms:
                        moved.append((i, clock.now_ms))
        index = [i for i, kind in enumerate(kinds) if kind >= 0 and kind != TICK and decoded[i].customer]
        events = [decoded[i] for i in index]
        places: dict[str, int] = {}
        who = [places.setdefault(event.customer, len(places)) for event in events]
        return Columns(
            events=events,
            index=np.array(index, dtype=np.int64),
            kind=np.array([kinds[i] for i in index], dtype=np.uint8),
            customers=list(places),
            who=np.array(who, dtype=np.int64),
            moved=moved,
            clock=clock,
            malformed=sorted(malformed),
            last=batch.last,
        )

    def _decoded(self, values: list[bytes]) -> tuple[list[Any], list[int]]:
        decode = self.decode
        try:
            return [decode(raw) for raw in values], []
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._one_by_one(values)

    def _one_by_one(self, values: list[bytes]) -> tuple[list[Any], list[int]]:
        decoded: list[Any] = []
        malformed: list[int] = []
        for i, raw in enumerate(values):
            try:
                decoded.append(self.decode(raw))
            except (msgspec.DecodeError, UnicodeDecodeError):
                decoded.append(None)
                malformed.append(i)
        return decoded, malformed

    def events(self, columns: Columns, before_ms: int) -> Ints:
        """int64[events, AMOUNTS + measures]: the kernel's view of them."""
        seen = columns.events
        out = np.zeros((len(seen), kernel.AMOUNTS + self.catalog.cells), dtype=np.int64)
        out[:, kernel.KIND] = columns.kind
        out[:, kernel.AT] = [event.at_ms for event in seen]
        out[:, kernel.ZONE] = self._zone_indexes([event.tz for event in seen])
        out[:, kernel.ID] = hash_texts([event.id for event in seen])
        out[:, kernel.CLOCK] = _clocks(columns, before_ms)
        for i in np.flatnonzero(np.isin(columns.kind, MORE)).tolist():
            self._more(out[i], seen[i])
        kinds = self._kinds(columns, out)
        out[:, kernel.AMOUNTS :] = amounts(self.catalog, kinds, len(seen))
        return out

    def touches(self, columns: Columns, events: Ints) -> Ints:
        """int64[n, kernel.TOUCH]: what the events do to tables; `events` is told where each event's stand."""
        rows, places, columns.words = touches(self.catalog, self._kinds(columns, events))
        count = np.bincount(places, minlength=len(events)) if len(events) else places
        events[:, kernel.TOUCHES] = count
        events[:, kernel.TOUCHED] = np.cumsum(count) - count
        return rows

    def _kinds(self, columns: Columns, events: Ints) -> list[Kind]:
        moments = events[:, [kernel.AT, kernel.ORDERED, kernel.ZONE]]
        kinds = []
        for name in self.catalog.effects.keys() | self.catalog.touches.keys():
            rows = np.flatnonzero(columns.kind == KINDS[name])
            if len(rows):
                mine = [columns.events[i] for i in rows.tolist()]
                kinds.append(Kind(name, rows, mine, moments[rows], self.zones))
        return kinds

    def _zone_indexes(self, names: list[str]) -> Ints:
        for name in set(names) - self.zones.index.keys() - {""}:
            self.zones.add(name)
        known = {**self.zones.index, "": -1}
        return np.array([known[name] for name in names], dtype=np.int64)

    def _more(self, row: Ints, event: Any) -> None:
        """What few events have: the order that is undone, a complaint's case, a word on consent."""
        if row[kernel.KIND] in UNDOING:
            row[kernel.ORDERED] = event.ordered_ms
        elif row[kernel.KIND] == CONSENT:
            row[kernel.WORD], row[kernel.FLAG] = crc32(event.purpose.encode()), event.granted
        else:
            row[kernel.WORD], row[kernel.FLAG] = hash_texts([event.case])[0], event.closed


def _piece(catalog: Catalog) -> type[Struct]:
    """An order line, with what the catalog looks at."""
    fields = {x.value.field for each in catalog.touches.values() for x in each if x.value.text}
    fields |= {field for each in catalog.touches.values() for x in each for field, _ in x.where.texts}
    fields |= {field for each in catalog.effects.values() for x in each for field, _ in x.where.texts}
    texts = [(name, str, "") for name in sorted(fields & set(LINE_TEXTS))]
    options = [("options", dict[str, str], {})] if any(field.startswith("options.") for field in fields) else []
    return msgspec.defstruct("Piece", [("qty", int, 1), *texts, *options], gc=False)


def _clocks(columns: Columns, before_ms: int) -> Ints:
    """By event: the partition's clock when it comes."""
    if not columns.moved:
        return np.full(len(columns.events), before_ms, dtype=np.int64)
    places = np.array([place for place, _ in columns.moved], dtype=np.int64)
    clocks = np.array([before_ms, *(now_ms for _, now_ms in columns.moved)], dtype=np.int64)
    return clocks[np.searchsorted(places, columns.index)]
