"""How full stores are: what the KPI flow says of each, and what ingest tells events of it."""

from __future__ import annotations

from msgspec import Struct, json

from features.asof import AsOf
from features.events import Placed
from features.outgoing import StoreLoad
from features.times import DAY_MS, MINUTE_MS

SLOT_MS = 15 * MINUTE_MS  # of what is said of a store within it, the latest counts
FRESH_MS = 20 * MINUTE_MS
SLOTS = (DAY_MS + FRESH_MS) // SLOT_MS


class _Told(Struct):
    """The part of the CloudEvent that is looked at."""

    data: StoreLoad


class Loads(AsOf[StoreLoad]):
    """What is known of the stores' load."""

    def __init__(self) -> None:
        super().__init__(SLOT_MS, FRESH_MS)

    def note(self, load: StoreLoad) -> None:
        self.take(load.store, load)

    def tell(self, event: Placed) -> None:
        """Sets how full the event's store was by the last minutes before it; nothing where that is not known."""
        found = self.at(event.store, event.at_ms)
        if found is not None:
            event.load_ms, event.store_load = found.at_ms, found.load
        elif event.load_ms or event.store_load:  # which a sender has made up
            event.load_ms, event.store_load = 0, 0.0


def load_key(store: str, at_ms: int) -> str:
    """The key on the compacted topic, which so holds what ingest needs, and no more."""
    return f"{store}/{at_ms // SLOT_MS % SLOTS}"


_decode = json.Decoder(_Told).decode


def decode_load(raw: bytes) -> StoreLoad:
    """Of the message on the topic."""
    return _decode(raw).data
