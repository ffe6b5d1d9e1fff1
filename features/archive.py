"""An archive: clean events kept as columns, so that nobody parses them again.

One row is one event. Rows stand by partition and share (all that some customers did), in log order; `place` is where in
the partition's log a row stood, `who` the customer's number within the share, `id_hash` what the core calls the event
by. A row of type `tick`, in share -1, is a moment at which the partition's clock moved, to `at_ms`. An empty text is
null.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct

from features.columns import FIELDS, NAMES, TICK, UNASKED, event_fields, written
from features.declared import LINE_TEXTS, OPTIONS, text_fields, whole_numbers
from features.events import Forget, Merge, decode_clean
from features.fields import Field, Scanned, Scanner, Words
from features.job import Clock
from features.kernel.scan import DECIMAL, FLAG, TEXT, WHOLE

SHARE = 65_536  # events, or thereabouts: what is made of them stays in the cache
PLACES = {"partition": pl.Int32, "share": pl.Int32, "place": pl.Int64, "who": pl.Int32, "id_hash": pl.Int64}
MANY = ("id", "customer", "case", "order", "coupon", "friend")  # texts of which there are about as many as events
TYPES = {TEXT: pl.Categorical(), WHOLE: pl.Int64(), FLAG: pl.Boolean(), DECIMAL: pl.Float64()}
OF_LINE = "lines."


class _Chosen(Struct):
    options: dict[str, str] = {}


class _Ordered(Struct):
    lines: list[_Chosen] = []


_decode_ordered = msgspec.json.Decoder(_Ordered).decode


@cache
def fields() -> dict[str, int]:
    """Every field of clean events that a feature or a rule can look at, and how it is read."""
    found = {name: how for how, names in FIELDS.items() for name in names}
    for kind in (name for name in NAMES if name not in UNASKED):
        found |= dict.fromkeys(sorted(whole_numbers(kind) - {"items", "star_tenths"}), WHOLE)
        found |= dict.fromkeys(sorted(text_fields(kind) - set(LINE_TEXTS)), TEXT)
    found |= {"items": WHOLE, "sku": TEXT, "category": TEXT}
    return found | {written(name): how for name, (how, _) in event_fields().items()}


def column_type(name: str, how: int) -> Any:
    if name == "type":
        return pl.Enum(NAMES)
    return pl.String() if name in MANY else TYPES[how]


class Archiver:
    """Takes the log of one partition, a run of records at a time."""

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self.next = 0
        self.clock = Clock()
        self.malformed = 0

    def rows(self, values: list[bytes], offsets: list[int] | None = None) -> pl.DataFrame:
        """The events and the moves of the clock among the next records; what is neither is left out, and counted."""
        places = np.arange(self.next, self.next + len(values)) if offsets is None else np.array(offsets, dtype=np.int64)
        scanner = Scanner([Field(name, how) for name, how in fields().items()], _line_fields(values), "type")
        scanned = scanner.scan(values)
        kind = scanned.find(scanner.fields["type"], Words(NAMES))
        events = np.flatnonzero((kind >= 0) & (kind != TICK) & scanned.filled(scanner.fields["customer"]))
        self.malformed += int((kind < 0).sum())
        found = [self._events(scanner, scanned, kind, events, places), self._moves(scanner, scanned, kind, places)]
        self.next = int(places[-1]) + 1 if len(places) else self.next
        return pl.concat([rows for rows in found if rows.height] or found[:1], how="diagonal")

    def _events(self, scanner: Scanner, scanned: Scanned, kind: Any, events: Any, places: Any) -> pl.DataFrame:
        columns = {name: _column(scanned, scanner.fields[name], name, how, events) for name, how in fields().items()}
        columns["type"] = pl.Series([NAMES[k] for k in kind[events].tolist()], dtype=pl.Enum(NAMES))
        columns["id_hash"] = pl.Series(scanned.hashes(scanner.fields["id"], events))
        frame = pl.DataFrame(columns).with_columns(self._at(places[events])).with_row_index("row")
        return frame.join(_lines(scanner, scanned, events), on="row", how="left").drop("row")

    def _moves(self, scanner: Scanner, scanned: Scanned, kind: Any, places: Any) -> pl.DataFrame:
        moved: list[tuple[int, int]] = []
        for i in np.flatnonzero(kind == TICK).tolist():
            of, at_ms = (int(scanned.values[scanner.fields[name], i]) for name in ("of", "at_ms"))
            before_ms, [source] = self.clock.now_ms, scanned.texts(scanner.fields["source"], [i])
            self.clock = self.clock.moved(source, of, at_ms)
            if self.clock.now_ms != before_ms:
                moved.append((i, self.clock.now_ms))
        at, clocks = np.array(moved, dtype=np.int64).reshape(-1, 2).T
        frame = pl.DataFrame({"at_ms": clocks}).with_columns(self._at(places[at]))
        return frame.with_columns(type=pl.lit("tick", pl.Enum(NAMES)))

    def _at(self, places: Any) -> list[Any]:
        return [
            pl.lit(self.partition, pl.Int32).alias("partition"),
            pl.Series("place", places, dtype=pl.Int64),
        ]


def _line_fields(values: list[bytes]) -> list[Field]:
    """What is kept of an order's lines, with every option that these orders name."""
    options: set[str] = set()
    for value in values:
        if b'"options":' in value:
            options |= _options(value)
    names = [*LINE_TEXTS, *(OPTIONS + name for name in sorted(options))]
    return [Field("qty", WHOLE, 1), *(Field(name, TEXT) for name in names)]


def _options(value: bytes) -> set[str]:
    try:
        return {name for line in _decode_ordered(value).lines for name in line.options}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return set()


def _column(scanned: Scanned, field: int, name: str, how: int, rows: Any) -> pl.Series:
    if how == TEXT:
        return _texts(scanned.texts(field, rows), column_type(name, how))
    values = scanned.values[field][rows]
    return pl.Series(values.view(np.float64) if how == DECIMAL else values).cast(column_type(name, how))


def _texts(texts: list[str], dtype: Any) -> pl.Series:
    return pl.Series([text or None for text in texts], dtype=pl.String).cast(dtype)


def _lines(scanner: Scanner, scanned: Scanned, events: Any) -> pl.DataFrame:
    """By row of an event with lines: a list for each field of a line."""
    counts, first = scanned.line_count[events], scanned.first_line[events]
    at = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    columns = {"row": pl.Series(np.repeat(np.arange(len(events)), counts)).cast(pl.UInt32)}
    for name, field in scanner.of_line.items():
        starts, ends = scanned.line_values[field][at], scanned.line_ends[field][at]
        if name == "qty":
            columns[OF_LINE + name] = pl.Series(starts)
        else:
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            columns[OF_LINE + name] = _texts([scanned.text[a:b].decode() for a, b in pairs], pl.Categorical())
    return pl.DataFrame(columns).group_by("row", maintain_order=True).agg(pl.all())


class Told(Struct):
    """What clean events say of customers as such."""

    merges: dict[str, str] = {}  # merged away → into whom
    forgotten: set[str] = set()

    def hear(self, values: Iterable[bytes]) -> None:
        for value in values:
            if b'"type":"merge"' in value or b'"type":"forget"' in value:
                self._hear(value)

    def _hear(self, value: bytes) -> None:
        try:
            word = decode_clean(value)
        except (ValueError, RecursionError):
            return  # it says nothing to the flows either
        if isinstance(word, Merge):
            self.merges[word.customer] = word.into
        elif isinstance(word, Forget):
            self.forgotten.add(word.customer)


def in_shares(parts: Iterable[pl.DataFrame], told: Told | None = None, size: int = SHARE) -> pl.DataFrame:
    """All rows as an archive, in shares of about so many events.

    Who was merged is one customer from the beginning; of who was forgotten there is nothing.
    """
    told = told or Told()
    rows = pl.concat(list(parts), how="diagonal")
    events = _as_one(rows.filter(pl.col("type") != "tick"), told.merges)
    events = events.filter(~pl.col("customer").is_in(list(told.forgotten)))
    shares = max(1, -(-events.height // size))
    share = (pl.col("customer").hash(seed=1) % shares).cast(pl.Int32)
    first = pl.col("place").min().over("partition", "customer")
    events = events.with_columns(share=share, first=first)
    who = (pl.struct("first", "customer").rank("dense").over("partition", "share") - 1).cast(pl.Int32)
    ticks = rows.filter(pl.col("type") == "tick").with_columns(share=pl.lit(-1, pl.Int32))
    whole = pl.concat([ticks, events.with_columns(who=who).drop("first")], how="diagonal")
    known = [*PLACES, *fields()]
    order = known + [name for name in whole.columns if name not in known]
    return whole.select(order).sort("partition", "share", "place", maintain_order=True)


def _as_one(events: pl.DataFrame, merges: dict[str, str]) -> pl.DataFrame:
    """Those merged away under the name, and in the partition, of whom they were merged into."""
    roots = {customer: _root(customer, merges) for customer in merges}
    if not roots:
        return events
    home = pl.col("partition").last().over("customer", order_by="at_ms")
    events = events.with_columns(pl.col("customer").replace(roots)).with_columns(home=home)
    stays = pl.col("partition") == pl.col("home")
    staying, going = events.filter(stays), events.filter(~stays).partition_by("home")
    return pl.concat([staying, *(_moved(part, staying) for part in going)]).drop("home")


def _moved(events: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Events that come to another partition, before the first there that is later than they are."""
    others = others.filter(pl.col("partition") == events["home"][0]).sort("place")
    places = np.append(others["place"].to_numpy(), others["place"][-1] + 1)
    place = places[np.searchsorted(others["at_ms"].cum_max().to_numpy(), events["at_ms"].to_numpy())]
    return events.with_columns(partition=pl.col("home"), place=pl.Series(place))


def _root(customer: str, merges: dict[str, str]) -> str:
    while customer in merges:
        customer = merges[customer]
    return customer
