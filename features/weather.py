"""The weather by place, as far back as events may be late: what ingest tells them it was like there and then."""

from __future__ import annotations

from msgspec import Struct

from features.events import Placed, Weather
from features.times import DAY_MS, HOUR_MS, MINUTE_MS

SLOT_MS = 10 * MINUTE_MS  # of two readings of a place within it, the later one counts
FRESH_MS = 3 * HOUR_MS  # an older reading says nothing of now
SLOTS = (DAY_MS + FRESH_MS) // SLOT_MS  # of a place; a new one takes the room of that a day and three hours before


class Reading(Struct, frozen=True, gc=False):
    at_ms: int
    temp_c: float
    rain_mm: float


class Readings:
    """What is known of the weather, by place and slot. Whatever order they come in, the same remain."""

    def __init__(self) -> None:
        self.places: dict[str, dict[int, Reading]] = {}
        self.newest: dict[str, Reading] = {}

    def note(self, event: Weather) -> None:
        slots, slot = self.places.setdefault(event.place, {}), _slot(event.at_ms)
        reading = Reading(event.at_ms, event.temp_c, event.rain_mm)
        if slot not in slots or slots[slot].at_ms <= reading.at_ms:
            slots[slot] = reading
        if event.place not in self.newest or self.newest[event.place].at_ms <= reading.at_ms:
            self.newest[event.place] = reading

    def holds(self, event: Weather) -> bool:
        """Whether it is what is known of its slot; its key then is that of the slot."""
        found = self.places.get(event.place, {}).get(_slot(event.at_ms))
        return found is not None and found.at_ms == event.at_ms

    def at(self, place: str, at_ms: int) -> Reading | None:
        """The latest by then, unless it is too old."""
        newest = self.newest.get(place)
        if newest is None or at_ms >= newest.at_ms:  # as nearly always
            return newest if newest and at_ms - newest.at_ms <= FRESH_MS else None
        slots = self.places[place]
        for then_ms in range(at_ms, at_ms - FRESH_MS - SLOT_MS, -SLOT_MS):
            found = slots.get(_slot(then_ms))
            if found is not None and 0 <= at_ms - found.at_ms <= FRESH_MS:
                return found
        return None

    def tell(self, event: Placed) -> None:
        """Sets the event's weather: that of its store, else of its region; none where neither is known."""
        found = self.at(event.store, event.at_ms) or self.at(event.region, event.at_ms)
        if found is None:
            if event.weather_ms or event.temp_c or event.rain_mm:  # which a sender has made up
                event.weather_ms, event.temp_c, event.rain_mm = 0, 0.0, 0.0
        else:
            event.weather_ms, event.temp_c, event.rain_mm = found.at_ms, found.temp_c, found.rain_mm


def slot_key(event: Weather) -> str:
    """The key of a reading on the compacted topic, which so holds what is known, and no more."""
    return f"{event.place}/{_slot(event.at_ms)}"


def _slot(at_ms: int) -> int:
    return at_ms // SLOT_MS % SLOTS
