"""What a history is: records in time order, with a tick for every local day that has passed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct

from features.events import AUDIT_EVENTS, Consent, Event, Tick, Who, encode, kind_of
from features.times import DAY_MS, local_day

TOPICS = ("pos.events", "app.events", "audit.events")
FROM_THE_TILL = {"order", "refund", "void", "footfall"}


class WrongHistory(ValueError):
    """A history that cannot be replayed; the message says what was found and what to do."""


class Record(Struct, gc=False):
    """One record at its event time; a tick is meant for every partition of its topic."""

    at_ms: int
    topic: str
    key: str
    value: bytes
    kind: str  # the event's type
    tick: bool = False


class History(Struct, frozen=True):
    """`total` events, `orders` of them orders, on the clock of `timezone`; ticks are not counted."""

    name: str
    timezone: str
    total: int
    orders: int
    events: Callable[[], Iterable[Record]]  # in time order, without ticks

    def records(self) -> Iterator[Record]:
        return with_ticks(self.events(), self.timezone)


def with_ticks(events: Iterable[Record], timezone: str) -> Iterator[Record]:
    """A tick for every topic at each local midnight, and one a day after the last event.

    A tick says: everything before me has been sent.
    """
    midnight, last_ms = 0, None
    for event in events:
        midnight = midnight or midnight_ms(local_day(event.at_ms, timezone) + 1, timezone)
        while event.at_ms >= midnight:
            yield from ticks(midnight)
            midnight = midnight_ms(local_day(midnight, timezone) + 1, timezone)
        last_ms = event.at_ms
        yield event
    if last_ms is not None:
        yield from ticks(last_ms + DAY_MS)


def ticks(at_ms: int) -> list[Record]:
    return [
        Record(at_ms, topic, "", encode(Tick(id=f"{topic}/{at_ms}", time=at_ms)), "tick", tick=True) for topic in TOPICS
    ]


def midnight_ms(day: int, timezone: str) -> int:
    """When a day (proleptic ordinal) begins in a zone, epoch ms."""
    return local_time_ms(date.fromordinal(day), time(), timezone)


def local_time_ms(day: date, at: time, timezone: str) -> int:
    return round(datetime.combine(day, at, ZoneInfo(timezone)).timestamp() * 1000)


def record_of(event: Event, at_ms: int, key: str) -> Record:
    kind = kind_of(event)
    return Record(at_ms, topic_of(kind), key, encode(event), kind)


def consent(id: str, card: str, first_ms: int, tz: str) -> Record:
    """Whoever holds the card agreed to marketing with it, a day before the first that is known of them.

    A day, for the consent comes by another topic than the orders, and may be up to `[kafka] align_s` behind them.
    """
    at_ms = first_ms - DAY_MS
    return record_of(
        Consent(id=id, time=at_ms, who=Who(card=card), tz=tz, purpose="marketing", granted=True), at_ms, card
    )


def topic_of(kind: str) -> str:
    if kind in AUDIT_EVENTS:
        return "audit.events"
    return "pos.events" if kind in FROM_THE_TILL else "app.events"


def package_folder(package: str, history: str) -> Path:
    """Where an installed package lies; it is not imported. Raises WrongHistory when it is missing."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise WrongHistory(
            f"history {history!r} needs the package {package}, which is missing:"
            " pip install -e '.[data]' in Brewline's folder"
        )
    return Path(next(iter(found.submodule_search_locations)))
