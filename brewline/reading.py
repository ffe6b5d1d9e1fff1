"""Features as of a time, for programs: `Features.open().read("c1f…", at="2026-05-01T08:00+08:00")`.

What a row as of `at` means. It is made of all events that the customers flow has applied so far, whatever `at` is.

- From the customer's newest event on, it is exact: the row that the flow itself would give to an event that
  came then. A window starts at the edge of its pane: five minutes in 1h, an hour in 24h, a store-local day in
  the longer ones. Events that are in Kafka and not yet applied are not in it.
- Before the newest event it is no look into the past. Windows count what the panes that are left hold up to the pane
  of `at`: 1h and 24h are whole up to a day before the newest event and lack events before that; windows of days
  count whole days once a day is merged, 49 hours before the newest event, and lack what fell out of retention;
  what a void or a refund took back since is gone. Sums over the lifetime, `rhythm_days` and `complaints_open`
  are those of now, and what counts from an event after `at` is 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, defstruct
from redis import Redis
from redis.exceptions import ConnectionError, TimeoutError

from config.settings import Settings, load
from features.catalog import Catalog
from features.customer import Core
from features.declared import hint
from features.kernel.arrays import Floats, Ints
from features.record import Record
from features.times import parse_moment
from flows.files import load_catalog
from flows.keys import load_pseudonyms
from operators.customers import find_customers, laid_out, read_records, read_words
from operators.layout import stored_layouts
from operators.redis_link import connect_redis, unreachable

Moment = str | int | datetime | None  # RFC 3339 with offset, epoch ms, with time zone; None: now
Row = dict[str, float | str | None]
SHAPES = 100  # that are remembered
_MINUTE = re.compile(r"([T ]\d\d:\d\d)(?=[Zz+-])")


class Shape(Struct, frozen=True):
    """Rows of some features. `texts`: of those that are words, where in the row and the steps they are of; `free`:
    columns of those that can be any word."""

    places: Ints
    row: type[Struct]
    texts: list[tuple[int, list[str]]]
    free: Ints

    @classmethod
    def of(cls, catalog: Catalog, names: Sequence[str]) -> Shape:
        """Raises ValueError."""
        for name in names:
            if name not in catalog.names:
                raise ValueError(f"there is no feature {name!r}{hint(name, catalog.names)}")
        fields = {f"_{place}": name for place, name in enumerate(names)}
        row = defstruct("Row", [(field, float | str | None) for field in fields], rename=fields)
        texts = [(place, catalog.texts[name]) for place, name in enumerate(names) if name in catalog.texts]
        free = [name for name in names if catalog.texts.get(name) == []]
        return cls(_places(catalog, names), row, texts, _places(catalog, free))


class Features:
    """Reads customers' features from Redis; writes nothing. One for each thread."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        """Raises NoState."""
        self.settings = settings
        self.redis = redis
        self.catalog = load_catalog(settings)
        self.names = self.catalog.names
        with self._answering():
            self.partitions = laid_out(redis, settings.redis.prefix)
            layouts = stored_layouts(redis, settings.redis.prefix)
        self.core = Core(self.catalog, earlier=list(layouts.values()))
        self.layout = layouts.get(f"{self.catalog.layout.id:08x}", self.catalog.layout)
        self.shapes: dict[tuple[str, ...], Shape] = {(): Shape.of(self.catalog, self.names)}
        self.words: dict[int, str] = {}  # the texts of the codes met so far

    @classmethod
    def open(cls, file: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Features:
        """With the settings of the flows: `file` or $BREWLINE_SETTINGS, then the environment.

        Raises WrongSettings, Unreachable, NoState.
        """
        settings = load(file, environ)
        return cls(settings, connect_redis(settings.redis.url, settings.redis.start_timeout_s))

    def read(self, customer: str, at: Moment = None) -> Row | None:
        """Name → number or text, None for a value that there is not; None for a customer of whom nothing is known.

        `customer` is a customer id, or an identifier such as `card:123` (which needs the key of the pseudonyms).
        Raises Unreachable, WrongLayout, Damaged.
        """
        return self.read_many([customer], at).get(customer)

    def read_many(self, customers: Iterable[str], at: Moment = None) -> dict[str, Row]:
        """The rows of those who are known, by what was asked for. Raises Unreachable, WrongLayout, Damaged."""
        return self.rows(*self.matrix(customers, at))

    def matrix(self, customers: Iterable[str], at: Moment = None) -> tuple[list[str], Floats]:
        """Those who are known, in the order asked, and float64[known, names], NaN where there is no value.

        A feature that is a text is told by a number: the code of the text, or which of its steps it is, from 1.
        """
        at_ms, ids = moment_ms(at), self._ids(list(dict.fromkeys(customers)))
        records = self.records(ids.values())
        known, places = [asked for asked in ids if ids[asked] in records], {id: i for i, id in enumerate(records)}
        return known, self.core.rows(records, at_ms)[np.array([places[ids[asked]] for asked in known], dtype=np.int64)]

    def rows(self, customers: list[str], matrix: Floats) -> dict[str, Row]:
        """A matrix in plain words."""
        columns: list[Sequence[Any]] = matrix.T.tolist()
        for place in np.flatnonzero(np.isnan(matrix).any(axis=0)).tolist():
            columns[place] = [None if value != value else value for value in columns[place]]
        for name, steps in self.catalog.texts.items():
            place = self.names.index(name)
            columns[place] = self._spelt(columns[place], steps)
        rows = zip(*columns, strict=True)
        return {who: dict(zip(self.names, row, strict=True)) for who, row in zip(customers, rows, strict=True)}

    def shape(self, names: tuple[str, ...]) -> Shape:
        """Of the features named; of none: of all. Raises ValueError for a name that is no feature's."""
        if names not in self.shapes:
            if len(self.shapes) >= SHAPES:
                self.shapes = {(): self.shapes[()]}
            self.shapes[names] = Shape.of(self.catalog, names)
        return self.shapes[names]

    def structs(self, customers: list[str], matrix: Floats, shape: Shape) -> dict[str, Struct]:
        """As `rows`, objects that are written as JSON in half the time; of texts, those that `learn` has read."""
        rows: list[list[Any]] = matrix[:, shape.places].tolist()  # NaN is written as null
        for place, steps in shape.texts:
            find = self._finder(steps)
            for row in rows:
                row[place] = find(row[place])
        return {who: shape.row(*row) for who, row in zip(customers, rows, strict=True)}

    def strange(self, matrix: Floats, shape: Shape) -> set[int]:
        """Codes of texts that have not been met so far."""
        codes = set(matrix[:, shape.free].ravel().tolist())
        return {int(code) for code in codes if code not in self.words and code == code}

    def learn(self, codes: Collection[int]) -> None:
        """Reads the texts behind codes. Raises Unreachable."""
        with self._answering():
            self.words |= read_words(self.redis, self.settings.redis.prefix, self.partitions, codes)

    def _spelt(self, codes: Sequence[float | None], steps: list[str]) -> list[str | None]:
        if not steps and (strange := {code for code in codes if code is not None and code not in self.words}):
            self.learn(set(map(int, strange)))
        return [*map(self._finder(steps), codes)]

    def _finder(self, steps: list[str]) -> Callable[[float | None], str | None]:
        """Text by code: a float finds the whole number it equals, and NaN and None find nothing."""
        found: dict[Any, str] = dict(enumerate(steps, 1)) if steps else self.words
        return found.get

    def since_ms(self, name: str) -> int:
        """Since when a feature counts, epoch ms; 0: from the beginning."""
        return self.layout.counted_since_ms(self.catalog.kept_in[name], self.catalog.days_of[name])

    def records(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The packed records of those customer ids that have one."""
        with self._answering():
            return read_records(self.redis, self.settings.redis.prefix, self.partitions, ids)

    def unpacked(self, raw: bytes) -> Record:
        """A record as it is written today, whatever layout it was written in. Raises WrongLayout, Damaged."""
        return self.core.unpacked(raw)

    def _ids(self, asked: list[str]) -> dict[str, str]:
        """Customer ids by what was asked for; without those identifiers that nobody is known by."""
        secret = load_pseudonyms(self.settings) if any(":" in who for who in asked) else None
        with self._answering():
            return find_customers(self.redis, self.settings.redis.prefix, secret, asked)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, TimeoutError) as error:
            raise unreachable(self.settings.redis.url, error) from error

    def close(self) -> None:
        self.redis.close()


def _places(catalog: Catalog, names: Sequence[str]) -> Ints:
    return np.array([catalog.index(name) for name in names], dtype=np.int64)


def moment_ms(at: Moment) -> int:
    """Epoch ms; seconds may be left out of a text. Raises ValueError for a time without an offset."""
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError(f"at: found {at.isoformat()} without a time zone, expected one with")
        return round(at.timestamp() * 1000)
    if at is None:
        return round(datetime.now(timezone.utc).timestamp() * 1000)
    return parse_moment(_MINUTE.sub(r"\1:00", at) if isinstance(at, str) else at)
