"""What leaves the house: CloudEvents 1.0, structured for decisions and alerts, binary for dead letters.

A dead letter keeps the original bytes as its value, so it can be sent again as it was; all else
about it stands in its headers (CloudEvents Kafka binding, binary mode).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import repeat
from typing import Any

from msgspec import json

from features.job import Batch, Message
from features.outgoing import CloudEvent
from features.times import rfc3339, rfc3339s

HEADERS = {"content-type": "application/cloudevents+json; charset=UTF-8"}
_encode = json.Encoder(enc_hook=lambda number: number.item()).encode  # NumPy's numbers


def cloudevent(topic: str, key: str, id: str, type: str, source: str, at_ms: int, subject: str, data: Any) -> Message:
    """A structured CloudEvent; receivers take `source` and `id` as idempotency key, of refusals each decision."""
    time, origin = rfc3339(at_ms), f"brewline/{source}"
    event = CloudEvent("1.0", id, f"brewline.{type}", origin, time, subject, "application/json", data)
    return Message(topic, key, _encode(event), HEADERS)


def cloudevents(
    topic: str, ids: Iterable[str], type: str, source: str, at_ms: Iterable[int], subjects: list[str], data: list[Any]
) -> list[Message]:
    """One for each of many of a kind, with its subject as key."""
    kind, origin, times = repeat(f"brewline.{type}"), repeat(f"brewline/{source}"), rfc3339s(at_ms)
    events = map(CloudEvent, repeat("1.0"), ids, kind, origin, times, subjects, repeat("application/json"), data)
    return list(map(Message, repeat(topic), subjects, map(_encode, events), repeat(HEADERS)))


def digest(text: str) -> str:
    """An id that is the same after every replay: receivers take it as idempotency key."""
    return blake2b(text.encode(), digest_size=12).hexdigest()


class Refused(Exception):
    """An event that cannot be used. `reason` is a short, countable name; `detail` never quotes personal data."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def dead_letter(topic: str, batch: Batch, index: int, refused: Refused, reader: str = "") -> Message:
    """The original bytes with reason, detail and source offset in the headers.

    `reader`: who of several that read the record, each for itself, could not use it.
    """
    offset, at_ms = batch.offsets[index], batch.stamps_ms[index]
    place = batch.place(index) + (f"/{reader}" if reader else "")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": place,
        "ce_type": "brewline.dead_letter",
        "ce_source": f"brewline/{batch.topic}",
        "ce_time": rfc3339(at_ms),
        "reason": refused.reason,
        "detail": refused.detail[:500],
        "source_topic": batch.topic,
        "source_partition": str(batch.partition),
        "source_offset": str(offset),
    }
    return Message(topic, place, batch.values[index], headers)
