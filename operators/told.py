"""Follows a compacted topic of what events are told: all of it before the first batch, then what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from operators.kafka import consumer
from operators.topic import bounds_of, read_to_end

AT_ONCE = 1_000


class ToldTopic:
    """Hands each record's value to `note`; what this process has read of its own sources is noted already."""

    def __init__(self, note: Callable[[bytes], None], client: Mapping[str, Any], topic: str, group: str) -> None:
        self.note = note
        self.client = client
        self.topic = topic
        self.group = group
        self.follower: Consumer | None = None

    def follow(self) -> None:
        """Waits for nothing but the topic's end, and that once. Raises Unreachable."""
        if self.follower is None:
            bounds = bounds_of(self.client, self.topic, self.group)
            for records in read_to_end(self.client, self.topic, self.group, bounds):
                self._note(records)
            follower = consumer(self.client, self.group)
            follower.assign([TopicPartition(self.topic, place, end) for place, (_, end) in bounds.items()])
            self.follower = follower
        else:
            self._note(self.follower.consume(AT_ONCE, timeout=0))

    def _note(self, records: Iterable[Message]) -> None:
        """What cannot be followed any more is read anew, before the next batch."""
        for record in records:
            if record.error() is not None:
                self.follower = None
            else:
                self.note(record.value() or b"")
