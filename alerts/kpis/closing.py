"""What a merging partition tells the judge: the minutes it has closed or corrected, many dimensions in one message.

Each message has a number that follows from its place in the log of partials, so that one that comes again is known,
also from a partition that began anew. A message ends where a record of that log does, wherever batches end. The last of
those sent when the clock moves carries it: whoever has seen that has seen all that was closed before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, msgpack
from numpy.typing import NDArray

from alerts.kpis.hour import CLOSING_MS
from alerts.kpis.series import COUNTED, KINDS, LAYOUT
from features.times import MINUTE_MS

ROWS = 1_000  # in one message
SENT = "closings"  # count in a partition's position: messages it has sent to the judge
OF_ONE = 20  # bits of a number: which of the messages of one record

Rows = NDArray[np.int64]  # rows x counters


class Closing(Struct, array_like=True):
    """`counters`: little-endian int64, one row of `series.COUNTED` a dimension."""

    source: int
    of: int  # merging partitions
    number: int
    at_ms: int  # all minutes that end by then are closed; 0: nothing is said of the clock
    dims: list[str] = []
    minutes: list[int] = []  # since the epoch
    counters: bytes = b""
    layout: int = LAYOUT  # of a row

    @property
    def known(self) -> bool:
        """Whether rows are laid out as here, not as before counters were added."""
        return self.layout == LAYOUT

    def rows(self) -> Rows:
        """Raises ValueError where their number or width is not as it says."""
        if not len(self.dims) == len(self.minutes) == len(self.counters) / (8 * len(COUNTED)):
            raise ValueError(f"{len(self.dims)} dimensions, {len(self.minutes)} minutes, {len(self.counters)} bytes")
        return read_rows(self.counters)


encode_closing = msgpack.Encoder().encode
decode_closing = msgpack.Decoder(Closing).decode


def closed_ms(now_ms: int) -> int:
    """To which time all minutes have closed, in all dimensions; the judge's clock stands there."""
    return (now_ms - CLOSING_MS) // MINUTE_MS * MINUTE_MS


def watched(dim: str) -> bool:
    return dim.partition(":")[0] in KINDS


def read_rows(raw: bytes) -> Rows:
    return np.frombuffer(raw, dtype="<i8").reshape(-1, len(COUNTED))


class Ways(Struct, frozen=True):
    """`names` of the counters, by column; `keys` that reach each partition of the topic, the judge's first."""

    names: Sequence[str]
    keys: list[str]
    sources: int  # merging partitions


class Closings:
    """What is to be told of one batch, in log order."""

    def __init__(self, ways: Ways, source: int, clock_ms: int) -> None:
        self.columns = [ways.names.index(name) if name in ways.names else -1 for name in COUNTED]
        self.width = max(self.columns) + 1
        self.ways, self.source, self.closed_ms = ways, source, closed_ms(clock_ms)
        self.number = self.count = 0
        self.dims: list[str] = []
        self.minutes: list[int] = []
        self.counters: list[list[int]] = []
        self.sent: list[tuple[str, Closing]] = []  # by key

    def begin(self, offset: int) -> None:
        """What is noted from here on follows from this record of the log."""
        self.number = offset << OF_ONE

    def note(self, dim: str, minute: int, counters: Sequence[int]) -> None:
        """A minute as it closed, or as it is now that it was corrected."""
        if watched(dim):
            self.dims.append(dim)
            self.minutes.append(minute)
            row = [*counters, *[0] * (self.width - len(counters)), 0]
            self.counters.append([row[column] for column in self.columns])
            if len(self.dims) == ROWS:
                self.tell()

    def tell(self, now_ms: int = 0) -> None:
        """Ends a message, with the clock if another minute has closed for all dimensions."""
        at_ms = closed if (closed := closed_ms(now_ms)) > self.closed_ms else 0
        if not self.dims and not at_ms:
            return
        raw, of = np.array(self.counters, dtype="<i8").tobytes(), self.ways.sources
        home, *others = self.ways.keys
        self.sent.append((home, Closing(self.source, of, self.number, at_ms, self.dims, self.minutes, raw)))
        self.number += 1
        self.count += 1
        self.dims, self.minutes, self.counters = [], [], []
        if at_ms:
            self.closed_ms = at_ms
            self.sent += [(key, Closing(self.source, of, -1, at_ms)) for key in others]
