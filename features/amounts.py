"""What a batch's events add to cells and tables, as the catalog declares it: as a program, and its texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice

import numpy as np
from msgspec import Struct

from features.catalog import Catalog, Effect, Touch
from features.declared import HOUR, Value, Where, of_lines
from features.fields import Scanned
from features.kernel import effects
from features.kernel.arrays import Ints
from features.kernel.words import first_of_each, hash_texts

MOST_WORDS = 65_536  # that a partition keeps


class Touches(Struct):
    """int64[n, arrays.TOUCH] in log order, and the texts that codes stand for."""

    rows: Ints
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


class Fields(Struct):
    """Where in a scanned batch each field stands."""

    of_object: dict[str, int]
    of_line: dict[str, int]


def program(catalog: Catalog, kinds: Mapping[str, int], fields: Fields) -> Ints:
    """As `features/kernel/effects.py` reads it; `kinds` by code."""
    lists = [0] * (effects.OF_KIND * len(kinds))

    def place(numbers: Iterable[int]) -> int:
        start = len(lists)
        lists.extend(numbers)
        return start

    for kind, code in kinds.items():
        adds, touched = catalog.effects.get(kind, ()), catalog.touches.get(kind, ())
        asked = list(dict.fromkeys(one.where for one in (*adds, *touched)))
        effects_of = [_effect(kind, one, asked, catalog, fields) for one in (*adds, *touched)]
        wheres = list[int]()
        for where in asked:
            texts = place(_texts(kind, where, fields))
            bits = [sum(1 << hour for hour in where.hours), sum(1 << day for day in where.weekdays)]
            wheres += [*bits, int(kind == "order"), texts, len(where.texts)]
        at, clocked = place(chain(*effects_of)), any(one.value.field == HOUR for one in touched)
        clocked = clocked or any(where.hours or where.weekdays for where in asked)
        touched_at = at + effects.OF_EFFECT * len(adds)
        numbers = [at, len(adds), touched_at, len(touched), place(wheres), len(asked), int(clocked)]
        lists[effects.OF_KIND * code : effects.OF_KIND * (code + 1)] = numbers
    return np.array(lists, dtype=np.int64)


def _effect(kind: str, one: Effect | Touch, asked: list[Where], catalog: Catalog, fields: Fields) -> list[int]:
    to, shifted = (one.cell, one.cell >= catalog.ends[0]) if isinstance(one, Effect) else (one.table, False)
    what = _what(kind, one.value, fields)
    return [to, *what, one.value.sign, asked.index(one.where), int(one.value.undo), int(shifted)]  # 0 is none


def _what(kind: str, value: Value, fields: Fields) -> tuple[int, int]:
    """What is added, and the field it stands in."""
    if value.field == HOUR and value.text:
        return effects.HOUR, 0
    if kind == "order" and of_lines(value.field):
        return effects.LINE_TEXT, fields.of_line[value.field]
    if value.text:
        return effects.TEXT, fields.of_object[value.field]
    if kind == "order" and value.field == "items":
        return effects.ITEMS, 0
    if value.field == "star_tenths":
        return effects.STARS, fields.of_object["stars"]
    return (effects.NUMBER, fields.of_object[value.field]) if value.field else (effects.ONE, 0)


def _texts(kind: str, where: Where, fields: Fields) -> list[int]:
    numbers = list[int]()
    for field, wanted in where.texts:
        line, hashed = kind == "order" and of_lines(field), hash_texts(list(wanted)).tolist()
        numbers += [int(line), (fields.of_line if line else fields.of_object)[field], len(hashed), *hashed]
    return numbers
