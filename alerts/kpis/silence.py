"""Stores whose tills say that they are there, and no longer do: what is missing of them is not zero.

A store is watched from its first heartbeat on. What its app customers do meanwhile is no sign of the till's life.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, msgpack

from alerts.agenda import Agenda
from alerts.kpis.kpi import COLUMN, Counts, store_of
from features.job import Changes
from features.outgoing import StoreSilence
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


_encode_life = msgpack.Encoder().encode
_decode_life = msgpack.Decoder(Life).decode


def life_record(dim: str) -> str:
    """Name of a store's record, and of its timer."""
    return f"life|{dim}"


def living_dim(timer: str) -> str:
    """The dimension of such a timer; empty for others."""
    return timer[5:] if timer.startswith("life|") else ""


def beats(dim: str, counts: Counts) -> bool:
    return bool(counts.get(BEATS) and store_of(dim))


class Tills:
    """What a batch learns of tills; what is to be told of it, if anything."""

    def __init__(self, records: Mapping[str, bytes], agenda: Agenda) -> None:
        self.records, self.agenda = records, agenda
        self.lives: dict[str, Life | None] = {}

    def beat(self, dim: str, minute: int, now_ms: int) -> StoreSilence | None:
        """A store is alive; one that was called offline is told to be back, unless this word is old."""
        life, told = self._life(dim), None
        if life is None:
            life = self.lives[dim] = Life(minute)
        elif minute <= life.beat:
            return None
        elif life.since and Life(minute).due_ms > now_ms:
            told = StoreSilence(store_of(dim), "online", life.since * MINUTE_MS, minute * MINUTE_MS)
            life.since = 0
        life.beat = minute
        self.agenda.set(life_record(dim), life.due_ms)
        return told

    def fall_silent(self, dim: str) -> StoreSilence | None:
        """A store's time has run out: it is offline; if it has been for long, it is no longer watched."""
        life = self._life(dim)
        if life is None or life.since:
            self.lives[dim] = None
            return None
        life.since = life.beat + 1
        self.agenda.set(life_record(dim), life.due_ms)
        return StoreSilence(store_of(dim), "offline", life.since * MINUTE_MS, 0)

    def _life(self, dim: str) -> Life | None:
        if dim not in self.lives:
            raw = self.records.get(life_record(dim))
            self.lives[dim] = _decode_life(raw) if raw else None
        return self.lives[dim]

    def write(self, changes: Changes) -> None:
        for dim, life in self.lives.items():
            if life:
                changes.puts[life_record(dim)] = _encode_life(life)
            else:
                changes.deletes.append(life_record(dim))


def filled(dim: str, slots: dict[int, Counts], minutes: int, until_ms: int = 0) -> dict[int, Counts | None]:
    """With all slots from the first to the last, or until then: what is missing is 0, None while a till is silent."""
    if not slots:
        return {}
    alive = store_of(dim) and any(counts.get(BEATS) for counts in slots.values())
    every = range(min(slots), max(max(slots) + 1, until_ms), minutes * MINUTE_MS)
    return {at_ms: None if alive and not _heard(slots, at_ms, minutes) else slots.get(at_ms, {}) for at_ms in every}


def _heard(slots: dict[int, Counts], at_ms: int, minutes: int) -> bool:
    """Whether a heartbeat came in a slot, or shortly before it; what came without one came late, and is known."""
    before = range(at_ms - (PATIENCE * MINUTE_MS if minutes == 1 else 0), at_ms + 1, minutes * MINUTE_MS)
    return at_ms in slots or any(slots.get(each, {}).get(BEATS) for each in before)
