"""A history as ingest would hand it on: clean events of one partition, with one customer id each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from config.settings import Settings, WrongSettings
from features.clean import Cleaner
from features.identity import Degree, Pseudonyms, Table
from features.job import Batch
from flows.files import load_limits, load_stores
from flows.keys import load_pseudonyms

CHUNK = 20_000
SECRET = b"of a back-test that has no key"
Walk = Callable[[int], None]


class Raw(Protocol):
    """A record of a history, or of the simulated chain."""

    at_ms: int
    value: bytes
    tick: bool


def cleaned(
    settings: Settings, records: Iterable[Raw], walk: Walk, refused: Counter[str], table: Table | None = None
) -> Iterator[list[bytes]]:
    """Clean events and ticks, some at a time; `walk` is told how many records were read, `refused` counts reasons;
    `table` learns who is who.

    Who turns out to be one customer later on is told by merges among the events, as live.
    """
    cleaner, table = _cleaner(settings), Table() if table is None else table
    rest = iter(records)
    while some := list(islice(rest, CHUNK)):
        offsets, stamps_ms = [*range(len(some))], [record.at_ms for record in some]
        batch = Batch("history", 0, -1, offsets, [record.value for record in some], stamps_ms)
        messages, _, _ = cleaner.finish(cleaner.check(batch), table)
        refused.update(message.headers["reason"] for message in messages if message.topic == "dead-letters")
        yield [message.value for message in messages if message.topic == "events"]
        walk(sum(not record.tick for record in some))


def _cleaner(settings: Settings) -> Cleaner:
    identity = settings.identity
    return Cleaner(
        limits=load_limits(settings),
        pseudonyms=pseudonyms_of(settings),
        stores=load_stores(settings),
        events_topic="events",
        dead_letters_topic="dead-letters",
        identities_topic="identities",
        tick_keys=[""],
        sources=1,
        degree=Degree(identity.max_of_a_kind, identity.max_identifiers, identity.max_merged),
    )


def pseudonyms_of(settings: Settings) -> Pseudonyms:
    """The house's own, so that whom it holds out live is held out here; any other where it has none."""
    try:
        return load_pseudonyms(settings)
    except WrongSettings:
        return Pseudonyms(SECRET, settings.identity.phone_region)
