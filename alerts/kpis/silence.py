"""Stores whose tills say that they are there, and no longer do: what is missing of them is not zero.

A store is watched from its first heartbeat on. What its app customers do meanwhile is no sign of the till's life.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, msgpack

from alerts.kpis.kpi import COLUMN, Counts, store_of
from features.times import DAY_MS, MINUTE_MS

PATIENCE = 5  # minutes without a heartbeat before a till is called offline
RETIRED_MS = 14 * DAY_MS  # a store that is offline for so long is no longer watched
BEATS = COLUMN["heartbeats"]


class Life(Struct, array_like=True):
    """The last minute since the epoch with a heartbeat: a store's own watermark; 0 in `since` while it is online."""

    beat: int
    since: int = 0  # the first minute of silence

    @property
    def due_ms(self) -> int:
        """When it is called offline, if nothing more comes; or no longer watched."""
        silent_ms = (self.beat + 1) * MINUTE_MS
        return silent_ms + (RETIRED_MS if self.since else PATIENCE * MINUTE_MS)


encode_life = msgpack.Encoder().encode
decode_life = msgpack.Decoder(Life).decode


def life_record(dim: str) -> str:
    """Name of a store's record, and of its timer."""
    return f"life|{dim}"


def living_dim(timer: str) -> str:
    """The dimension of such a timer; empty for others."""
    return timer[5:] if timer.startswith("life|") else ""


def beats(dim: str, counts: Counts) -> bool:
    return bool(counts.get(BEATS) and store_of(dim))


def said(dim: str, life: Life, until: int) -> dict[str, Any]:
    """What is told when a store goes offline (`until` 0) and when it is back."""
    return {
        "store": store_of(dim),
        "state": "online" if until else "offline",
        "since_ms": life.since * MINUTE_MS,
        "until_ms": until * MINUTE_MS,
    }


def filled(dim: str, slots: dict[int, Counts], minutes: int) -> dict[int, Counts | None]:
    """With all slots between the first and the last: what is missing is zero, or None while a till is silent."""
    if not slots:
        return {}
    alive = store_of(dim) and any(counts.get(BEATS) for counts in slots.values())
    every = range(min(slots), max(slots) + 1, minutes * MINUTE_MS)
    return {at_ms: None if alive and not _heard(slots, at_ms, minutes) else slots.get(at_ms, {}) for at_ms in every}


def _heard(slots: dict[int, Counts], at_ms: int, minutes: int) -> bool:
    """Whether a heartbeat came in a slot, or shortly before it; what came without one came late, and is known."""
    before = range(at_ms - (PATIENCE * MINUTE_MS if minutes == 1 else 0), at_ms + 1, minutes * MINUTE_MS)
    return at_ms in slots or any(slots.get(each, {}).get(BEATS) for each in before)
