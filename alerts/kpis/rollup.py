"""What stays of a dimension when its minutes are forgotten: slots of five minutes and of an hour, packed by column.

A record begins with the number of its layout. Layout 1 is msgpack under zlib: the slots' minutes, the slots (each as
its number since the epoch less that of the one before), and by column its count in each slot. A slot that is not there
had no events.
"""

from __future__ import annotations

import zlib
from itertools import accumulate
from typing import NamedTuple
from zlib import crc32

from msgspec import Struct, msgpack

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.hour import Hour
from alerts.kpis.kpi import Counts, total
from features.seen import expires_ms
from features.times import HOUR_MS

LAYOUT = 1


class Step(NamedTuple):
    """Slots of so many minutes; a record holds those of so many hours."""

    name: str
    minutes: int
    hours: int

    def record(self, dim: str, hour: int) -> str:
        """Name of the record, and of the timer that ends it: `five|store:0012|20255`."""
        return f"{self.name}|{dim}|{hour // self.hours}"

    def end_ms(self, record: str) -> int:
        """Where the time that a record covers ends."""
        return (int(record.rpartition("|")[2]) + 1) * self.hours * HOUR_MS


FIVE, HOURS = Step("five", 5, 24), Step("hours", 60, 24 * 16)
STEPS = (FIVE, HOURS)


def steps_of(dim: str, catalog: KpiCatalog) -> list[Step]:
    """What is kept of a dimension beside its minutes: of an hourly one, hours."""
    return [step for step in STEPS if step.minutes >= catalog.slot_minutes(dim)]


def step_of(timer: str) -> Step | None:
    """Of the timer of such a record."""
    name = timer.partition("|")[0]
    return next((step for step in STEPS if step.name == name), None)


def fold_ms(dim: str, hour: int, retention_hours: int) -> int:
    """When the minutes of an hour are forgotten: in the hour after the last late event for them, not all at once."""
    return expires_ms(hour * HOUR_MS, retention_hours) + crc32(dim.encode()) % HOUR_MS


class Kept(Struct, frozen=True):
    """For how long, after the time that a record covers."""

    five_minutes_days: int = 14
    hours_days: int = 400

    def days(self, step: Step) -> int:
        return self.five_minutes_days if step is FIVE else self.hours_days


class Packed(Struct, array_like=True):
    minutes: int
    slots: list[int]
    columns: dict[int, list[int]]


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Packed).decode


class Rollup:
    """The slots of a record, each number of a slot with its counts; slots are added, never changed."""

    def __init__(self, minutes: int, raw: bytes | None = None) -> None:
        """Raises ValueError for a record of another layout."""
        if raw and raw[0] != LAYOUT:
            raise ValueError(f"a roll-up of KPIs has layout {raw[0]}, expected {LAYOUT}")
        packed = _decode(zlib.decompress(raw[1:])) if raw else Packed(minutes, [], {})
        self.minutes, self.columns = packed.minutes, packed.columns
        self.numbers = list(accumulate(packed.slots))

    def add(self, number: int, counts: Counts) -> None:
        for column in counts.keys() - self.columns.keys():
            self.columns[column] = [0] * len(self.numbers)
        for column, values in self.columns.items():
            values.append(counts.get(column, 0))
        self.numbers.append(number)

    def slots(self) -> dict[int, Counts]:
        return {
            number: {column: values[place] for column, values in self.columns.items() if values[place]}
            for place, number in enumerate(self.numbers)
        }

    def packed(self) -> bytes:
        steps = [number - before for number, before in zip(self.numbers, [0, *self.numbers[:-1]], strict=True)]
        return bytes([LAYOUT]) + zlib.compress(_encode(Packed(self.minutes, steps, self.columns)))


def summed(hour: Hour, minutes: int) -> dict[int, Counts]:
    """What came in an hour, by the slot of so many minutes since the epoch; zeros are left out."""
    slots: dict[int, list[Counts]] = {}
    for minute in sorted(hour.minutes):
        slots.setdefault(minute // minutes, []).extend(counts for _, counts in hour.parts(minute).values())
    return {slot: added(counts) for slot, counts in slots.items()}


def added(parts: list[Counts]) -> Counts:
    columns = 1 + max((column for counts in parts for column in counts), default=-1)
    return {column: count for column, count in enumerate(total(parts, columns)) if count}
