"""What a command writes to topics, waited for until Kafka has confirmed it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Message

from operators.kafka import Unreachable, producer

WAIT_S = 30.0


def write(client: Mapping[str, Any], messages: Iterable[tuple[str, str, bytes | None]]) -> list[Message]:
    """Those (topic, key, value) that Kafka has confirmed, which are all. Raises Unreachable."""
    sender, sent, failed = producer(client), list[Message](), list[Any]()

    def delivered(error: Any, message: Message) -> None:
        if error is None:
            sent.append(message)
        else:
            failed.append(error)

    for topic, key, value in messages:
        sender.produce(topic, value, key, on_delivery=delivered)
        sender.poll(0)
    if sender.flush(WAIT_S) or failed:
        why = failed[0].str() if failed else f"no answer in {WAIT_S:.0f} s"
        raise Unreachable(f"Kafka did not take what was to be written ({why}); the same command may be given again")
    return sent
