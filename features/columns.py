"""A batch of clean events as columns: what the kernel reads, one array per field.

Only the fields that the core looks at are decoded. Ingest has checked the events; bytes that do
not decode all the same are told by index.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct

from features import events as e
from features import kernel
from features.catalog import Catalog
from features.job import Batch, Clock
from features.kernel import Ints, hash_ids
from features.zones import ZoneTable

KINDS: dict[str, int] = {kind: code for code, kind in enumerate(e.CUSTOMER_EVENTS)}
NAMES: list[str] = list(KINDS)
TICK, COMPLAINT, ANSWERED, CONSENT = (KINDS[k] for k in ("tick", "complaint", "complaint_answered", "consent"))
UNDOING = (KINDS["refund"], KINDS["void"])
MORE = (*UNDOING, COMPLAINT, ANSWERED, CONSENT)


class Piece(Struct, gc=False):
    """An order line."""

    qty: int = 1


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
            ("lines", list[Piece], []),
            ("stars", float, 0.0),
        ]
        known = {field[0] for field in fields}
        amounts = {effect.field for effects in catalog.effects.values() for effect in effects if effect.field}
        fields += [(name, int, 0) for name in sorted(amounts - known - {"star_tenths"})]
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
        out = np.zeros((len(seen), kernel.AMOUNTS + len(self.catalog.measures)), dtype=np.int64)
        out[:, kernel.KIND] = columns.kind
        out[:, kernel.AT] = [event.at_ms for event in seen]
        out[:, kernel.ZONE] = self._zone_indexes([event.tz for event in seen])
        out[:, kernel.ID] = _hashes([event.id for event in seen])
        out[:, kernel.CLOCK] = _clocks(columns, before_ms)
        for i in np.flatnonzero(np.isin(columns.kind, MORE)).tolist():
            self._more(out[i], seen[i])
        self._amounts(out[:, kernel.AMOUNTS :], seen, columns.kind)
        return out

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
            row[kernel.WORD], row[kernel.FLAG] = _hashes([event.case])[0], event.closed

    def _amounts(self, amounts: Ints, events: list[Any], kind: Any) -> None:
        """Fills int64[events, measures]: what each event adds to each measure."""
        for name, effects in self.catalog.effects.items():
            rows = np.flatnonzero(kind == KINDS[name])
            if len(rows):
                mine = [events[i] for i in rows.tolist()]
                for effect in effects:
                    amounts[rows, effect.measure] = effect.sign * _field(name, effect.field, mine)


def _field(kind: str, field: str, events: list[Any]) -> Any:
    if not field:
        return 1
    if field == "items" and kind == "order":
        return np.array([sum([line.qty for line in event.lines]) for event in events], dtype=np.int64)
    if field == "star_tenths":
        return np.array([round(event.stars * 10) for event in events], dtype=np.int64)
    return np.array([getattr(event, field) for event in events], dtype=np.int64)


def _hashes(ids: list[str]) -> Ints:
    """64-bit hashes, the same in every process."""
    text = "".join(ids)
    lengths = map(len, ids) if text.isascii() else (len(id.encode()) for id in ids)
    ends = np.fromiter(accumulate(lengths), dtype=np.int64, count=len(ids))
    return hash_ids(np.frombuffer(text.encode() or b"\0", dtype=np.uint8), ends)


def _clocks(columns: Columns, before_ms: int) -> Ints:
    """By event: the partition's clock when it comes."""
    if not columns.moved:
        return np.full(len(columns.events), before_ms, dtype=np.int64)
    places = np.array([place for place, _ in columns.moved], dtype=np.int64)
    clocks = np.array([before_ms, *(now_ms for _, now_ms in columns.moved)], dtype=np.int64)
    return clocks[np.searchsorted(places, columns.index)]
