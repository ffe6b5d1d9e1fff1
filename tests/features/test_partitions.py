"""A key lands where Kafka's own clients put it."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import given, settings
from hypothesis import strategies as st

from features.partitions import murmur2, partition_keys, partition_of, partitions_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_the_numbers_of_kafkas_own_tests(data: bytes, signed: int) -> None:
    """org.apache.kafka.common.utils.UtilsTest.testMurmur2."""
    assert murmur2(data) == signed % 2**32
    assert partition_of(data.decode(), 7) == (signed & 0x7FFFFFFF) % 7, "toPositive, then modulo"


@settings(deadline=None)
@given(st.lists(st.text(max_size=12)), st.integers(1, 50))
def test_many_keys_go_where_each_of_them_goes(keys: list[str], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [partition_of(key, partitions) for key in keys]


def test_librdkafka_sends_every_key_to_the_same_partition() -> None:
    keys = (
        [f"c{number:032x}" for number in range(200)] + ["茶" * n for n in range(1, 40)] + ["é", "🧋🧋", "x" * 999, ""]
    )
    found: dict[str, int] = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None
        found[message.key().decode()] = message.partition()

    producer = Producer({"test.mock.num.brokers": 1, "partitioner": "murmur2_random", "log_level": 0, "linger.ms": 0})
    partitions = len(producer.list_topics("any", timeout=10).topics["any"].partitions)
    for key in keys:
        producer.produce("any", value=b"", key=key, on_delivery=delivered)
    assert producer.flush(10) == 0
    assert partitions > 1
    assert found == {key: partition_of(key, partitions) for key in keys}


@given(st.integers(1, 64))
def test_there_is_one_key_for_every_partition(partitions: int) -> None:
    assert [partition_of(key, partitions) for key in partition_keys(partitions)] == list(range(partitions))
