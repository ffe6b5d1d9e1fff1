"""How the flows run, and what they could not use."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version
from threading import Event
from typing import Any

import confluent_kafka
from msgspec import Struct

from board.access.person import Person, Role
from board.endpoint import Nothing, get
from board.engine import Curves
from board.live import Feed
from board.sources import Sources
from operators.footprint import Footprint

SEE: frozenset[Role] = frozenset({"engineer", "auditor"})
EVERY_S = 1.0


class Versions(Struct):
    brewline: str
    python: str
    librdkafka: str
    bytewax: str
    redis: str


class State(Struct):
    """What is kept in Redis, and which versions run."""

    footprint: Footprint
    versions: Versions


@get("/engine/curves", SEE)
def curves(sources: Sources, person: Person, asked: Nothing) -> Curves:
    """Throughput, lag and latency of each flow over the last ten minutes, as this board has seen them."""
    return sources.engine.curves()


@get("/engine/state", SEE)
def state(sources: Sources, person: Person, asked: Nothing) -> State:
    """How much Redis holds, and of what: estimated by keys picked at random."""
    footprint = sources.footprint()
    library = confluent_kafka.libversion()[0]
    mine = Versions(version("brewline"), platform.python_version(), library, version("bytewax"), footprint.version)
    return State(footprint, mine)


def _told(sources: Sources, stop: Event) -> Iterator[Any]:
    """What each flow and process does, once a second."""
    while not stop.is_set():
        yield sources.engine.look()
        stop.wait(EVERY_S)


ENDPOINTS = (curves, state)
FEEDS = (Feed("engine", SEE, _told, always=True),)  # its curves begin before somebody looks at them
