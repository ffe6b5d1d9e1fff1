"""Notices for one sink: which it takes, and the dead letter of one that it refuses for good."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from alerts.delivery.lane import Outcome
from alerts.delivery.parcel import Parcel
from alerts.notices.sink import Sink
from features.job import Batch, Message
from features.messages import Refused, dead_letter
from features.outgoing import Notice

NEVER_MS = 2**62


class Envelope(Struct):
    """A notice and its id."""

    id: str
    data: Notice


_decode = msgspec.json.Decoder(Envelope).decode


def read_notice(value: bytes) -> Envelope:
    """Raises Refused when that is no notice."""
    try:
        return _decode(value)
    except msgspec.DecodeError:
        raise Refused("malformed", "no notice") from None


class Notices:
    """Notices for one sink."""

    receiver, noun = "sink", "notice"

    def __init__(self, name: str, sink: Sink, dead_letters: str) -> None:
        self.name = name
        self.sink = sink
        self.dead_letters = dead_letters

    def read(self, record: Batch, now_s: float) -> Parcel | None:
        envelope = read_notice(record.values[0])
        if not self.sink.takes(envelope.data):
            return None
        return Parcel(record, envelope.id, "", NEVER_MS, now_s, now_s)

    def told(self, parcel: Parcel, outcome: Outcome, at_ms: int) -> list[Message]:
        if outcome == "delivered":
            return []
        detail = f"sink {self.name}, attempts {parcel.attempts}, latest status {parcel.status or 'none'}"
        return [self.buried(parcel.record, Refused("gateway_refused", detail))]

    def buried(self, record: Batch, refused: Refused) -> Message:
        return dead_letter(self.dead_letters, record, 0, refused, self.name)
