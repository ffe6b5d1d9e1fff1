"""Runs that the tests of the simulation share."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec
import pytest

from features.events import AuditEvent, CustomerEvent, Event, Who, decode_audit, decode_event
from features.times import DAY_MS, parse_time
from sim import Chain, Record, Truth
from sim.chain import START_MS
from sim.stores import Store, open_stores

SEED = 7


@dataclass
class Run:
    """Everything one chain sent. `events` are the records that decode, each sent once, in order of sending."""

    records: list[Record]
    events: list[tuple[Record, CustomerEvent | AuditEvent]]
    truth: Truth
    stores: dict[str, Store]

    def of(self, *kinds: type[Event]) -> list[tuple[Record, Event]]:
        return [(record, event) for record, event in self.events if isinstance(event, kinds)]


def is_sound(event: Event) -> bool:
    """A time near that of the run, and somebody where somebody is needed; the decoder has seen to all else."""
    nobody = event.who is None or event.who == Who()
    misnamed = event.who is not None and event.who.phone in ("12", "no number")
    return (
        (event.anonymous or not nobody) and not misnamed and START_MS <= parse_time(event.time) < START_MS + 8 * DAY_MS
    )


def read(records: list[Record]) -> list[tuple[Record, CustomerEvent | AuditEvent]]:
    """The sound events among `records`, each once, without ticks."""
    events, seen = [], set()
    for record in records:
        if record.tick or record.value in seen:
            continue
        seen.add(record.value)
        try:
            event = (decode_audit if record.topic == "audit.events" else decode_event)(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if len(record.value) < 1_000_000 and is_sound(event):
            events.append((record, event))
    return events


def live(chain: Chain) -> Run:
    records = list(chain.records())
    stores = {store.id: store for store in open_stores(Random(chain.seed), chain.stores)}
    return Run(records, read(records), chain.truth, stores)


@pytest.fixture(scope="session")
def run() -> Run:
    """Five days of the chain as it is by default."""
    return live(Chain(SEED))


@pytest.fixture(scope="session")
def week() -> Run:
    """Seven days, Monday to Sunday, of a small chain."""
    return live(Chain(SEED, stores=8, customers=300, days=7))
