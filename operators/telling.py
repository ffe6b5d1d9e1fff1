"""Tells Kafka what became of a record, and hears when it has all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from features.job import Message
from operators.kafka import produce

FLUSH_S = 5.0
Place = tuple[int, int]  # partition and offset


class Telling:
    """`done` is called with a record's place when Kafka has confirmed all its messages, and not before."""

    def __init__(self, producer: Producer, done: Callable[[int, int], None], stop: Event) -> None:
        self.producer = producer
        self.done = done
        self.stop = stop
        self.since_s: dict[Place, float] = {}  # what waits for Kafka, the oldest first
        self.failure: KafkaError | None = None

    def tell(self, place: Place, messages: list[Message]) -> None:
        left = len(messages)
        if not left:
            self.done(*place)
            return

        def delivered(error: KafkaError | None, _: Any) -> None:
            nonlocal left
            left -= 1
            self.failure = self.failure or error
            if not left and self.failure is None:
                del self.since_s[place]
                self.done(*place)

        self.since_s[place] = time.monotonic()
        for message in messages:
            produce(self.producer, message, self.stop, on_delivery=delivered)

    def hear(self) -> None:
        """Raises KafkaException when a message was refused."""
        self.producer.poll(0)
        if self.failure is not None:
            raise KafkaException(self.failure)

    def waits_s(self, now_s: float) -> float:
        """For how long the oldest has waited."""
        return now_s - next(iter(self.since_s.values()), now_s)

    def close(self) -> None:
        self.producer.flush(FLUSH_S)
