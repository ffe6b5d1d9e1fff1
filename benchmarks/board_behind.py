"""What rules make of so many events a second, written beside a demo: copies of what its own rules have just made.

python -m benchmarks.board_behind EVENTS_PER_S

The settings are those of the environment. After a while of listening it prints, as JSON, how many messages came of an
event; then it writes copies under new ids, evenly, until it is stopped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import count, cycle
from threading import Event
from uuid import uuid4

import orjson

from benchmarks.decisions import decisions_in
from board.decided import TOPICS
from board.tail import tail
from config.settings import Settings, load
from features.refusals import REFUSALS
from operators.kafka import producer
from operators.topic import bounds_of

LISTEN_S, SLICE_S = 20.0, 0.05
DECIDED = ("coupons", "decisions")
Told = tuple[str, bytes]  # topic, message


def main() -> None:
    settings, wanted = load(), float(sys.argv[1])
    told, events = _heard(settings)
    each = len(told) / max(1, events)
    decided = sum(topic == "coupons" or len(decisions_in(raw)) for topic, raw in told if topic in DECIDED)
    figures = {"messages_an_event": round(each, 3), "messages_per_s": round(wanted * each)}
    print(orjson.dumps(figures | {"decisions_per_s": round(wanted * decided / max(1, events))}).decode(), flush=True)
    if told:
        _write(settings, told, wanted * each)


def _heard(settings: Settings) -> tuple[list[Told], int]:
    """What came to the topics, and how many events did meanwhile."""
    stop, found, before = Event(), list[Told](), _events(settings)
    until_s = time.monotonic() + LISTEN_S
    for came in tail(settings, TOPICS, stop):
        found += came
        if time.monotonic() > until_s:
            stop.set()
    return found, _events(settings) - before


def _events(settings: Settings) -> int:
    bounds = bounds_of(settings.kafka.librdkafka(), settings.topic("events"), "brewline-behind")
    return sum(end for _, end in bounds.values())


def _write(settings: Settings, told: list[Told], per_s: float) -> None:
    sender, run, numbers = producer(settings.kafka.librdkafka(), linger_ms=20), uuid4().hex[:8], count()
    copies, began_s, sent = cycle([(settings.topic(topic), _copying(raw)) for topic, raw in told]), time.monotonic(), 0
    while True:
        due = round((time.monotonic() - began_s) * per_s)
        for _ in range(due - sent):
            topic, copy = next(copies)
            sender.produce(topic, copy(f"{run}-{next(numbers)}"))
        sent = due
        sender.poll(SLICE_S)


def _copying(raw: bytes) -> Callable[[str], bytes]:
    """What makes a copy under a new id; of decisions that are told together, each gets one."""
    told = orjson.loads(raw)
    if told["type"] == REFUSALS:
        data = told["data"]
        ids = range(len(data["decision"]))
        return lambda id: orjson.dumps({**told, "data": {**data, "decision": [f"{id}-{i}" for i in ids]}})
    head, found, rest = raw.partition(b'"id":"' + told["id"].encode() + b'"')
    return lambda id: head + b'"id":"' + id.encode() + b'"' + rest if found else raw


if __name__ == "__main__":
    main()
