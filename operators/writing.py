"""What a command writes to topics, waited for until Kafka has confirmed it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Message

from features.job import Message as Sent
from operators.kafka import Unreachable, producer

NONE: Mapping[str, str] = {}
WAIT_S = 30.0
SENT_S, POLL_S = 10.0, 0.02


def write(
    client: Mapping[str, Any], messages: Iterable[tuple[str, str, bytes | None]], headers: Mapping[str, str] = NONE
) -> list[Message]:
    """Those (topic, key, value) that Kafka has confirmed, which are all. Raises Unreachable."""
    sender, sent, failed = producer(client), list[Message](), list[Any]()

    def delivered(error: Any, message: Message) -> None:
        if error is None:
            sent.append(message)
        else:
            failed.append(error)

    for topic, key, value in messages:
        sender.produce(topic, value, key, headers=dict(headers), on_delivery=delivered)
        sender.poll(0)
    if sender.flush(WAIT_S) or failed:
        why = failed[0].str() if failed else f"no answer in {WAIT_S:.0f} s"
        raise Unreachable(f"Kafka did not take what was to be written ({why}); the same command may be given again")
    return sent


class Post:
    """A producer that stays open, for who writes a message now and then and must not wait for a new one each time."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self.sender = producer(client, message_timeout_ms=round(SENT_S * 1000))

    def __enter__(self) -> Post:
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.flush(SENT_S)

    def write(self, message: Sent) -> None:
        """Waits until Kafka has confirmed it. Raises Unreachable."""
        told = list[Any]()
        self.sender.produce(message.topic, message.value, message.key, on_delivery=lambda error, _: told.append(error))
        until_s = time.monotonic() + 2 * SENT_S
        while not told and time.monotonic() < until_s:
            self.sender.poll(POLL_S)
        if not told or told[0] is not None:
            why = told[0].str() if told else "no answer"
            raise Unreachable(f"Kafka did not take the word ({why}); the same may be said again")
