"""Kafka is killed under ingest and comes back: the same process goes on, and each record is there once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from signal import SIGTERM
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from confluent_kafka import TopicPartition

from features.events import OWN, Tick, decode_event
from flows.topics import SOURCES, TOPICS
from operators.kafka import consumer
from operators.servers import KafkaServer, RedisServer, free_port
from sim.chain import Chain
from tests.flowprocess import Flow, committed, feed, make_topics, read, read_all, settings_for, until

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.kills_kafka]
OUTAGE_S = 16.0  # longer than Kafka keeps a transaction open
RED_S = 15.0  # 3 s, and the rest for a machine that is busy
LINES = 60


def healthy(port: int) -> bool:
    try:
        return urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200
    except HTTPError:
        return False


def test_ingest_outlives_a_kafka_that_is_killed_in_mid_stream(
    real_kafka: KafkaServer, redis: RedisServer, workdir: Path
) -> None:
    settings = settings_for(real_kafka.brokers, redis.url, batch_events=20)
    settings = msgspec.structs.replace(settings, metrics=msgspec.structs.replace(settings.metrics, ingest=free_port()))
    make_topics(settings, TOPICS)
    chain = Chain(seed=5, stores=8, customers=250, days=0.5)
    feed(settings, [record for record in chain.records() if record.topic in SOURCES])
    sent = {topic: read(settings, topic) for topic in SOURCES}
    number = sum(len(messages) for parts in sent.values() for messages in parts.values())
    group = consumer(settings.kafka.librdkafka(), f"{settings.kafka.topic_prefix}brewline-ingest")
    places = [TopicPartition(settings.topic(topic), part) for topic in SOURCES for part in sent[topic]]

    def ingested() -> int:
        return sum(committed(group, places))

    flow = Flow("ingest", settings, workdir / "ingest.log")
    try:
        flow.until(lambda: ingested() > 0.1 * number)
        real_kafka.kill()
        killed_s = time.monotonic()
        flow.until(lambda: not healthy(settings.metrics.ingest))
        assert time.monotonic() - killed_s < RED_S
        time.sleep(OUTAGE_S)
        real_kafka.start()
        flow.until(lambda: ingested() == number)
        until(lambda: healthy(settings.metrics.ingest), because=lambda: flow.said[-2_000:])
        assert flow.end(SIGTERM) == 0
        assert flow.said.count("\n") < LINES
        assert "Traceback" not in flow.said
    finally:
        flow.kill()
    letters = [dict(letter.headers() or [])["ce_id"].decode() for letter in read_all(settings, "dead-letters")]
    cleaned = [decode_event(message.value() or b"") for message in read_all(settings, "events")]
    expected = Counter(
        decode_event(message.value() or b"").id
        for topic, parts in sent.items()
        for part, messages in parts.items()
        for message in messages
        if f"{settings.topic(topic)}/{part}/{message.offset()}" not in letters
        and not isinstance(decode_event(message.value() or b""), Tick)
    )
    assert Counter(event.id for event in cleaned if not isinstance(event, (Tick, *OWN.values()))) == expected
    assert len(letters) == len(set(letters))
