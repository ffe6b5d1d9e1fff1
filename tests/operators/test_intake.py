"""What is done is committed at the end, by a Kafka that refuses at first as well."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from config.settings import Settings
from operators import intake as module
from operators.intake import Intake
from operators.kafka import consumer, producer
from tests.flowprocess import WAIT_S, make_topics, until


class Refusing:
    """A consumer whose first commits are refused, as by a broker that has just come back."""

    def __init__(self, inner: Consumer, times: int) -> None:
        self.inner, self.left = inner, times

    def commit(self, **told: Any) -> Any:
        if self.left:
            self.left -= 1
            raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))
        return self.inner.commit(**told)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture
def intake(settings: Settings) -> Intake:
    """Of one partition, with ten records taken and done."""
    make_topics(settings, ["coupons"])
    client, topic = settings.kafka.librdkafka(), settings.topic("coupons")
    sender = producer(client)
    for _ in range(10):
        sender.produce(topic, b"{}", partition=0)
    assert sender.flush(WAIT_S) == 0
    taken: list[int] = []
    one = Intake(client, f"g{uuid4().hex}", "dispatch", topic, [0], latest=False)

    def all_there() -> bool:
        taken.extend(record.offsets[0] for record in one.take(10 - len(taken)))
        return len(taken) == 10

    until(all_there)
    for offset in taken:
        one.finish(0, offset)
    return one


def committed(settings: Settings, group: str) -> int:
    reader = consumer(settings.kafka.librdkafka(), group)
    [place] = reader.committed([TopicPartition(settings.topic("coupons"), 0)], timeout=WAIT_S)
    reader.close()
    return place.offset


def test_a_commit_that_is_refused_at_the_end_is_tried_again(settings: Settings, intake: Intake) -> None:
    intake.consumer = Refusing(intake.consumer, times=2)  # type: ignore[assignment]
    intake.close()
    assert committed(settings, intake.group) == 10


def test_a_kafka_that_goes_on_refusing_is_named_and_keeps_nobody(
    settings: Settings, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.3)
    intake.consumer = Refusing(intake.consumer, times=1_000)  # type: ignore[assignment]
    with structlog.testing.capture_logs() as told:
        intake.close()
    assert [one["event"] for one in told] == ["not committed"]
    assert "coordinator" in told[0]["error"]
    assert committed(settings, intake.group) < 0
