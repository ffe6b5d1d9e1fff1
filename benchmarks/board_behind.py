"""What rules make of so many events a second, written beside a demo: copies of what its own rules have just made.

python -m benchmarks.board_behind EVENTS_PER_S

The settings are those of the environment. After a while of listening it prints, as JSON, how many messages came of an
event; then it writes copies under new ids, evenly, until it is stopped.
"""

from __future__ import annotations

import sys
import time
from itertools import count, cycle
from threading import Event
from uuid import uuid4

import msgspec
import orjson

from board.decided import TOPICS
from board.tail import tail
from config.settings import Settings, load
from operators.kafka import producer
from operators.topic import bounds_of

LISTEN_S, SLICE_S = 20.0, 0.05
DECIDED = ("coupons", "decisions")
Told = tuple[str, bytes]  # topic, message


def main() -> None:
    settings, wanted = load(), float(sys.argv[1])
    told, events = _heard(settings)
    each = len(told) / max(1, events)
    decided = sum(topic in DECIDED for topic, _ in told) / max(1, len(told))
    figures = {"messages_an_event": round(each, 3), "messages_per_s": round(wanted * each)}
    print(orjson.dumps(figures | {"decisions_per_s": round(wanted * each * decided)}).decode(), flush=True)
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
    copies, began_s, sent = cycle([_cut(settings, *each) for each in told]), time.monotonic(), 0
    while True:
        due = round((time.monotonic() - began_s) * per_s)
        for _ in range(due - sent):
            topic, head, tail = next(copies)
            sender.produce(topic, b"%s%s-%d%s" % (head, run.encode(), next(numbers), tail))
        sent = due
        sender.poll(SLICE_S)


def _cut(settings: Settings, topic: str, raw: bytes) -> tuple[str, bytes, bytes]:
    """The topic, and the message before and behind its id."""
    head, id, rest = raw.partition(b'"id":"' + msgspec.json.decode(raw)["id"].encode() + b'"')
    return settings.topic(topic), head + b'"id":"', b'"' + rest if id else rest


if __name__ == "__main__":
    main()
