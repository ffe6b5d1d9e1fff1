"""What a batch's events add to cells and tables, as the catalog declares it: columns for the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from features import kernel
from features.catalog import Catalog
from features.declared import LINE_TEXTS, Value, Where
from features.kernel import Ints, hash_texts, local_times
from features.times import DAY_MS, HOUR_MS
from features.zones import ZoneTable

Mask = npt.NDArray[np.bool_]
CODE_BITS = 52  # a text's code is a whole number that a float holds exactly


class Kind:
    """The events of one type in a batch: `rows` are their places among the batch's events."""

    def __init__(self, event: str, rows: Ints, events: list[Any], moments: Ints, zones: ZoneTable) -> None:
        self.event = event
        self.rows = rows
        self.events = events
        self.moments = moments  # int64[n, 3]: at_ms, ordered_ms, zone
        self.zones = zones
        self.masks: dict[tuple[Where, bool], Mask] = {}

    def numbers(self, value: Value, where: Where) -> Ints:
        """int64[n]: what each adds; 0 where it does not count."""
        if value.field == "items" and self.event == "order" and where.texts:
            return self._items(where) * self._mask(Where((), where.hours, where.weekdays), value.undo)
        return value.sign * self._field(value.field) * self._mask(where, value.undo)

    def moment_ms(self, value: Value) -> Ints:
        return self.moments[:, 1 if value.undo else 0]

    def texts(self, field: str, where: Where) -> tuple[Ints, list[str], list[int]]:
        """(index among these events, text, weight) of every text that is not empty; a line weighs its pieces."""
        found: list[tuple[int, str, int]] = []
        counts = self._mask(Where((), where.hours, where.weekdays), False).tolist()
        for i, event in enumerate(self.events):
            if counts[i] and self.event == "order" and of_lines(field):
                found += [(i, line_text(line, field), line.qty) for line in event.lines if _fits(event, line, where)]
            elif counts[i] and _fits_somewhere(self.event, event, where):
                found.append((i, getattr(event, field), 1))
        found = [one for one in found if one[1]]
        index, texts, weights = zip(*found, strict=True) if found else ((), (), ())
        return np.array(index, dtype=np.int64), list(texts), list(weights)

    def _field(self, field: str) -> Ints:
        if not field:
            return np.ones(len(self.events), dtype=np.int64)
        if field == "items" and self.event == "order":
            return np.array([sum([line.qty for line in event.lines]) for event in self.events], dtype=np.int64)
        if field == "star_tenths":
            return np.array([round(event.stars * 10) for event in self.events], dtype=np.int64)
        return np.array([getattr(event, field) for event in self.events], dtype=np.int64)

    def _items(self, where: Where) -> Ints:
        """Pieces of the lines that fit."""
        sums = [sum([line.qty for line in event.lines if _fits(event, line, where)]) for event in self.events]
        return np.array(sums, dtype=np.int64)

    def _mask(self, where: Where, undo: bool) -> Mask:
        """bool[n]: which events count; what is undone counts by the clock of its order."""
        if (where, undo) not in self.masks:
            mask = np.ones(len(self.events), dtype=np.bool_)
            if where.texts:
                mask &= np.array([_fits_somewhere(self.event, event, where) for event in self.events], dtype=np.bool_)
            if where.hours or where.weekdays:
                local_ms = local_times(self.zones.packed, self.moments[:, 2], self.moments[:, 1 if undo else 0])
                mask &= np.isin(local_ms % DAY_MS // HOUR_MS, where.hours) if where.hours else True
                mask &= np.isin((local_ms // DAY_MS + 3) % 7 + 1, where.weekdays) if where.weekdays else True
            self.masks[where, undo] = mask
        return self.masks[where, undo]


def amounts(catalog: Catalog, kinds: list[Kind], events: int) -> Ints:
    """int64[events, cells]."""
    out = np.zeros((events, catalog.cells), dtype=np.int64)
    for kind in kinds:
        for effect in catalog.effects.get(kind.event, ()):
            numbers = kind.numbers(effect.value, effect.where)
            if effect.how == kernel.SUM_OF:
                out[kind.rows, effect.cell] += numbers
            else:
                counts = kind.numbers(Value(kind.event), effect.where) > 0
                shifted = numbers + 1 if effect.how == kernel.MAX_OF else kernel.LEAST - numbers
                out[kind.rows, effect.cell] = np.where(counts, shifted, out[kind.rows, effect.cell])
    return out


def touches(catalog: Catalog, kinds: list[Kind]) -> tuple[Ints, Ints, dict[int, str]]:
    """(int64[n, kernel.TOUCH], the event of each; the words that codes stand for), in the order of the events."""
    parts, places, words = [], [], {}
    for kind in kinds:
        for touch in catalog.touches.get(kind.event, ()):
            value = touch.value
            if value.text:
                index, texts, weights = kind.texts(value.field, touch.where)
                codes = codes_of(texts)
                words |= zip(codes.tolist(), texts, strict=True)
                amount = np.array(weights, dtype=np.int64)
            else:
                numbers = kind.numbers(value, touch.where)
                counts = kind.numbers(Value(kind.event, value.sign), touch.where) != 0
                index, codes = np.flatnonzero(counts), np.zeros(int(counts.sum()), dtype=np.int64)
                amount = numbers[index]
            part = np.empty((len(index), kernel.TOUCH), dtype=np.int64)
            part[:, kernel.TABLE_OF], part[:, kernel.CODE], part[:, kernel.AMOUNT] = touch.table, codes, amount
            part[:, kernel.MOMENT] = kind.moment_ms(value)[index]
            parts.append(part)
            places.append(kind.rows[index])
    if not parts:
        return np.empty((0, kernel.TOUCH), dtype=np.int64), np.empty(0, dtype=np.int64), words
    place = np.concatenate(places)
    order = np.argsort(place, kind="stable")
    return np.concatenate(parts)[order], place[order], words


def codes_of(texts: list[str]) -> Ints:
    """Whole numbers, the same in every process, that stand for texts: the upper bits of their hash."""
    return (hash_texts(texts).view(np.uint64) >> np.uint64(64 - CODE_BITS)).astype(np.int64)


def of_lines(field: str) -> bool:
    return field in LINE_TEXTS or field.startswith("options.")


def line_text(line: Any, field: str) -> str:
    return str(line.options.get(field[8:], "") if field.startswith("options.") else getattr(line, field))


def _fits(event: Any, line: Any, where: Where) -> bool:
    return all(
        (line_text(line, field) if of_lines(field) else getattr(event, field)) in values for field, values in where.texts
    )


def _fits_somewhere(kind: str, event: Any, where: Where) -> bool:
    if kind == "order":
        return any(_fits(event, line, where) for line in event.lines)
    return all(getattr(event, field) in values for field, values in where.texts)
