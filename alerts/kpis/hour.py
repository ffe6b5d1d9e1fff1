"""The hour record of a dimension in the merging job, and how records and timers are called there."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zlib import crc32

from msgspec import Struct, field, msgpack

from alerts.kpis.kpi import Counts, Row, counts_of, hour_record, store_of, total
from features.times import MINUTE_MS

CLOSING_MS = 20_000  # after their end, minutes of stores and staff have closed: not all at once, for they are many
MANY = {"store", "staff"}
DIMS = 2**18  # of so many it is kept in mind when they close

Parts = dict[int, tuple[int, Counts]]  # source partition → version, counts
_encode_parts = msgpack.Encoder().encode
_decode_parts = msgpack.Decoder(dict[int, tuple[int, Counts | list[int]]]).decode


class Hour(Struct, array_like=True):
    """Minutes since the epoch → their parts, packed, because few are touched at a time."""

    open: list[int] = []
    minutes: dict[int, bytes] = field(default_factory=dict)

    def parts(self, minute: int) -> Parts:
        packed = self.minutes.get(minute)
        if packed is None:
            return {}
        parts: Any = _decode_parts(packed)
        for source, (version, counters) in parts.items():
            if type(counters) is list:
                parts[source] = version, counts_of(counters)
        found: Parts = parts
        return found

    def take(self, source: int, row: Row) -> bool:
        """Whether this is news; an older or a repeated partial is not."""
        minute = row.minute_ms // MINUTE_MS
        parts = self.parts(minute)
        if source in parts and row.version <= parts[source][0]:
            return False
        if not parts:
            self.open.append(minute)
        parts[source] = (row.version, row.counters)
        self.minutes[minute] = _encode_parts(parts)
        return True

    def sums(self, minute: int, columns: int) -> tuple[int, list[int]]:
        """Revision and counters over all sources, by column; (0, []) if nothing came."""
        parts = self.parts(minute).values()
        revision = sum(version + 1 for version, _ in parts)
        return revision, total([counts for _, counts in parts], columns) if parts else []


encode_hour = msgpack.Encoder().encode
decode_hour = msgpack.Decoder(Hour).decode


def closes_ms(dim: str, minute: int) -> int:
    """When a minute closes: at its end where there are few of a kind, else each dimension at its own moment after."""
    return (minute + 1) * MINUTE_MS + _lag_ms(dim)


@lru_cache(DIMS)
def _lag_ms(dim: str) -> int:
    return crc32(dim.encode()) % CLOSING_MS if _many(dim.partition(":")[0]) else 0


@lru_cache
def _many(kind: str) -> bool:
    return not MANY.isdisjoint(kind.split("+"))


def watch_record(dim: str) -> str:
    """Name of the record of a store's watch; also of the timer that looks at it, after all hours due with it."""
    return f"watch|{dim}"


def watched_dim(timer: str) -> str:
    """The dimension of a watch's timer; empty for the timer of an hour."""
    return timer[6:] if timer.startswith("watch|") else ""


def needed(due_ms: int, timer: str) -> list[str]:
    """The records that a timer works on, beside what stays of an hour at its end."""
    dim = watched_dim(timer)
    if dim:
        return [timer, hour_record(dim, due_ms - MINUTE_MS)]
    dim = timer.rpartition("|")[0]
    return [timer, watch_record(dim)] if store_of(dim) else [timer]
