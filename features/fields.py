"""The wanted fields of a batch of JSON objects as columns, without a Python object for each.

`features/kernel/scan.py` reads what it knows; what it leaves alone is decoded by msgspec, which alone decides what
is malformed, so the result is the same for every input.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from features.kernel.arrays import Bytes, Ints
from features.kernel.scan import DECIMAL, FLAG, LARGE, LINES, OPTIONS, TEXT, WHOLE, scan
from features.kernel.syntax import OPEN
from features.kernel.words import find, gathered, group, hashes, slots
from features.names import Names

MANY = 500  # texts

TYPES: dict[int, Any] = {
    TEXT: str,
    WHOLE: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    FLAG: bool,
    DECIMAL: Annotated[float, Meta(ge=-LARGE, le=LARGE)],
}
OF_LINE = {**TYPES, WHOLE: Annotated[int, Meta(ge=-LARGE, le=LARGE)]}
EMPTY: dict[int, Any] = {TEXT: "", WHOLE: 0, FLAG: False, DECIMAL: 0.0}


class Field(NamedTuple):
    """A wanted field; `default` counts where it is missing."""

    name: str
    how: int
    default: Any = None

    def declared(self, types: dict[int, Any]) -> tuple[str, Any, Any]:
        return self.name, types[self.how], EMPTY[self.how] if self.default is None else self.default


class Scanned(Struct):
    """A batch as columns. A number stands in `values`, a decimal as its bits, a text begins there and ends in `ends`.

    Of lines there are rows of their own: those of object i from `first_line[i]` on, `line_count[i]` of them. An object
    that is malformed has nothing, not even the text that is required of all others.
    """

    text: bytes
    values: Ints  # [fields, objects]
    ends: Ints
    line_values: Ints  # [fields of a line, lines]
    line_ends: Ints
    first_line: Ints
    line_count: Ints

    @property
    def bytes(self) -> Bytes:
        return np.frombuffer(self.text or b"\0", dtype=np.uint8)

    @property
    def lines(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self.line_values, self.line_ends, self.first_line, self.line_count

    def filled(self, field: int) -> npt.NDArray[np.bool_]:
        """By object: whether the text is there, and not empty."""
        filled: npt.NDArray[np.bool_] = self.ends[field] > self.values[field]
        return filled

    def texts(self, field: int, rows: Any) -> list[str]:
        starts, ends = self.values[field][rows].tolist(), self.ends[field][rows].tolist()
        if len(starts) > MANY and self.text.isascii():  # one text of all is cut faster than bytes are decoded
            whole = self.text.decode()
            return [whole[start:end] for start, end in zip(starts, ends, strict=True)]
        return [self.text[start:end].decode() for start, end in zip(starts, ends, strict=True)]

    def names(self, field: int, rows: Any) -> Names:
        text, bounds = gathered(self.bytes, self.values[field][rows], self.ends[field][rows])
        text.flags.writeable = False
        places, raw = bounds.tolist(), text.tobytes()
        whole: Any = raw.decode() if raw.isascii() else raw
        cut = [whole[start:end] for start, end in pairwise(places)]
        return Names(cut if raw.isascii() else [one.decode() for one in cut], (text, bounds))

    def hashes(self, field: int, rows: Any) -> Ints:
        """64-bit hashes of texts, the same in every process."""
        return hashes(self.bytes, self.values[field][rows], self.ends[field][rows])

    def group(self, field: int, rows: Any) -> tuple[Ints, Ints]:
        """(by row: the number of its text among the different ones, by number: the place in `rows` of the first)."""
        return group(self.bytes, self.values[field][rows], self.ends[field][rows])

    def find(self, field: int, words: Words) -> Ints:
        """By object: the number of its text among the known ones, or -1."""
        return find(self.bytes, self.values[field], self.ends[field], words.text, words.ends, words.slots)


class Words:
    """Texts that are known by number; one that is not is -1."""

    def __init__(self, words: Iterable[str]) -> None:
        known = [word.encode() for word in words]
        size = 64
        while size < 4 * len(known):
            size *= 2
        self.text = np.frombuffer(b"".join(known) or b"\0", dtype=np.uint8)
        self.ends = np.cumsum([len(word) for word in known], dtype=np.int64)
        self.slots = slots(self.text, self.ends, size)


class Scanner:
    """Scans for the same fields again and again; `required` must be there.

    A line's field named `options.<name>` is the text of that name in the object `options`; these come last.
    """

    def __init__(self, fields: list[Field], of_line: list[Field], required: str) -> None:
        self.fields = {field.name: place for place, field in enumerate(fields)}
        self.of_line = {field.name: place for place, field in enumerate(of_line)}
        options = [name.partition(".")[2] for name in self.of_line if "." in name]
        self.words, self.options = Words([*self.fields, "lines"]), Words(options)
        self.line_words = Words([*list(self.of_line)[: len(of_line) - len(options)], *(["options"] if options else [])])
        self.hows = np.array([*(field.how for field in fields), LINES], dtype=np.int64)
        self.line_hows = np.array([OPTIONS if "." in field.name else field.how for field in of_line], dtype=np.int64)
        self.line_defaults = np.array([field.default or 0 for field in of_line], dtype=np.int64)
        self.required = self.fields[required]
        plain: list[Any] = [field.declared(OF_LINE) for field in of_line if "." not in field.name]
        chosen: list[Any] = [("options", dict[str, str], {})] if options else []
        line = msgspec.defstruct("Line", [*plain, *chosen], gc=False)
        told = [field.declared(TYPES) for field in fields if field.name != required]
        shape: list[Any] = [(required, str), *told, ("lines", list[line], [])]  # type: ignore[valid-type]
        self.decode: Any = msgspec.json.Decoder(msgspec.defstruct("Seen", shape, gc=False)).decode

    def scan(self, values: list[bytes]) -> Scanned:
        whole = b"".join(values)
        text = np.frombuffer(whole or b"\0", dtype=np.uint8)
        stops = np.cumsum(np.fromiter(map(len, values), dtype=np.int64, count=len(values)))
        most_lines = int(np.count_nonzero(text == OPEN))
        found = scan(
            text,
            stops,
            (self.words.text, self.words.ends, self.words.slots, self.hows),
            (self.line_words.text, self.line_words.ends, self.line_words.slots, self.line_hows),
            (self.options.text, self.options.ends, self.options.slots, self.line_hows),
            self.line_defaults,
            self.required,
            most_lines,
        )
        scanned = Scanned(whole, *found[:-1])
        strange = np.flatnonzero(found[-1] == 0).tolist()
        if strange:
            self._decode(scanned, strange, values)
        return scanned

    def _decode(self, scanned: Scanned, strange: list[int], values: list[bytes]) -> None:
        """What the scanner has left alone."""
        texts: list[bytes] = [scanned.text]
        lines: list[Ints] = []
        at, first = len(scanned.text), scanned.line_values.shape[1]
        for i in strange:
            try:
                seen = self.decode(values[i])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            at = _put(seen, self.fields, scanned.values[:, i], scanned.ends[:, i], at, texts)
            scanned.first_line[i], scanned.line_count[i] = first + len(lines), len(seen.lines)
            for line in seen.lines:
                row = np.zeros((2, len(self.of_line)), dtype=np.int64)
                at = _put(line, self.of_line, row[0], row[1], at, texts)
                lines.append(row)
        scanned.text = b"".join(texts)
        if lines:
            more = np.stack(lines, axis=2)
            scanned.line_values = np.concatenate((scanned.line_values, more[0]), axis=1)
            scanned.line_ends = np.concatenate((scanned.line_ends, more[1]), axis=1)


def _put(seen: Any, fields: dict[str, int], values: Ints, ends: Ints, at: int, texts: list[bytes]) -> int:
    """Writes what msgspec has decoded into a column; where the next text begins."""
    for name, place in fields.items():
        field, _, option = name.partition(".")
        value = getattr(seen, field).get(option, "") if option else getattr(seen, field)
        if isinstance(value, str):
            texts.append(value.encode())
            values[place], ends[place] = at, at + len(texts[-1])
            at += len(texts[-1])
        elif isinstance(value, float):
            values[place] = np.float64(value).view(np.int64)
        else:
            values[place] = value
    return at
