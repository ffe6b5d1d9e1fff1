"""The intake of raw lines: a topic of `{"source": "crm", "line": ...}` in, audit events out, keyed by actor.

It keeps no state. An event's id comes of where its line stood at first, so a line that is read or sent again makes the
same event.
Every line ends in exactly one count: `read`, `skipped` (about nothing that is watched) or `dead_lettered`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from alerts.security.lines.reader import Reader
from features.events import encode
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter, digest
from features.written import hint


class Raw(Struct):
    """A log shipper's record: which mapping file its line is to be read under."""

    source: str
    line: Any


_decode = msgspec.json.Decoder(Raw).decode


class LinesJob:
    """Implements features.job.Job over audit.lines."""

    def __init__(self, readers: Mapping[str, Reader], audit_topic: str, dead_letters_topic: str) -> None:
        self.readers = readers
        self.audit_topic = audit_topic
        self.dead_letters_topic = dead_letters_topic

    def plan(self, batch: Batch, position: Position) -> Plan:
        return Plan(position, position.clock, work=batch)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, messages, counts = plan.work, list[Message](), Counter[str]()
        for index, raw in enumerate(batch.values):
            try:
                event = self._read(raw, batch.place(index))
            except Refused as refused:
                counts.update(("dead_lettered", f"dead_lettered:{refused.reason}"))
                messages.append(dead_letter(self.dead_letters_topic, batch, index, refused))
                continue
            counts["skipped" if event is None else "read"] += 1
            if event is not None:
                messages.append(event)
        position = plan.position.moved(batch.last, plan.clock, dict(counts))
        return Changes(position=position, messages=messages, counts=dict(counts))

    def _read(self, raw: bytes, place: str) -> Message | None:
        try:
            told = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused("malformed", "no JSON object with `source` and `line`") from None
        reader = self.readers.get(told.source)
        if reader is None:
            raise Refused("unknown_source", f"no mapping file is called so{hint(told.source[:40], self.readers)}")
        event = reader.read(told.line, digest(place))
        return None if event is None else Message(self.audit_topic, event.actor, encode(event))
