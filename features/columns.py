"""A batch of clean events as columns: what the kernel reads, one array per field.

Only the fields that the core looks at are read. Ingest has checked the events; bytes that do
not decode all the same are told by index.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, get_type_hints
from zlib import crc32

import numpy as np
from msgspec import Struct

from features import events as e
from features.amounts import Fields, Touches, program
from features.catalog import Catalog
from features.declared import HOUR, OPTIONS, of_lines
from features.fields import Field, Scanned, Scanner, Words
from features.job import Batch, Clock
from features.kernel import arrays
from features.kernel.arrays import Floats, Ints
from features.kernel.effects import effects_of
from features.kernel.scan import DECIMAL, FLAG, TEXT, WHOLE
from features.names import Names
from features.zones import ZoneTable

KINDS: dict[str, int] = {kind: code for code, kind in enumerate(e.CUSTOMER_EVENTS)}
NAMES: list[str] = list(KINDS)
TICK, COMPLAINT, ANSWERED, CONFIRMED, CONSENT, SUPPRESS = (
    KINDS[k] for k in ("tick", "complaint", "complaint_answered", "complaint_confirmed", "consent", "suppress")
)
VOID, OF_VOIDS = KINDS["void"], int.from_bytes(b"void", "big")
UNDOING = np.isin(NAMES, ["refund", "void"])  # by kind
OF_CASES = np.isin(NAMES, ["complaint", "complaint_answered", "complaint_confirmed"])
FIELDS = {  # what the core looks at, beside the amounts of measures
    TEXT: (
        "type",
        "id",
        "customer",
        "tz",
        "store",
        "region",
        "brand",
        "channel",
        "source",
        "case",
        "purpose",
        "reason",
        "order",
    ),
    WHOLE: ("at_ms", "ordered_ms", "promised_ms", "birthday_ms", "until_ms", "of"),
    FLAG: ("closed", "satisfied", "granted", "lift"),
    DECIMAL: ("stars",),
}
HOWS = {str: TEXT, int: WHOLE, float: DECIMAL, bool: FLAG}
OF_ALL = {*get_type_hints(e.Event), *e.OF_INGEST} - e.WEATHER - e.LOAD
NAMED = {KINDS["delivery_promised"]: "promised_ms", KINDS["profile"]: "birthday_ms"}  # the moment that it names
SPOKEN = {"case": "case_id", "order": "order_id"}  # fields that are words of SQL, as conditions name them
WRITTEN = {spoken: name for name, spoken in SPOKEN.items()}
LEFT_OUT = {"currency", "qty", "friend", "by"}  # by senders where they are CNY and 1; and who else a customer is
UNASKED = {"tick", "weather"}  # of no customer
KNOWN_BY = {
    **dict.fromkeys(e.WEATHER, "weather_ms"),
    **dict.fromkeys(e.LOAD, "load_ms"),
}  # not 0 where a number is known


@cache
def event_fields() -> dict[str, tuple[int, frozenset[int]]]:
    """By the name that conditions use: how a field that some events have of their own is read, and the kinds' codes."""
    found: dict[str, tuple[int, frozenset[int]]] = {}
    for kind, type in e.CUSTOMER_EVENTS.items():
        for name, plain in get_type_hints(type).items() if kind not in UNASKED else ():
            if plain in HOWS and name not in OF_ALL | LEFT_OUT:
                spoken = SPOKEN.get(name, name)
                kinds = found[spoken][1] if spoken in found else frozenset()
                found[spoken] = (HOWS[plain], kinds | {KINDS[kind]})
    return found


def written(name: str) -> str:
    """A field's name in JSON, of the one that conditions use."""
    return WRITTEN.get(name, name)


class Columns(Struct):
    """A batch, ready to be applied. What follows `scanned` tells of the events with a customer, in log order."""

    scanned: Scanned
    fields: dict[str, int]  # where in `scanned` each field stands
    index: Ints  # where in the batch each event stands
    kind: Any
    customers: Names  # in the order in which they come
    who: Ints  # by event: index into customers
    before_ms: int  # the partition's clock when the batch begins
    moved: list[tuple[int, int]]  # (where in the batch, clock from then on)
    clock: Clock
    malformed: list[int]  # where in the batch
    last: int  # offset

    def numbers(self, name: str, events: Any = slice(None)) -> Ints:
        """int64[events] of a whole number or a flag."""
        found: Ints = self.scanned.values[self.fields[name]][self.index[events]]
        return found

    def decimals(self, name: str, events: Any = slice(None)) -> Floats:
        bits: Floats = self.numbers(name, events).view(np.float64)
        return bits

    def texts(self, name: str, events: Any = slice(None)) -> list[str]:
        """Decoded for whom asks: no cheap thing to do for all."""
        return self.scanned.texts(self.fields[name], self.index[events])

    def hashes(self, name: str, events: Any = slice(None)) -> Ints:
        """64-bit hashes of texts, the same in every process."""
        return self.scanned.hashes(self.fields[name], self.index[events])

    def clock_at(self, places: Ints) -> Ints:
        """The partition's clock once these records have come."""
        moved_at = np.array([place for place, _ in self.moved], dtype=np.int64)
        clocks = np.array([self.before_ms, *(now_ms for _, now_ms in self.moved)], dtype=np.int64)
        at: Ints = clocks[np.searchsorted(moved_at, places, side="right")]
        return at


class Decoder:
    """Decodes batches for a catalog; keeps the zones it has met."""

    def __init__(self, catalog: Catalog, zones: ZoneTable, also: Iterable[str] = ()) -> None:
        """`also`: further fields of events that somebody looks at, of `event_fields`."""
        self.catalog = catalog
        self.zones = zones
        numbers, texts = _looked_at(catalog)
        of_line = [Field(name, TEXT) for name in sorted(texts, key=lambda name: ("." in name, name)) if of_lines(name)]
        wanted = {written(name): event_fields().get(name, (TEXT,))[0] for name in also}
        wanted |= dict.fromkeys(numbers - {"star_tenths"}, WHOLE)
        wanted |= dict.fromkeys((name for name in texts if not name.startswith(OPTIONS)), TEXT)
        fields = [Field(name, how) for how, names in FIELDS.items() for name in names]
        known = {field.name for field in fields}
        fields += [Field(name, how) for name, how in sorted(wanted.items()) if name not in known]
        self.scanner = Scanner(fields, [Field("qty", WHOLE, 1), *of_line], "type")
        self.program = program(catalog, KINDS, Fields(self.scanner.fields, self.scanner.of_line))
        self.kinds = Words(NAMES)
        self.prepared: tuple[Columns, tuple[Ints, Touches]] | None = None

    def columns(self, batch: Batch, clock: Clock) -> Columns:
        scanned, fields = self.scanner.scan(batch.values), self.scanner.fields
        kind = scanned.find(fields["type"], self.kinds)
        before_ms, moved = clock.now_ms, list[tuple[int, int]]()
        for i in np.flatnonzero(kind == TICK).tolist():
            now_ms, (of, at_ms) = clock.now_ms, (int(scanned.values[fields[name], i]) for name in ("of", "at_ms"))
            clock = clock.moved(scanned.texts(fields["source"], [i])[0], of, at_ms)
            if clock.now_ms != now_ms:
                moved.append((i, clock.now_ms))
        index = np.flatnonzero((kind >= 0) & (kind != TICK) & scanned.filled(fields["customer"]))
        who, first = scanned.group(fields["customer"], index)
        return Columns(
            scanned=scanned,
            fields=fields,
            index=index,
            kind=kind[index],
            customers=scanned.names(fields["customer"], index[first]),
            who=who,
            before_ms=before_ms,
            moved=moved,
            clock=clock,
            malformed=np.flatnonzero(kind < 0).tolist(),
            last=batch.last,
        )

    def events(self, columns: Columns) -> tuple[Ints, Touches]:
        """int64[events, AMOUNTS + cells]: the kernel's view of them; and what they do to tables."""
        prepared, self.prepared = self.prepared, None
        return prepared[1] if prepared and prepared[0] is columns else self._viewed(columns)

    def prepare(self, columns: Columns) -> None:
        """Works out `events` of a batch that are asked for next."""
        self.prepared = columns, self._viewed(columns)

    def _viewed(self, columns: Columns) -> tuple[Ints, Touches]:
        out = np.zeros((len(columns.index), arrays.AMOUNTS + self.catalog.cells), dtype=np.int64)
        out[:, arrays.KIND] = columns.kind
        out[:, arrays.AT] = columns.numbers("at_ms")
        out[:, arrays.ZONE] = self._zone_indexes(columns)
        out[:, arrays.ID] = columns.hashes("id")
        out[:, arrays.CLOCK] = columns.clock_at(columns.index)
        self._more(out, columns)
        scanned = columns.scanned
        values, ends, *lines = map(_plain, (scanned.values, scanned.ends, *scanned.lines))
        found = (self.zones.packed, scanned.bytes, values, ends, tuple(lines), columns.index, out)
        rows, spoken = effects_of(self.program, *found)
        return out, Touches(rows, *spoken)

    def _zone_indexes(self, columns: Columns) -> Ints:
        """-1 where the event names none."""
        while True:
            known = Words(["", *self.zones.index])
            zones = columns.scanned.find(columns.fields["tz"], known)[columns.index]
            strange = np.flatnonzero(zones < 0)
            if not len(strange):
                return zones - 1
            for name in set(columns.texts("tz", strange)):
                self.zones.add(name)

    def _more(self, out: Ints, columns: Columns) -> None:
        """What few events have: the order that is undone, a complaint's case, a word on consent.

        A void goes by its order instead of its id: of two with different ids, the second is a repeat as well.
        """
        voids = (columns.kind == VOID).nonzero()[0]
        out[voids, arrays.ID] = columns.hashes("order", voids) ^ OF_VOIDS
        undoing = UNDOING[columns.kind].nonzero()[0]
        out[undoing, arrays.ORDERED] = columns.numbers("ordered_ms", undoing)
        for kind, name in NAMED.items():
            naming = (columns.kind == kind).nonzero()[0]
            out[naming, arrays.UNTIL] = columns.numbers(name, naming)
        consent = np.flatnonzero(columns.kind == CONSENT)
        out[consent, arrays.WORD] = [crc32(purpose.encode()) for purpose in columns.texts("purpose", consent)]
        out[consent, arrays.FLAG] = columns.numbers("granted", consent)
        cases = OF_CASES[columns.kind].nonzero()[0]
        out[cases, arrays.WORD] = columns.hashes("case", cases)
        out[cases, arrays.FLAG] = columns.numbers("closed", cases) | columns.numbers("satisfied", cases)


def _plain(numbers: Ints) -> Ints:
    """Compiled functions are compiled for each kind of array: this one, as the scanner makes it, is enough."""
    return np.require(numbers, requirements=["C", "W"])


def _looked_at(catalog: Catalog) -> tuple[set[str], set[str]]:
    """(number fields, text fields) that the catalog names."""
    each = [x for effects in catalog.effects.values() for x in effects] + [
        x for touched in catalog.touches.values() for x in touched
    ]
    numbers = {x.value.field for x in each if x.value.field and not x.value.text}
    texts = {x.value.field for x in each if x.value.text and x.value.field != HOUR} | {
        field for x in each for field, _ in x.where.texts
    }
    return numbers, texts
