"""The weather by place: what ingest tells events it was like there and then."""

from __future__ import annotations

from msgspec import Struct

from features.asof import AsOf
from features.events import Placed, Weather
from features.times import DAY_MS, HOUR_MS, MINUTE_MS

SLOT_MS = 10 * MINUTE_MS  # of two readings of a place within it, the later one counts
FRESH_MS = 3 * HOUR_MS
SLOTS = (DAY_MS + FRESH_MS) // SLOT_MS


class Reading(Struct, frozen=True, gc=False):
    at_ms: int
    temp_c: float
    rain_mm: float


class Readings(AsOf[Reading]):
    """What is known of the weather."""

    def __init__(self) -> None:
        super().__init__(SLOT_MS, FRESH_MS)

    def note(self, event: Weather) -> None:
        self.take(event.place, Reading(event.at_ms, event.temp_c, event.rain_mm))

    def holds(self, event: Weather) -> bool:
        """Whether it is what is known of its slot; its key then is that of the slot."""
        found = self.known(event.place, event.at_ms)
        return found is not None and found.at_ms == event.at_ms

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
    return f"{event.place}/{event.at_ms // SLOT_MS % SLOTS}"
