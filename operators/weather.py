"""Follows the compacted topic `weather`: all of it before the first batch, and what others add between batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from features.events import Weather, decode_event
from features.weather import Readings
from operators.kafka import consumer
from operators.topic import bounds_of, read_to_end

GROUP = "brewline-weather"
AT_ONCE = 1_000


class WeatherTopic:
    """Brings `readings` up to date; what this process has read of its own sources is in them already."""

    def __init__(self, readings: Readings, client: Mapping[str, Any], topic: str) -> None:
        self.readings = readings
        self.client = client
        self.topic = topic
        self.follower: Consumer | None = None

    def follow(self) -> None:
        """Waits for nothing but the topic's end, and that once. Raises Unreachable."""
        if self.follower is None:
            bounds = bounds_of(self.client, self.topic, GROUP)
            for records in read_to_end(self.client, self.topic, GROUP, bounds):
                self._note(records)
            follower = consumer(self.client, GROUP)
            follower.assign([TopicPartition(self.topic, place, end) for place, (_, end) in bounds.items()])
            self.follower = follower
        else:
            self._note(self.follower.consume(AT_ONCE, timeout=0))

    def _note(self, records: Iterable[Message]) -> None:
        """What cannot be followed any more is read anew, before the next batch."""
        for record in records:
            if record.error() is not None:
                self.follower = None
            elif isinstance(event := decode_event(record.value() or b""), Weather):
                self.readings.note(event)
