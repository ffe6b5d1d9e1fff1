"""What the account of a demo or a replay is made of."""

from __future__ import annotations

import time
from collections import Counter

import msgspec
import pytest

from brewline.watch import TOPICS
from config import settings as conf
from features.audited import AuditExport, AuditTold
from features.job import Batch
from features.messages import Refused, dead_letter
from operators.kafka import ensure_topics, producer
from operators.servers import KafkaServer, MockKafka
from tests.brewline.watching import watch_when_there

pytestmark = pytest.mark.servers
SENT = AuditExport(id="e", time=1, actor="ann", rows=1)
OWN = AuditTold(id="o", time=1, actor="ann", action="redeemed", by="customers")


def test_of_dead_letters_those_count_that_others_have_sent_each_once(
    kafka: KafkaServer | MockKafka, settings: conf.Settings
) -> None:
    ensure_topics(settings.kafka.librdkafka(), [settings.topic(topic) for topic in TOPICS], 1, 1, {})
    values = [msgspec.json.encode(SENT), msgspec.json.encode(OWN), b"\xff no JSON"]
    batch = Batch("audit.events", 0, -1, [0, 1, 2], values, [1, 1, 1])
    letters = [dead_letter(settings.topic("dead-letters"), batch, i, Refused("too_late")) for i in (0, 1, 2, 0)]
    watch, sender = watch_when_there(settings), producer(settings.kafka.librdkafka())
    for letter in letters:
        sender.produce(letter.topic, letter.value, letter.key, headers=letter.headers)
    assert sender.flush(20) == 0
    until, read = time.monotonic() + 20, 0
    while read < len(letters) and time.monotonic() < until:
        taken = watch.consumer.consume(10, timeout=0.2)
        read += len(taken)
        assert [event for message in taken for event in watch._take(message)] == []
    watch.close()
    assert watch.dead_letters == Counter(too_late=2)


def test_what_other_producers_write_to_the_same_topics_ends_no_watch(
    kafka: KafkaServer | MockKafka, settings: conf.Settings
) -> None:
    ensure_topics(settings.kafka.librdkafka(), [settings.topic(topic) for topic in TOPICS], 1, 1, {})
    watch, sender = watch_when_there(settings), producer(settings.kafka.librdkafka())
    for value in (b"\xff no JSON", b"[]", b'{"id":"a"}', b'{"id":"b","data":{}}', b'{"id":"c","data":7,"type":"x"}'):
        sender.produce(settings.topic("alerts"), value)
    sender.produce(settings.topic("dead-letters"), b"of another", headers={"ce_id": b"\xff", "reason": None})
    sender.produce(settings.topic("alerts"), b'{"id":"d","type":"brewline.alert.kpi","data":{"state":"firing"}}')
    assert sender.flush(20) == 0
    until = time.monotonic() + 20
    while not watch.alerts["kpi"] and time.monotonic() < until:
        assert [event["id"] for _, event in watch.poll(0.2)] in ([], ["d"])
    watch.close()
    assert watch.alerts == Counter(kpi=1)
