"""Many records by name, one behind the other in one run of bytes: a Python object for those only that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import cached_property
from itertools import accumulate

import numpy as np

from features.kernel.arrays import Bytes, Ints
from features.names import Names

NO_RECORD = -1


class Records(MutableMapping[str, bytes]):
    """The record of a name lies in `text` from `starts` to `ends`, or in `changed`; an empty one is none."""

    def __init__(self, names: list[str], text: Bytes, starts: Ints, ends: Ints) -> None:
        self.names = Names.of(names)
        self.text = _read_only(text)
        self.starts = starts
        self.ends = ends
        self.changed: dict[int, bytes] = {}  # by place

    @classmethod
    def of(cls, records: Mapping[str, bytes]) -> Records:
        return records if isinstance(records, Records) else cls(list(records), *_laid_out(list(records.values())))

    @cached_property
    def places(self) -> dict[str, int]:
        return dict(zip(self.names, range(len(self.names)), strict=True))

    def at(self, place: int, start: int = 0) -> bytes:
        """The record at a place, from a byte of it on."""
        if place in self.changed:
            return self.changed[place][start:]
        return self.text[self.starts[place] + start : self.ends[place]].tobytes()

    def put(self, place: int, record: bytes) -> None:
        self.changed[place] = record

    def join(self, more: Records) -> None:
        """Adds records under names that it does not hold yet."""
        self.settle()
        more.settle()
        self.starts = np.concatenate((self.starts, more.starts + len(self.text)))
        self.ends = np.concatenate((self.ends, more.ends + len(self.text)))
        self.text, first = _read_only(np.concatenate((self.text, more.text))), len(self.names)
        self.names = self.names.followed_by(more.names)
        self.places.update(zip(more.names, range(first, len(self.names)), strict=True))

    def settle(self) -> None:
        """Brings what has changed into the run of bytes."""
        if not self.changed:
            return
        places = np.fromiter(self.changed, dtype=np.int64, count=len(self.changed))
        text, starts, ends = _laid_out(list(self.changed.values()))
        self.starts, self.ends = self.starts.copy(), self.ends.copy()
        self.starts[places], self.ends[places] = starts + len(self.text), ends + len(self.text)
        self.text, self.changed = _read_only(np.concatenate((self.text, text))), {}

    def spans(self, names: list[str]) -> tuple[Ints, Ints]:
        """(starts, ends) in `text` of the records of these names, in their order; nothing where there is none."""
        self.settle()
        if self.names[: len(names)] == names:
            return self.starts[: len(names)], self.ends[: len(names)]
        places = [self.places.get(name, -1) for name in names]
        return np.append(self.starts, 0)[places], np.append(self.ends, 0)[places]

    def heads(self, names: list[str]) -> Ints:
        """The first byte of the records of these names, in their order; NO_RECORD where there is none."""
        starts, ends = self.spans(names)
        first = self.text[np.minimum(starts, len(self.text) - 1)].astype(np.int64)
        return np.where(starts < ends, first, NO_RECORD)

    def begin_with(self, byte: int) -> bool:
        """Whether the first byte of some record is this."""
        self.settle()
        return bool((self.text[self.starts[self.ends > self.starts]] == byte).any())

    def lacking(self) -> list[int]:
        """The places at which there is no record."""
        self.settle()
        lacking: list[int] = np.flatnonzero(self.starts == self.ends).tolist()
        return lacking

    def _holds(self, place: int) -> bool:
        return bool(self.changed[place]) if place in self.changed else bool(self.starts[place] < self.ends[place])

    def __contains__(self, name: object) -> bool:
        place = self.places.get(name)  # type: ignore[call-overload]
        return place is not None and self._holds(place)

    def __getitem__(self, name: str) -> bytes:
        if name not in self:
            raise KeyError(name)
        return self.at(self.places[name])

    def __setitem__(self, name: str, record: bytes) -> None:
        if name in self.places:
            self.put(self.places[name], record)
        else:
            self.join(Records.of({name: record}))

    def __delitem__(self, name: str) -> None:
        self[name] = b""

    def __iter__(self) -> Iterator[str]:
        return (name for place, name in enumerate(self.names) if self._holds(place))

    def __len__(self) -> int:
        self.settle()
        return int(np.count_nonzero(self.starts < self.ends))

    def __repr__(self) -> str:
        return repr(dict(self))


def _read_only(text: Bytes) -> Bytes:
    """Compiled functions are compiled for each of both kinds of arrays: this one, as bytes are, is enough."""
    text.flags.writeable = False
    return text


def _laid_out(records: list[bytes]) -> tuple[Bytes, Ints, Ints]:
    bounds = np.fromiter(accumulate(map(len, records), initial=0), dtype=np.int64, count=len(records) + 1)
    return np.frombuffer(b"".join(records) or b"\0", dtype=np.uint8), bounds[:-1], bounds[1:]
