"""Kafka clients: how Brewline configures librdkafka, and what it says when no broker answers."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from threading import Event
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic

from features.job import Message
from features.times import HOUR_MS
from operators.health import warn_seldom

log = structlog.get_logger()
FOREVER_MS = 2**62
# of what was taken back nothing may lie about for longer than a day
COMPACT = {"cleanup.policy": "compact", "max.compaction.lag.ms": "86400000", "delete.retention.ms": "86400000"}
REFUSALS = {  # broker says why, or TLS does
    KafkaError._AUTHENTICATION: "refuses us; see [kafka] user, password_file and sasl_mechanism",
    KafkaError._SSL: "cannot be spoken to in secrecy; see [kafka] security_protocol and ca_file",
}


class Unreachable(Exception):
    """A server that did not answer in time; the message names address, setting and what to do."""


class WrongClient(ValueError):
    """A setting of [kafka] client that librdkafka refuses; the message names it."""


def consumer(client: Mapping[str, Any], group: str, **overrides: Any) -> Consumer:
    """A consumer for assigned partitions: never commits by itself, never jumps when an offset has expired."""
    return Consumer(
        {
            **client,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "fetch.message.max.bytes": 10_000_000,
            "queued.max.messages.kbytes": 16_384,
            "error_cb": log_error,
            "log_level": 2,
            **_dotted(overrides),
        }
    )


def producer(client: Mapping[str, Any], **overrides: Any) -> Producer:
    """An idempotent producer, acknowledged by all replicas, with the partitioner of Kafka's Java client."""
    return Producer(
        {
            **client,
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger.ms": 2,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 200_000,
            "message.timeout.ms": 0,  # keep trying: the outbox waits
            "error_cb": log_error,
            "log_level": 2,
            **_dotted(overrides),
        }
    )


def _dotted(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """librdkafka's names of its settings; only callbacks are written with underscores there, too."""
    return {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in overrides.items()}


def produce(producer: Producer, message: Message, stop: Event, trace: str = "", **options: Any) -> None:
    """Hands a message to the producer; waits while its queue is full, unless the process is to stop.

    An empty value is none: on a compacted topic, that takes the key away. `trace`: a context that it bears.
    """
    while True:
        headers: Any = list(message.headers.items())
        if trace:
            headers.append(("traceparent", trace))
        try:
            producer.produce(message.topic, message.value or None, message.key or None, headers=headers, **options)
            return
        except BufferError:
            producer.poll(0.1)
            if stop.is_set():
                raise
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE or "reason" not in message.headers:
                raise
            message = _shortened(message)


def _shortened(letter: Message) -> Message:
    """A dead letter that is too large, with half of its value; the whole stands at its source offset."""
    headers = {"whole_bytes": str(len(letter.value)), **letter.headers}
    return Message(letter.topic, letter.key, letter.value[: len(letter.value) // 2], headers)


def log_error(error: KafkaError) -> None:
    warn_seldom("kafka", error.name(), error=error.str(), code=error.name())


def require_kafka(client: Mapping[str, Any], timeout_s: float) -> None:
    """Raises Unreachable when no broker answers in time, WrongClient when librdkafka refuses a setting."""
    refusals: list[KafkaError] = []
    try:
        admin = AdminClient({**client, "log_level": 0, "error_cb": refusals.append})
        admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        if error.args[0].code() == KafkaError._INVALID_ARG:
            raise WrongClient(f"[kafka] client: {error.args[0].str()}; librdkafka's settings are expected") from error
        admin.poll(0)  # has it say why
        raise unreachable(client["bootstrap.servers"], [*refusals, error.args[0]]) from error


def unreachable(brokers: str, errors: Iterable[KafkaError]) -> Unreachable:
    """In one line, by the first of these errors that tells more than that nobody answers."""
    *_, last = errors = list(errors)
    for error in errors:
        if error.code() in REFUSALS:
            said = error.str().rpartition("/bootstrap: ")[2].partition(" (after ")[0]
            return Unreachable(f"Kafka at {brokers} {REFUSALS[error.code()]}: {said}")
    return Unreachable(
        f"Kafka at {brokers} does not answer ({last.str()}): start it, or name another with [kafka] brokers or"
        " BREWLINE_KAFKA__BROKERS; where it asks for TLS, see [kafka] security_protocol;"
        " `brewline demo` needs no Kafka"
    )


class NarrowTopic(ValueError):
    """A topic that takes smaller messages only than may have to be written to it."""


def require_room(client: Mapping[str, Any], topics: Iterable[str], message_bytes: int) -> None:
    """Raises NarrowTopic when a topic would refuse a message of this size: its flow would repeat it for ever."""
    admin = AdminClient({**client, "log_level": 0})
    if _is_mock(admin.list_topics(timeout=10)):  # it takes all, and does not tell
        return
    for resource, answer in _describe(admin, topics).items():
        try:
            found = int(answer.result(15)["max.message.bytes"].value)
        except KafkaException as error:
            log.warning("what a topic takes is unknown", topic=resource.name, error=error.args[0].str())
            continue
        if found < message_bytes:
            raise NarrowTopic(
                f"Kafka topic {resource.name}: max.message.bytes is {found}, expected at least {message_bytes}:"
                " raise it, or lower [kafka] max_message_bytes"
            )


def _describe(admin: AdminClient, topics: Iterable[str]) -> dict[ConfigResource, Any]:
    """Answers to come; a client that is asked of no topic raises."""
    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    return admin.describe_configs(asked) if asked else {}


def _is_mock(cluster: ClusterMetadata) -> bool:
    return str(cluster.cluster_id).startswith("mockCluster")


def ensure_topics(
    client: Mapping[str, Any],
    names: list[str],
    partitions: int,
    replication: int,
    config: dict[str, str],
    compacted: Collection[str] = (),
) -> dict[str, int]:
    """Creates the topics that are missing; returns the number of partitions of each."""
    admin = AdminClient({**client, "log_level": 0})
    have = admin.list_topics(timeout=10)
    mock = _is_mock(have)  # creates topics on first sight, with its own partition count
    missing = [
        NewTopic(n, partitions, replication, config={**config, **COMPACT} if n in compacted else config)
        for n in names
        if n not in have.topics and not mock
    ]
    for name, created in (admin.create_topics(missing, operation_timeout=10) if missing else {}).items():
        try:
            created.result(15)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Unreachable(f"Kafka refused to create topic {name}: {error.args[0].str()}") from error
    return {name: partition_count(admin, name) for name in names}


def retention(client: Mapping[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """How long each topic keeps what is written to it, in words; left out where the broker does not tell."""
    return {topic: _kept(config) for topic, config in topic_configs(client, topics).items()}


def kept_ms(client: Mapping[str, Any], topic: str) -> int | None:
    """What is younger is still in the topic; None: the broker does not tell, or its size decides as well."""
    config = topic_configs(client, [topic]).get(topic)
    return time_kept_ms(config) if config else None


def time_kept_ms(config: Mapping[str, str]) -> int | None:
    """Of a topic's configuration, where time alone decides."""
    if config["cleanup.policy"] != "delete" or int(config["retention.bytes"]) >= 0:
        return None
    kept_ms = int(config["retention.ms"])
    return kept_ms if kept_ms >= 0 else FOREVER_MS


def topic_configs(client: Mapping[str, Any], topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Left out is what the broker does not tell of."""
    admin = AdminClient({**client, "log_level": 0})
    if _is_mock(admin.list_topics(timeout=10)):
        return {}
    told = {}
    for resource, answer in _describe(admin, topics).items():
        try:
            found = answer.result(15)
        except KafkaException as error:
            log.warning("what a topic keeps is unknown", topic=resource.name, error=error.args[0].str())
            continue
        told[resource.name] = {name: entry.value for name, entry in found.items()}
    return told


def _kept(config: Mapping[str, str]) -> str:
    if "compact" in config["cleanup.policy"]:
        lag_ms, gone_ms = int(config["max.compaction.lag.ms"]), int(config["delete.retention.ms"])
        return "until it is compacted" + (
            f", about {(lag_ms + gone_ms) / HOUR_MS:.0f} h" if lag_ms < FOREVER_MS else ""
        )
    kept_ms = int(config["retention.ms"])
    return f"{kept_ms / HOUR_MS:.0f} h" if kept_ms >= 0 else "for ever: retention.ms is -1"


def partition_count(client: AdminClient | Producer, topic: str, timeout_s: float = 10.0) -> int:
    """Partitions of a topic; a topic just created may need a moment to show."""
    until = time.monotonic() + timeout_s
    while not (found := client.list_topics(topic, timeout=timeout_s).topics[topic].partitions):
        if time.monotonic() > until:
            raise Unreachable(
                f"Kafka holds no topic {topic!r} yet: run the flow that writes it, or see [kafka] topic_prefix"
            )
        time.sleep(0.05)
    return len(found)
