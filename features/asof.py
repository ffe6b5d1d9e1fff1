"""What was last known of places as of a time, as far back as events may be late."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from features.times import DAY_MS


class Dated(Protocol):
    @property
    def at_ms(self) -> int: ...


Known = TypeVar("Known", bound=Dated)


class AsOf(Generic[Known]):
    """By place and slot of time, the latest. Whatever order things come in, the same remain."""

    def __init__(self, slot_ms: int, fresh_ms: int) -> None:
        """What is older than `fresh_ms` says nothing of now. A slot takes the room of that a day and so long before."""
        self.slot_ms = slot_ms
        self.fresh_ms = fresh_ms
        self.slots = (DAY_MS + fresh_ms) // slot_ms
        self.places: dict[str, dict[int, Known]] = {}
        self.newest: dict[str, Known] = {}

    def take(self, place: str, found: Known) -> None:
        slots, slot = self.places.setdefault(place, {}), self.slot(found.at_ms)
        if slot not in slots or slots[slot].at_ms <= found.at_ms:
            slots[slot] = found
        if place not in self.newest or self.newest[place].at_ms <= found.at_ms:
            self.newest[place] = found

    def slot(self, at_ms: int) -> int:
        return at_ms // self.slot_ms % self.slots

    def known(self, place: str, at_ms: int) -> Known | None:
        """What is known of the slot of a time."""
        return self.places.get(place, {}).get(self.slot(at_ms))

    def at(self, place: str, at_ms: int) -> Known | None:
        """The latest by then, unless it is too old."""
        newest = self.newest.get(place)
        if newest is None or at_ms >= newest.at_ms:  # as nearly always
            return newest if newest and at_ms - newest.at_ms <= self.fresh_ms else None
        slots = self.places[place]
        for then_ms in range(at_ms, at_ms - self.fresh_ms - self.slot_ms, -self.slot_ms):
            found = slots.get(self.slot(then_ms))
            if found is not None and 0 <= at_ms - found.at_ms <= self.fresh_ms:
                return found
        return None
