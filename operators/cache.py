"""Records that were used lately, kept as Redis holds them, so that a batch asks Redis only for the others.

Every commit writes through, so any record may be forgotten at any time: none is ever ahead of Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from features.kernel import shelves
from features.kernel.words import packed
from features.names import Names
from features.records import Records

ENTRY_BYTES = 160  # what the table of a generation takes for a record
SMALLEST = 64  # rows of a table


class Generation:
    """Records in up to `room_bytes`. Memory is taken as it is written to, not before."""

    def __init__(self, room_bytes: int) -> None:
        self.room_bytes = room_bytes
        self.kept = np.empty(max(1, room_bytes), dtype=np.uint8)
        self.table = np.zeros((SMALLEST, shelves.ROW), dtype=np.int64)
        self.used = self.names = 0

    def holds(self, records: Records) -> bool:
        """Whether there is room for these."""
        names = self.names + len(records.names)
        size = int((records.ends - records.starts).sum())
        more = len(records.names.packed[0]) + shelves.roomy(size) + 33 * len(records.names)
        return self.used + more + ENTRY_BYTES * names <= self.room_bytes

    def put(self, records: Records) -> None:
        self._widen(len(records.names))
        spans = (records.text, records.starts, records.ends)
        self.used, more = shelves.put(*records.names.packed, *spans, self.table, self.kept, self.used)
        self.names += more

    def drop(self, names: list[str]) -> None:
        shelves.drop(*packed(names), self.table, self.kept)

    def _widen(self, more: int) -> None:
        """The table is at most half full."""
        size = len(self.table)
        while size < 2 * (self.names + more):
            size *= 2
        if size > len(self.table):
            self.table = shelves.widened(self.table, size)


class Cache:
    """Two generations: writes go to the young one; when that is full, the old one is forgotten."""

    def __init__(self, budget_bytes: float) -> None:
        self.budget_bytes = budget_bytes
        self.young = self.old = Generation(0)

    def get(self, names: list[str]) -> Records:
        """The records of these; nothing where it has forgotten one."""
        young, old = self.young, self.old
        listed = Names.of(names)
        return Records(listed, *shelves.take(*listed.packed, young.table, young.kept, old.table, old.kept))

    def put(self, records: Mapping[str, bytes]) -> None:
        new = Records.of(records)
        new.settle()
        if not new.names:
            return
        if not self.young.holds(new):
            self.young, self.old = Generation(int(self.budget_bytes / 2)), self.young
            if not self.young.holds(new):
                self.young = self.old = Generation(0)
                return
        self.young.put(new)

    def drop(self, names: Iterable[str]) -> None:
        for generation in (self.young, self.old):
            generation.drop(list(names))
