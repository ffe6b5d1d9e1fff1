"""What the doctor looks at in Kafka, in Redis and on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka.admin import AdminClient, ClusterMetadata

from config.settings import Settings
from features.times import DAY_MS
from flows.stages import READ_BY
from flows.topics import COMPACTED, KEYED, SOURCES, TOPICS, WRITTEN
from operators.kafka import FOREVER_MS, require_kafka, require_room, topic_configs
from operators.layout import stored_partitions
from operators.redis_link import connect_redis
from operators.store import PartitionStore
from operators.topic import bounds_of

OLDEST_REDIS = (6, 2)
SKEW_S = 5.0
LEAST_KEPT_MS = 3 * DAY_MS  # of what a restore has to replay
FULL, NEARLY_FULL = 0.95, 0.8
LEAST_DISK_BYTES = 2 * 2**30


class Ailing(Exception):
    """A check that failed; the message says how to mend it."""


class Advice(Exception):
    """It works, and could go wrong; the message says how to mend it."""


def _cluster(settings: Settings) -> ClusterMetadata:
    client, timeout_s = settings.kafka.librdkafka(), settings.kafka.start_timeout_s
    require_kafka(client, timeout_s)
    return AdminClient({**client, "log_level": 0}).list_topics(timeout=timeout_s)


def kafka(settings: Settings) -> str:
    found = _cluster(settings)
    missing = [topic for topic in TOPICS if settings.topic(topic) not in found.topics]
    what = f"missing topics, created at the first start: {', '.join(missing)}" if missing else "all topics are there"
    brokers = len(found.brokers)
    return f"{settings.kafka.brokers}, {brokers} {'broker' if brokers == 1 else 'brokers'}, {what}"


def partitions(settings: Settings) -> str:
    """Keys stay in their partitions: their number must be that under which the state was laid out."""
    found, redis = _cluster(settings), connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    wrong = []
    for topic in KEYED:
        stored = stored_partitions(redis, settings.redis.prefix, topic)
        have = found.topics.get(settings.topic(topic))
        if stored and have and len(have.partitions) != stored:
            wrong.append(f"{topic} has {len(have.partitions)} partitions, and its state is laid out for {stored}")
    if wrong:
        raise Ailing(f"{'; '.join(wrong)}: make the topic anew with as many, or choose a new [redis] prefix and replay")
    away = [
        f"{name}/{part.id}"
        for name, topic in found.topics.items()
        if name in _ours(settings)
        for part in topic.partitions.values()
        if part.leader < 0
    ]
    if away:
        raise Ailing(f"without a leader: {', '.join(away)}: start the brokers that hold them")
    return "every partition has a leader, and as many as the state is laid out for"


def replication(settings: Settings) -> str:
    found = _cluster(settings)
    parts = [
        (f"{name}/{part.id}", len(part.replicas), len(part.isrs))
        for name, topic in found.topics.items()
        if name in _ours(settings)
        for part in topic.partitions.values()
    ]
    behind = [name for name, replicas, in_sync in parts if in_sync < replicas]
    if behind:
        raise Advice(
            f"{len(behind)} partitions lack replicas that are in sync, such as {behind[0]}: look at the brokers"
        )
    least = min((replicas for _, replicas, _ in parts), default=settings.kafka.replication)
    if least == 1:
        raise Advice(
            "every partition, or some, has one copy: a disk lost is data lost; where that matters, have three brokers,"
            " [kafka] replication = 3, and min.insync.replicas = 2 at the brokers"
        )
    return f"at least {least} copies of everything, all in sync"


def retention(settings: Settings) -> str:
    """What flows have not read must still be there, and what only its latest record counts of must be compacted."""
    found, client = _cluster(settings), settings.kafka.librdkafka()
    there = [topic for topic in TOPICS if settings.topic(topic) in found.topics]
    if not there:
        return "no topic is there yet"
    require_room(client, [settings.topic(t) for t in there if t in WRITTEN], settings.kafka.max_message_bytes)
    _read_in_time(settings, there)
    configs = topic_configs(client, [settings.topic(topic) for topic in there])
    if not configs:
        return "this broker does not tell how long it keeps what"
    for topic in there:
        config = configs.get(settings.topic(topic), {"cleanup.policy": "", "retention.ms": "-1"})
        compacted = "compact" in config["cleanup.policy"]
        if config["cleanup.policy"] and compacted != (topic in COMPACTED):
            wanted = "compact" if topic in COMPACTED else "delete"
            raise Ailing(
                f"{topic}: cleanup.policy is {config['cleanup.policy']}: set it to {wanted}, or records are lost"
            )
    read = sorted({*SOURCES, *READ_BY.values()} & set(there))
    kept = {
        topic: int(configs[settings.topic(topic)]["retention.ms"]) for topic in read if settings.topic(topic) in configs
    }
    short = [topic for topic, kept_ms in kept.items() if 0 <= kept_ms < LEAST_KEPT_MS]
    if short:
        raise Advice(
            f"{', '.join(short)}: kept for less than three days: an outage or a back-up that is older cannot be made"
            " good; raise retention.ms"
        )
    least = min((kept_ms if kept_ms >= 0 else FOREVER_MS for kept_ms in kept.values()), default=FOREVER_MS)
    days = "for ever" if least == FOREVER_MS else f"for {least / DAY_MS:.0f} days at least"
    return f"what flows read is kept {days}: a back-up may be as old as that"


def _read_in_time(settings: Settings, there: list[str]) -> None:
    """Raises Ailing when Kafka has let go of what a flow has still to read."""
    client, prefix = settings.kafka.librdkafka(), settings.redis.prefix
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    for stage, topic in READ_BY.items():
        if topic not in there:
            continue
        store = PartitionStore(redis, prefix, stage)
        for part, (first, _) in bounds_of(client, settings.topic(topic), "brewline-doctor").items():
            next_ = store.position(part).offset + 1
            if 0 < next_ < first:
                raise Ailing(
                    f"{stage}: {first - next_:,} records of {topic}/{part} were let go before they were read: raise its"
                    " retention.ms; to go on without them, choose a new [redis] prefix and replay what there is"
                )


def redis(settings: Settings) -> str:
    info = _info(settings)
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise Ailing(f"Redis {version} is too old: 6.2 or newer is needed")
    if info.get("cluster_enabled"):
        raise Ailing("it is a Redis Cluster: one Redis is needed, with a replica")
    if info.get("role") == "slave":
        raise Ailing("it is a replica, which takes no writes: name the primary in [redis] url")
    client = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    laid_out = stored_partitions(client, settings.redis.prefix) or "no"
    return f"Redis {version}, state of {laid_out} partitions under prefix {settings.redis.prefix!r}"


def memory(settings: Settings) -> str:
    info = _info(settings)
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        raise Ailing(f"maxmemory-policy is {info['maxmemory_policy']}: it would drop state; set noeviction")
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or info.get("total_system_memory") or 0)
    told = f"Redis uses {used / 2**20:,.0f} MB of {limit / 2**20:,.0f} MB"
    if limit and used > FULL * limit:
        raise Ailing(f"{told}: raise maxmemory, or give it a larger machine, before it refuses to write")
    if limit and used > NEARLY_FULL * limit:
        raise Advice(f"{told}: raise maxmemory, or give it a larger machine, soon")
    return f"{told}, and drops nothing"


def persistence(settings: Settings) -> str:
    info = _info(settings)
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"):
        if info.get(name, "ok") != "ok":
            raise Ailing(f"{name} is {info[name]}: look at Redis' log; perhaps its disk is full")
    if not info["aof_enabled"]:
        raise Advice(
            "there is no append-only file: a restart of Redis begins at its last snapshot, or at nothing, and Kafka"
            " must replay from there; set appendonly yes, appendfsync everysec"
        )
    return "append-only file on, and written well"


def clocks(settings: Settings) -> str:
    answer: Any = connect_redis(settings.redis.url, settings.redis.start_timeout_s).time()
    skew_s = abs(answer[0] + answer[1] / 1e6 - time.time())
    if skew_s > SKEW_S:
        raise Ailing(f"Redis' clock differs from this machine's by {skew_s:.0f} s: synchronise both with NTP")
    return f"Redis' and this machine's differ by {skew_s:.1f} s at most"


def disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.folder or ".").free
    if free < LEAST_DISK_BYTES:
        raise Advice(
            f"{free / 2**30:.1f} GB are free beside the settings: make room, if Kafka or Redis write there, too"
        )
    return f"{free / 2**30:.0f} GB are free beside the settings"


def _info(settings: Settings) -> dict[str, Any]:
    found: Any = connect_redis(settings.redis.url, settings.redis.start_timeout_s).info()
    return dict(found)


def _ours(settings: Settings) -> set[str]:
    return {settings.topic(topic) for topic in TOPICS}


SERVER_CHECKS: dict[str, Callable[[Settings], str]] = {
    "kafka": kafka,
    "partitions": partitions,
    "replication": replication,
    "retention": retention,
    "redis": redis,
    "memory": memory,
    "persistence": persistence,
    "clocks": clocks,
    "disk": disk,
}
