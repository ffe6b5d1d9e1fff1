"""Stores, their opening hours, and how demand moves over the day and the week."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from features.times import DAY_MS, EPOCH_DAY, HOUR_MS, MINUTE_MS, local_ms

ZONES = {"east": "Asia/Shanghai", "south": "Asia/Shanghai", "west": "Asia/Urumqi", "island": "Asia/Singapore"}
_MIX = ("east", "south", "west", "east", "south", "east", "west", "island")

# relative demand by hour of the day: lunch, afternoon tea and evening
HOURS = (0, 0, 0, 0, 0, 0, 0, 3, 6, 5, 5, 8, 11, 9, 10, 12, 9, 7, 9, 10, 8, 5, 3, 0)
DAYS = (0.9, 0.9, 0.95, 1.0, 1.1, 1.3, 1.2)  # Monday first


class Store(Struct):
    """A store; its hours are its own local time."""

    id: str
    region: str
    timezone: str
    opens_h: int
    closes_h: int
    walk_ins_a_day: float
    staff: list[str]
    down_from_ms: int = 0  # its till is dead in between
    down_to_ms: int = 0

    def is_open(self, at_ms: int) -> bool:
        return self.opens_h * HOUR_MS <= local_ms(at_ms, self.timezone) % DAY_MS < self.closes_h * HOUR_MS

    def is_down(self, at_ms: int) -> bool:
        return self.down_from_ms <= at_ms < self.down_to_ms

    def demand(self, at_ms: int) -> float:
        """Share of a mean day's customers who come per hour at this moment."""
        if not self.is_open(at_ms):
            return 0.0
        local = local_ms(at_ms, self.timezone)
        hour = HOURS[local % DAY_MS // HOUR_MS] / sum(HOURS[self.opens_h : self.closes_h])
        return hour * DAYS[weekday(at_ms, self.timezone)]


def weekday(at_ms: int, tz: str) -> int:
    """Day of the week in a zone, Monday is 0."""
    return (local_ms(at_ms, tz) // DAY_MS + EPOCH_DAY - 1) % 7


def wall_ms(near_ms: int, tz: str, days: int, minute: int) -> int:
    """Epoch ms of a wall-clock minute, `days` after the local date of `near_ms`."""
    offset_ms = local_ms(near_ms, tz) - near_ms
    midnight_ms = (near_ms + offset_ms) // DAY_MS * DAY_MS
    wall = midnight_ms + days * DAY_MS + minute * MINUTE_MS
    guess_ms = wall - offset_ms
    return wall - (local_ms(guess_ms, tz) - guess_ms)  # the offset may have changed in between


def open_stores(rng: Random, count: int) -> list[Store]:
    """`count` stores over all regions."""
    return [_store(rng, n) for n in range(count)]


def _store(rng: Random, n: int) -> Store:
    region, id = _MIX[n % len(_MIX)], f"S{n + 1:03d}"
    staff = [f"{id}-{name}" for name in ("manager", "a", "b", "c")]
    return Store(
        id, region, ZONES[region], rng.choice((8, 9, 10)), rng.choice((21, 22, 23)), rng.uniform(60, 150), staff
    )


def stores_csv(stores: list[Store]) -> str:
    """The stores as `store,region,timezone` lines under a header."""
    return "store,region,timezone\n" + "".join(f"{s.id},{s.region},{s.timezone}\n" for s in stores)
