"""What the doctor finds wrong in a real Kafka and a real Redis, and how it says to mend it."""

from __future__ import annotations

import io
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis as redis_py
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from rich.console import Console

from brewline import servers_checked as checked
from brewline.doctor import examine
from brewline.servers_checked import Advice, Ailing
from config.settings import Settings
from features.job import Position, encode_position
from operators.kafka import producer
from operators.servers import KafkaServer, RedisServer, redis_server
from tests.flowprocess import WAIT_S, make_topics

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that may be set wrongly."""
    with redis_server(tmp_path_factory.mktemp("own")) as server:
        yield server


@pytest.fixture
def client(own: RedisServer, settings: Settings) -> Iterator[redis_py.Redis]:
    settings.redis = msgspec.structs.replace(settings.redis, url=own.url)
    redis = redis_py.Redis.from_url(own.url)
    yield redis
    redis.config_set("maxmemory", 0)
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("appendonly", "yes")


def set_topic(settings: Settings, topic: str, **config: str) -> None:
    admin = AdminClient(settings.kafka.librdkafka())
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, settings.topic(topic), incremental_configs=entries)
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(WAIT_S)


def test_a_redis_that_is_well_is_said_to_be(settings: Settings, client: redis_py.Redis) -> None:
    assert checked.redis(settings).startswith("Redis ")
    assert checked.memory(settings).endswith("and drops nothing")
    assert checked.persistence(settings) == "append-only file on, and written well"
    assert "differ by" in checked.clocks(settings)


def test_a_redis_that_would_drop_state_or_is_nearly_full_is_named(settings: Settings, client: redis_py.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(Ailing, match="maxmemory-policy is allkeys-lru: it would drop state; set noeviction"):
        checked.memory(settings)
    client.config_set("maxmemory-policy", "noeviction")
    used = int(client.info("memory")["used_memory"])  # type: ignore[index]
    client.config_set("maxmemory", int(used / 0.9))
    with pytest.raises(Advice, match="raise maxmemory, or give it a larger machine, soon"):
        checked.memory(settings)
    client.config_set("maxmemory", used)
    with pytest.raises(Ailing, match="before it refuses to write"):
        checked.memory(settings)


def test_a_redis_without_a_log_and_one_that_is_a_replica_are_named(settings: Settings, client: redis_py.Redis) -> None:
    client.config_set("appendonly", "no")
    with pytest.raises(Advice, match=r"there is no append-only file: .* set appendonly yes, appendfsync everysec"):
        checked.persistence(settings)
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(Ailing, match=r"it is a replica, which takes no writes: name the primary in \[redis\] url"):
            checked.redis(settings)
    finally:
        client.replicaof("NO", "ONE")


def test_little_room_on_the_disk_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**29))
    with pytest.raises(Advice, match=r"0\.5 GB are free"):
        checked.disk(settings)


def test_records_that_kafka_let_go_before_they_were_read_are_named(settings: Settings, real_kafka: KafkaServer) -> None:
    make_topics(settings, ["events"])
    redis = redis_py.Redis.from_url(settings.redis.url)
    redis.set(f"{settings.redis.prefix}:{{kpis.2}}:fence", encode_position(Position(3)))
    sender = producer(settings.kafka.librdkafka())
    for _ in range(10):
        sender.produce(settings.topic("events"), b"x", partition=2)
    assert sender.flush(WAIT_S) == 0
    assert "what flows read is kept" in checked.retention(settings)
    admin = AdminClient(settings.kafka.librdkafka())
    for done in admin.delete_records([TopicPartition(settings.topic("events"), 2, 7)]).values():
        done.result(WAIT_S)
    with pytest.raises(Ailing, match="kpis: 3 records of events/2 were let go before they were read: raise its"):
        checked.retention(settings)


def test_a_kafka_in_which_nothing_has_been_made_yet_is_well(settings: Settings, real_kafka: KafkaServer) -> None:
    assert checked.retention(settings) == "no topic is there yet"


def test_topics_that_are_kept_too_short_or_the_wrong_way_are_named(settings: Settings, real_kafka: KafkaServer) -> None:
    make_topics(settings, ["events", "identities"])
    with pytest.raises(Ailing, match=r"identities: cleanup\.policy is delete: set it to compact, or records are lost"):
        checked.retention(settings)
    set_topic(settings, "identities", cleanup_policy="compact")
    set_topic(settings, "events", retention_ms="3600000")
    with pytest.raises(Advice, match=r"events: kept for less than three days: .*; raise retention.ms"):
        checked.retention(settings)


def test_a_topic_with_other_partitions_than_its_state_is_named(settings: Settings, real_kafka: KafkaServer) -> None:
    make_topics(settings, ["events"])
    redis = redis_py.Redis.from_url(settings.redis.url)
    redis.hset(f"{settings.redis.prefix}:layout", "partitions of events", "4")
    assert checked.partitions(settings).startswith("every partition has a leader")
    redis.hset(f"{settings.redis.prefix}:layout", "partitions of events", "8")
    with pytest.raises(Ailing, match="events has 4 partitions, and its state is laid out for 8: make the topic anew"):
        checked.partitions(settings)
    with pytest.raises(Advice, match=r"has one copy: .* \[kafka\] replication = 3"):
        checked.replication(settings)


def test_advice_is_printed_and_is_no_failure(
    settings: Settings, real_kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_topics(settings, ["events"])
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", "0123456789abcdef")
    out = Console(file=io.StringIO(), width=200)
    assert examine(settings, out) == 0
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "look replication: " in said
    assert "FAIL" not in said


def test_a_check_that_a_server_forbids_fails_alone(settings: Settings, client: redis_py.Redis) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+ping", "+hello", "+time"])
    forbidden = msgspec.structs.replace(settings.redis, url=settings.redis.url.replace("//", "//reader:secret@"))
    out = Console(file=io.StringIO(), width=200)
    examine(msgspec.structs.replace(settings, redis=forbidden), out)
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "FAIL redis: Redis refuses us" in said
    assert "see [redis] user" in said
    assert "ok   disk: " in said or "look disk: " in said
    client.acl_deluser("reader")
