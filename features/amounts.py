"""What a batch's events add to cells and tables, as the catalog declares it: columns for the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from features.catalog import Catalog
from features.declared import HOUR, Value, Where, of_lines
from features.fields import Scanned
from features.kernel import arrays
from features.kernel.arrays import Ints
from features.kernel.clocks import local_times
from features.kernel.words import first_of_each, hash_texts, hashes
from features.times import hour_of, weekday_of

Mask = npt.NDArray[np.bool_]
EVERYWHERE = Where()
CODE_BITS = np.uint64(52)  # a text's code is a whole number that a float holds exactly
_SHIFT = np.uint64(64) - CODE_BITS


MOST_WORDS = 65_536  # that a partition keeps


class Texts(Struct):
    """Texts of events, by where they stand in the batch's bytes; `event` is an index among the events of a kind."""

    event: Ints
    starts: Ints
    ends: Ints
    weights: Ints


class Touches(Struct):
    """int64[n, arrays.TOUCH] in log order, how many each event has, and the texts that codes stand for."""

    rows: Ints
    counts: Ints
    codes: Ints
    starts: Ints
    ends: Ints

    def words(self, scanned: Scanned, known: Mapping[int, str]) -> dict[int, str]:
        """The texts behind the codes that are not `known` yet."""
        first = first_of_each(self.codes)
        each = zip(self.codes[first].tolist(), self.starts[first].tolist(), self.ends[first].tolist(), strict=True)
        return {code: scanned.text[start:end].decode() for code, start, end in each if code not in known}


def with_room(words: dict[int, str], known: int) -> dict[int, str]:
    """Those for which a partition that knows so many has room; a code without a word is read as no text."""
    return dict(islice(words.items(), max(0, MOST_WORDS - known)))


class Kind:
    """The events of one type in a batch. `rows` are their places among the batch's events, `objects` in the batch."""

    def __init__(
        self, name: str, rows: Ints, objects: Ints, moments: Ints, zones: Ints, scanned: Scanned, fields: Fields
    ) -> None:
        self.name = name
        self.rows = rows
        self.objects = objects
        self.moments = moments  # int64[n, 3]: at_ms, ordered_ms, zone
        self.zones = zones
        self.scanned = scanned
        self.fields = fields
        self.masks: dict[tuple[Where, bool], Mask] = {}
        self.indexes: dict[tuple[Where, bool], Ints] = {}

    def numbers(self, value: Value, where: Where) -> Ints:
        """int64[n]: what each adds; 0 where it does not count."""
        if value.field == "items" and self.name == "order":
            weights = self.scanned.line_values[self.fields.of_line["qty"]][self.lines] * self.fitting_lines(where)
            items = np.bincount(self.of_event, weights, len(self.rows)).astype(np.int64)
            return value.sign * items * self.on_time(where, value.undo)
        numbers = value.sign * self._field(value.field)
        return numbers if where == EVERYWHERE else numbers * self.fitting(where, value.undo)

    def texts(self, value: Value, where: Where) -> Texts:
        """Every text that counts and is not empty; that of a line weighs its pieces."""
        if self.name == "order" and of_lines(value.field):
            field, scanned = self.fields.of_line[value.field], self.scanned
            starts, ends = scanned.line_values[field][self.lines], scanned.line_ends[field][self.lines]
            counts = (ends > starts) & self.fitting_lines(where) & self.on_time(where, False)[self.of_event]
            weights = scanned.line_values[self.fields.of_line["qty"]][self.lines]
            return Texts(self.of_event[counts], starts[counts], ends[counts], weights[counts])
        field = self.fields.of_object[value.field]
        starts, ends = self.scanned.values[field][self.objects], self.scanned.ends[field][self.objects]
        index = ((ends > starts) & self.fitting(where, False)).nonzero()[0]
        return Texts(index, starts[index], ends[index], np.ones(len(index), dtype=np.int64))

    @cached_property
    def of_event(self) -> Ints:
        """By line: the event it belongs to."""
        return np.repeat(np.arange(len(self.rows)), self.scanned.line_count[self.objects])

    @cached_property
    def lines(self) -> Ints:
        """The events' lines, one behind the other."""
        counts = self.scanned.line_count[self.objects]
        ends = np.cumsum(counts)
        lines: Ints = np.repeat(self.scanned.first_line[self.objects] - (ends - counts), counts)
        return lines + np.arange(len(lines))

    def _field(self, field: str) -> Ints:
        if not field:
            return np.ones(len(self.rows), dtype=np.int64)
        if field == "star_tenths":
            stars = self.scanned.values[self.fields.of_object["stars"]][self.objects].view(np.float64)
            return np.asarray(np.rint(stars * 10), dtype=np.int64)
        values: Ints = self.scanned.values[self.fields.of_object[field]][self.objects]
        return values

    def fitting(self, where: Where, undo: bool) -> Mask:
        """By event: whether it counts; an order does where one of its lines fits."""
        if (where, undo) not in self.masks:
            mask = self.on_time(where, undo)
            if where.texts and self.name == "order":
                mask = mask & (np.bincount(self.of_event, self.fitting_lines(where), len(self.rows)) > 0)
            for field, wanted in where.texts if self.name != "order" else ():
                mask = mask & self._is(self.fields.of_object[field], wanted)
            self.masks[where, undo] = mask
        return self.masks[where, undo]

    def index(self, where: Where, undo: bool) -> Ints:
        """Which events count."""
        if (where, undo) not in self.indexes:
            self.indexes[where, undo] = self.fitting(where, undo).nonzero()[0]
        return self.indexes[where, undo]

    def fitting_lines(self, where: Where) -> Mask:
        """By line of the orders: whether it and its order have the texts that are asked for."""
        mask = np.ones(len(self.lines), dtype=np.bool_)
        for field, wanted in where.texts:
            if of_lines(field):
                place = self.fields.of_line[field]
                starts, ends = self.scanned.line_values[place][self.lines], self.scanned.line_ends[place][self.lines]
                mask &= _among(hashes(self.scanned.bytes, starts, ends), wanted)
            else:
                mask &= self._is(self.fields.of_object[field], wanted)[self.of_event]
        return mask

    def _is(self, field: int, wanted: tuple[str, ...]) -> Mask:
        return _among(self.scanned.hashes(field, self.objects), wanted)

    def on_time(self, where: Where, undo: bool) -> Mask:
        """By event: whether it falls in the hours and weekdays; what is undone, by the clock of its order."""
        mask = np.ones(len(self.rows), dtype=np.bool_)
        if where.hours or where.weekdays:
            hour, weekday = self._clock(undo)
            mask &= _chosen(where.hours)[hour] if where.hours else True
            mask &= _chosen(where.weekdays)[weekday] if where.weekdays else True
        return mask

    def hours(self) -> Ints:
        return self._clock(False)[0]

    def _clock(self, undo: bool) -> tuple[Ints, Ints]:
        """(hour, weekday) where the events happened."""
        if undo not in self.clocks:
            local_ms = local_times(self.zones, self.moments[:, 2], self.moments[:, 1 if undo else 0])
            self.clocks[undo] = hour_of(local_ms), weekday_of(local_ms)
        return self.clocks[undo]

    @cached_property
    def clocks(self) -> dict[bool, tuple[Ints, Ints]]:
        return {}


def _among(hashed: Ints, wanted: tuple[str, ...]) -> Mask:
    """Which are hashes of these few texts."""
    mask = np.zeros(len(hashed), dtype=np.bool_)
    for one in _hashed(wanted):
        mask |= hashed == one
    return mask


@cache
def _hashed(wanted: tuple[str, ...]) -> list[int]:
    return hash_texts(list(wanted)).tolist()  # type: ignore[no-any-return]


@cache
def _chosen(hours_or_days: tuple[int, ...]) -> Mask:
    """By hour, or by weekday: whether it is one of these."""
    return np.isin(np.arange(24), hours_or_days)


class Fields(Struct):
    """Where in a scanned batch each field stands."""

    of_object: dict[str, int]
    of_line: dict[str, int]


def amounts(catalog: Catalog, kinds: list[Kind], out: Ints) -> None:
    """Fills int64[events, cells]."""
    for kind in kinds:
        for effect in catalog.effects.get(kind.name, ()):
            numbers = kind.numbers(effect.value, effect.where)
            if effect.cell >= catalog.ends[0]:  # 0 is none
                numbers = (numbers + 1) * kind.fitting(effect.where, False)
            out[kind.rows, effect.cell] = numbers


def touches(catalog: Catalog, kinds: list[Kind], events: int) -> Touches:
    """What the events do to tables."""
    parts, places, texts = [], [], []
    for kind in kinds:
        for touch in catalog.touches.get(kind.name, ()):
            if touch.value.field == HOUR:
                index = kind.index(touch.where, False)
                codes, amount = kind.hours()[index], np.ones(len(index), dtype=np.int64)
            elif touch.value.text:
                found = kind.texts(touch.value, touch.where)
                index, amount = found.event, found.weights
                codes = codes_of(hashes(kind.scanned.bytes, found.starts, found.ends))
                texts.append((codes, found.starts, found.ends))
            else:
                index = kind.index(touch.where, touch.value.undo)
                codes, amount = np.zeros(len(index), dtype=np.int64), kind.numbers(touch.value, touch.where)[index]
            part = np.empty((len(index), arrays.TOUCH), dtype=np.int64)
            part[:, arrays.TABLE_OF], part[:, arrays.CODE], part[:, arrays.AMOUNT] = touch.table, codes, amount
            part[:, arrays.MOMENT] = kind.moments[index, 1 if touch.value.undo else 0]
            parts.append(part)
            places.append(kind.rows[index])
    place = np.concatenate(places) if places else np.empty(0, dtype=np.int64)
    rows = np.concatenate(parts)[np.argsort(place, kind="stable")] if parts else np.empty((0, arrays.TOUCH), np.int64)
    spoken = [np.concatenate(each) for each in zip(*texts, strict=True)] or [np.empty(0, dtype=np.int64)] * 3
    return Touches(rows, np.bincount(place, minlength=events), *spoken)


def codes_of(hashes: Ints) -> Ints:
    """Whole numbers that stand for texts, the same in every process: the upper bits of their hash."""
    return (hashes.view(np.uint64) >> _SHIFT).astype(np.int64)
