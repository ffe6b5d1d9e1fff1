"""What a merging partition tells the judge: the minutes it has closed or corrected, many dimensions in one message.

Each message has a number of its own partition's, so that one that comes again is known. The last of those sent when
the clock moves carries it: whoever has seen that has seen all that was closed before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, msgpack
from numpy.typing import NDArray

from alerts.kpis.series import COLUMNS, KINDS

ROWS = 1_000  # in one message
HOME = "chain:*"  # the key under which all closings go to one partition
SENT = "closings"  # count in a partition's position: messages it has sent

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

    def rows(self) -> Rows:
        """Raises ValueError where their number or width is not as it says."""
        if not len(self.dims) == len(self.minutes) == len(self.counters) // (8 * len(COLUMNS)):
            raise ValueError(f"{len(self.dims)} dimensions, {len(self.minutes)} minutes, {len(self.counters)} bytes")
        return read_rows(self.counters)


encode_closing = msgpack.Encoder().encode
decode_closing = msgpack.Decoder(Closing).decode


def watched(dim: str) -> bool:
    return dim.partition(":")[0] in KINDS


def read_rows(raw: bytes) -> Rows:
    return np.frombuffer(raw, dtype="<i8").reshape(-1, len(COLUMNS))


class Closings:
    """What is to be told of one batch, in log order."""

    def __init__(self, source: int, of: int, sent: int) -> None:
        self.source, self.of, self.number = source, of, sent
        self.dims: list[str] = []
        self.minutes: list[int] = []
        self.counters: list[list[int]] = []
        self.told: list[Closing] = []

    def note(self, dim: str, minute: int, counters: Sequence[int]) -> None:
        """A minute as it closed, or as it is now that it was corrected."""
        if watched(dim):
            self.dims.append(dim)
            self.minutes.append(minute)
            self.counters.append([counters[column] if column < len(counters) else 0 for column in COLUMNS])
            if len(self.dims) == ROWS:
                self.tell(0)

    def tell(self, at_ms: int) -> None:
        """Ends a message; with the clock, if that has come to another minute."""
        if self.dims or at_ms:
            raw = np.array(self.counters, dtype="<i8").tobytes()
            self.told.append(Closing(self.source, self.of, self.number, at_ms, self.dims, self.minutes, raw))
            self.number += 1
            self.dims, self.minutes, self.counters = [], [], []
