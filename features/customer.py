"""The customer core: a batch of clean events and the customers' records in; new records and feature rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from itertools import chain
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from features.amounts import Touches
from features.building import build_catalog
from features.catalog import Catalog
from features.columns import ANSWERED, COMPLAINT, CONFIRMED, CONSENT, KINDS, Columns, Decoder
from features.job import Batch, Clock
from features.kernel import arrays, shelves
from features.kernel.advance import Outcome, advance
from features.kernel.arrays import FIVE_MS, LATE_MS, Floats, Ints
from features.kernel.linear import logits
from features.kernel.merging import Merged, merge
from features.kernel.rows import rows_as_of
from features.layout import Layout
from features.quiet import ALWAYS_AWAKE, QuietHours
from features.record import CorruptRecord, Record, WrongLayout, decode_record
from features.records import Records
from features.times import DAY_MS, HOUR_MS, parse_duration
from features.zones import ZoneTable

NOBODY = 0xFFFF_FFFF_FFFF  # no purpose has this code


class Wait(Struct, frozen=True):
    """A rule that looks again a while after an event of a kind: `wait` is ms, or thousandths of the customer's rhythm;
    ms from the event, or from the moment that it names."""

    kind: str
    rule: int
    wait: int
    how: int = arrays.A_WHILE
    hold: bool = False  # not asked in quiet hours, but when they end
    yearly: bool = False  # asked again every year


class Dates(Struct, frozen=True):
    """A rule that looks at dates, for everybody: by the wall clock of where somebody is, as if it were UTC, in ms."""

    rule: int
    wall_ms: tuple[int, ...]  # in order
    hold: bool = False  # not asked in quiet hours, but when they end


class Label(Struct, frozen=True):
    """What models learn from: rows, how long it took until the next order, and what was spent after them."""

    columns: list[int] = []
    horizons: list[tuple[int, int]] = []  # how long the next order is waited for: a length, and what that is
    spend_ms: int = 0  # how far ahead spend is counted; 0: not at all


class Applied(Struct):
    """What came of a batch."""

    customers: list[str]
    records: Records
    ledgers: Ints  # by customer: where in the record the ledger starts
    referred: Ints  # by customer: when somebody last said to have brought them; 0: nobody
    wakes: Ints  # [customers, 2]: when to look at the customer again, before and after
    repeated: Any  # by event: applied before
    rows: Floats  # [asked, features]
    asked: Ints  # [asked, arrays.ASKED]: whose, which event or timer, as of when
    inputs: Floats  # [labelled, inputs]: the rows that got their label
    labelled: Ints  # [labelled, arrays.LABELLED + horizons]
    touches: Touches

    @property
    def has_ledger(self) -> npt.NDArray[np.bool_]:
        """By customer: whether policy had decided anything before the batch."""
        return np.asarray(self.records.ends - self.records.starts > self.ledgers, dtype=np.bool_)

    def ledger(self, who: int) -> bytes:
        """A customer's, packed."""
        return self.records.at(who, int(self.ledgers[who]))

    def with_ledger(self, who: int, ledger: bytes) -> None:
        """Puts another one behind the record."""
        self.records.put(who, self.records.at(who)[: int(self.ledgers[who])] + ledger)


class Damaged(CorruptRecord):
    """`customer`'s record is none."""

    def __init__(self, customer: str) -> None:
        super().__init__(f"the record of customer {customer} cannot be read")
        self.customer = customer


class Core:
    """Applies batches for a catalog, the kinds somebody asks about, the rules that wait and the label."""

    def __init__(
        self,
        catalog: Catalog,
        wanted: set[str] | None = None,
        waits: list[Wait | Dates] | None = None,
        label: Label | None = None,
        purpose: str = "",
        earlier: list[Layout] | None = None,
        also: Iterable[str] = (),
        quiet: QuietHours = ALWAYS_AWAKE,
    ) -> None:
        """`wanted`: kinds whose events get a feature row, by default all; `purpose`: whose consent is told;
        `earlier`: layouts that records may still be written in; `also`: further fields of events to read;
        `quiet`: when rules that hold do not look."""
        self.catalog = catalog
        self.layouts = [catalog.layout, *(layout for layout in earlier or () if layout.id != catalog.layout.id)]
        self.zones = ZoneTable()
        self.decoder = Decoder(catalog, self.zones, also)
        self.features = len(catalog.names)
        asked = set(KINDS) if wanted is None else wanted
        self.program = _program(catalog, asked, waits or [], label or Label(), purpose, self.layouts, quiet)

    def columns(self, batch: Batch, clock: Clock) -> Columns:
        return self.decoder.columns(batch, clock)

    def apply(
        self,
        columns: Columns,
        idle: list[str],
        records: Mapping[str, bytes],
        lacking: Set[str] = frozenset(),
        before_ms: int = 0,
    ) -> Applied:
        """Applies the events, and fires the timers also of the `idle`. `lacking`: who may lack timers, as rules have
        come since their last event; `before_ms`: the clock before the batch, by which all that was due has fired.
        Raises Damaged, WrongLayout."""
        customers = columns.customers.followed_by(idle)
        events, touches = self.decoder.events(columns)
        ends = np.cumsum(np.bincount(columns.who, minlength=len(customers)), dtype=np.int64)
        known = Records.of(records)
        starts, stops = map(np.concatenate, zip(known.spans(columns.customers), known.spans(idle), strict=True))
        order, clock_ms = np.argsort(columns.who, kind="stable"), columns.clock.now_ms
        lacks = np.zeros(len(customers), np.uint8)
        if lacking:
            lacks[:] = [name in lacking for name in customers]
        room = len(events) + 2 * len(idle) + 64
        while True:
            batch = (events, touches.rows, order, ends, clock_ms, before_ms)
            held = (known.text, starts, stops, lacks)
            done = advance(self.program, self.zones.packed, *batch, *held, self.features, room)
            if done.status == arrays.DONE:
                return _applied(customers, done, touches)
            if done.status == arrays.NEEDS_ROOM:
                room *= 2
            elif done.status == arrays.NEEDS_ZONE:
                self.zones.add_known(done.detail)
            else:
                self._refuse(done.status, customers[done.detail])

    def row(self, record: bytes, at_ms: int) -> list[float]:
        """One value per name of the catalog as of `at_ms`; NaN where there is none. Raises Damaged, WrongLayout."""
        return self.rows({"": record}, at_ms)[0].tolist()  # type: ignore[no-any-return]

    def rows(self, records: Mapping[str, bytes], at_ms: int) -> Floats:
        """float64[records, features] as of `at_ms`; NaN where there is no value. Raises Damaged, WrongLayout."""
        blob = np.frombuffer(b"".join(records.values()) or b"\0", dtype=np.uint8)
        ends = np.cumsum([len(record) for record in records.values()], dtype=np.int64)
        while True:
            view = (self.program, self.zones.packed, blob, ends, at_ms, self.features)
            status, detail, reached, rows = rows_as_of(*view)
            if status == arrays.DONE:
                return rows
            if status != arrays.NEEDS_ZONE:
                self._refuse(status, list(records)[reached])
            self.zones.add_known(detail)

    def unpacked(self, record: bytes) -> Record:
        """A packed record, or nothing, as it is written today, whatever layout it was written in.

        Raises WrongLayout, Damaged.
        """
        now = self.merge(record, b"", 0)
        return decode_record(now.record.tobytes() + record[now.ledger :], self.catalog.layout.id, self.catalog.cells)

    def merge(self, record: bytes, other: bytes, clock_ms: int) -> Merged:
        """Two customers' records as one, without ledgers; either may be empty. Raises Damaged, WrongLayout."""
        blob = np.frombuffer(record + other or b"\0", dtype=np.uint8)
        ends = (len(record), len(record) + len(other), clock_ms, self.features)
        while True:
            done = merge(self.program, self.zones.packed, blob, *ends)
            if done.status == arrays.DONE:
                return done
            if done.status != arrays.NEEDS_ZONE:
                self._refuse(done.status, "")
            self.zones.add_known(done.detail)

    def _refuse(self, status: int, customer: str) -> None:
        if status == arrays.WRONG_LAYOUT:
            raise WrongLayout(
                f"the record of customer {customer} was written under other measures or by another version:"
                " rebuild the state by replay under a new redis.prefix"
            )
        raise Damaged(customer)


def compile_kernel() -> None:
    """Compiles what is not in Numba's cache yet; else the first batch of a fresh installation would wait for it."""
    measures = {
        "orders": {"order": 1},
        "early": {"order": 1, "where": {"hour": [5, 10], "channel": "app"}},
        "store": {"order": "store", "aggregate": "top", "half_life": "1d"},
        "sweet": {"order": "options.sugar", "aggregate": "last"},
    }
    core = Core(build_catalog({"windows": ["1h"], "measures": measures}))
    order = (
        b'{"type":"order","id":"1","customer":"c","at_ms":1,"store":"s","channel":"app","tz":"UTC",'
        b'"lines":[{"sku":"t","options":{"sugar":"half"}}]}'
    )
    columns = core.columns(Batch("events", 0, -1, [0], [order], [0]), Clock())
    applied = core.apply(columns, [], {})
    applied.touches.words(columns.scanned, {})
    record = applied.records["c"]
    core.row(record, 1)
    core.merge(record, record, 1)
    _compile_shelves(applied.records)
    none = np.zeros(1, dtype=np.float64)
    logits(applied.rows, np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.int64), none, none, none, none)


def _compile_shelves(records: Records) -> None:
    text, (starts, ends), (names, bounds) = records.text, records.spans(records.names), records.names.packed
    table, kept = np.zeros((2, shelves.ROW), dtype=np.int64), np.zeros(2 * len(text) + 99, dtype=np.uint8)
    shelves.put(names, bounds, text, starts, ends, table, kept, 0)
    shelves.take(names, bounds, shelves.widened(table, 4), kept, table, kept)
    shelves.drop(names, bounds, table, kept)
    shelves.words_of(names, bounds, text, starts, ends)


def _applied(customers: list[str], done: Outcome, touches: Touches) -> Applied:
    starts = np.append(0, done.ends)[:-1]
    return Applied(
        customers=customers,
        records=Records(customers, done.blob, starts, done.ends),
        ledgers=done.ledgers - starts,
        referred=done.referred,
        wakes=done.wakes,
        repeated=done.repeated,
        rows=done.rows,
        asked=done.asked,
        inputs=done.inputs,
        labelled=done.labelled,
        touches=touches,
    )


def _program(
    catalog: Catalog,
    wanted: set[str],
    waits: list[Wait | Dates],
    label: Label,
    purpose: str,
    layouts: list[Layout],
    quiet: QuietHours,
) -> Ints:
    """The kernel's program: its numbers, then its lists. `layouts`: the own one first."""
    lists: list[int] = []

    def place(numbers: Iterable[int]) -> int:
        start = arrays.PROGRAM + len(lists)
        lists.extend(numbers)
        return start

    table_at = arrays.LAST + len(KINDS)
    life = table_at + arrays.TABLE * len(catalog.tables)
    waiting = life + catalog.cells
    words = (len(label.columns) + 1) // 2
    cells = waiting + 3 * words
    totals = cells + arrays.PANES * catalog.cells
    points = catalog.cents_per_point
    yearly = [wait.rule for wait in waits if isinstance(wait, Wait) and wait.yearly]
    dated = [wait for wait in waits if isinstance(wait, Dates)]
    numbers = {
        arrays.WIDTH: catalog.cells,
        arrays.SUMS: catalog.ends[0],
        arrays.GREATEST: catalog.ends[1],
        arrays.LEAST: catalog.ends[2],
        arrays.TABLES: len(catalog.tables),
        arrays.KINDS: len(KINDS),
        arrays.INPUTS: len(label.columns),
        arrays.WINDOWS: len(catalog.windows),
        arrays.LAYOUTS: len(layouts),
        arrays.COLUMNS: len(catalog.columns),
        arrays.READS: len(catalog.reads),
        arrays.RECENCIES: len(catalog.recencies),
        arrays.RATIOS: len(catalog.ratios),
        arrays.BANDS: len(catalog.bands),
        arrays.SEGMENTS: len(catalog.segments),
        arrays.KEPT_DAYS: catalog.kept_days + LATE_MS // DAY_MS + 1,
        arrays.HORIZONS: len(label.horizons),
        arrays.SPEND_MS: label.spend_ms,
        arrays.SPEND: catalog.spend,
        arrays.PURPOSE: crc32(purpose.encode()) if purpose else NOBODY,
        arrays.QUIET_FROM: quiet.from_ms,
        arrays.QUIET_MS: quiet.length_ms,
        arrays.HELD: sum(wait.hold for wait in waits),
        arrays.YEARLY: len(yearly),
        arrays.DATED: len(dated),
        arrays.ORDERS: catalog.orders,
        arrays.POINT_CENTS: points,
        arrays.ORDER: KINDS["order"],
        arrays.VOID: KINDS["void"],
        arrays.COMPLAINT: COMPLAINT,
        arrays.ANSWERED: ANSWERED,
        arrays.CONFIRMED: CONFIRMED,
        arrays.CONSENT: CONSENT,
        arrays.REFERRED: KINDS["referred"],
        arrays.TABLE_AT: table_at,
        arrays.LIFE: life,
        arrays.WAITING: waiting,
        arrays.SPENDING: waiting + words,
        arrays.AFTERWARDS: waiting + 2 * words,
        arrays.CELLS: cells,
        arrays.TOTALS: totals,
        arrays.STATE: totals + len(catalog.windows) * catalog.cells,
        arrays.AT_LAYOUT: place(
            chain(*[_layout(layout, layouts[0], place(layouts[0].places(layout))) for layout in layouts])
        ),
        arrays.AT_TABLE: place(chain(*catalog.tables)),
        arrays.AT_WINDOW: place(chain(*_windows(catalog))),
        arrays.AT_COLUMN: place(chain(*catalog.columns)),
        arrays.AT_READ: place(
            chain(
                *[
                    (what, table, place(catalog.ladders[argument]) if what == arrays.KEPT else argument)
                    for what, table, argument in catalog.reads
                ]
            )
        ),
        arrays.AT_RECENCY: place(chain(*((KINDS[kind], unit_ms) for kind, unit_ms in catalog.recencies))),
        arrays.AT_RATIO: place(chain(*catalog.ratios)),
        arrays.AT_BAND: place(
            chain(*[(column, len(cuts), less, place(map(_bits, cuts))) for column, cuts, less in catalog.bands])
        ),
        arrays.AT_SEGMENT: place(chain(*[(len(s), place(chain(*map(_segment, s)))) for s in catalog.segments])),
        arrays.AT_HELD: place(wait.rule for wait in waits if wait.hold),
        arrays.AT_YEARLY: place(yearly),
        arrays.AT_DATED: place(chain(*[(one.rule, place(one.wall_ms), len(one.wall_ms)) for one in dated])),
        arrays.AT_INPUT: place(label.columns),
        arrays.AT_HORIZON: place(chain(*label.horizons)),
        arrays.AT_KIND: place(chain(*[_kind(kind, catalog, wanted, waits, label, place) for kind in KINDS])),
    }
    return np.array([*(numbers[i] for i in range(arrays.PROGRAM)), *lists], dtype=np.int64)


Place = Callable[[Iterable[int]], int]


def _kind(
    kind: str, catalog: Catalog, wanted: set[str], waits: list[Wait | Dates], label: Label, place: Place
) -> tuple[int, ...]:
    effects = {effect.cell: effect.value.undo for effect in catalog.effects.get(kind, ())}
    after = [(wait.rule, wait.wait, wait.how) for wait in waits if isinstance(wait, Wait) and wait.kind == kind]
    asked = kind in wanted or (kind == "order" and (label.spend_ms > 0 or label.horizons != []))
    return kind in DEALS, asked, place(chain(*effects.items())), len(effects), place(chain(*after)), len(after)


def _layout(layout: Layout, own: Layout, places: int) -> tuple[int, ...]:
    return layout.id, len(layout.cells), len(layout.tables), places, layout.inputs == own.inputs


def _segment(ranges: list[tuple[int, float, float]]) -> Iterable[int]:
    return (len(ranges), *chain(*((column, _bits(low), _bits(high)) for column, low, high in ranges)))


def _bits(number: float) -> int:
    return int(np.float64(number).view(np.int64))


DEALS = {"order", "refund", "void", "coupon_issued", "coupon_redeemed", "coupon_expired"}


def _windows(catalog: Catalog) -> list[tuple[int, int, int]]:
    """What each is made of, how many of that, and where its cells stand; of a kind, the shortest first."""
    return sorted((*_made_of(window), number * catalog.cells) for number, window in enumerate(catalog.windows))


def _made_of(window: str) -> tuple[int, int]:
    """What a window is made of, and how many of that."""
    if window == "lifetime":
        return arrays.LIFETIME, 0
    length_ms = parse_duration(window)
    if window.endswith("d"):
        return arrays.DAYS, length_ms // DAY_MS
    return (arrays.FIVES, length_ms // FIVE_MS) if length_ms <= HOUR_MS else (arrays.HOURS, length_ms // HOUR_MS)
