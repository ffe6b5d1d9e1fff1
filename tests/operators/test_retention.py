"""A broker is asked how long it keeps a topic."""

from __future__ import annotations

from operators.kafka import ensure_topics, kept_ms, retention
from operators.servers import KafkaServer, MockKafka


def test_what_a_topic_keeps_is_told_in_words_and_to_the_millisecond(
    kafka: KafkaServer | MockKafka, topic_prefix: str
) -> None:
    client, topic = {"bootstrap.servers": kafka.brokers}, f"{topic_prefix}audit.events"
    ensure_topics(client, [topic], 1, 1, {"retention.ms": "86400000"})
    real = isinstance(kafka, KafkaServer)  # the mock tells nothing
    assert kept_ms(client, topic) == (86_400_000 if real else None)
    assert retention(client, [topic]) == ({topic: "24 h"} if real else {})
