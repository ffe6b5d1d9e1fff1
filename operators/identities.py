"""The identity table in Redis: pseudonym → customer, shared by all ingest processes.

A pseudonym met for the first time, and whatever an event with several says of them, is also
written to the compacted topic `identities`, in the transaction of the event that said so. A Redis
that was restarted may have lost the last of it, or all: then the table is restored from the topic, and
from what this process has resolved and not yet committed there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from redis import Redis

from features.job import Batch
from operators.kafka import Unreachable, consumer, partition_count

log = structlog.get_logger()
CHUNK = 5_000
PATIENCE_S = 40.0  # longer than Kafka leaves a dead process's transaction open


def known_customers(redis: Redis, prefix: str, pseudonyms: Iterable[str]) -> dict[str, str]:
    """The customers of those pseudonyms that have one."""
    wanted = list(dict.fromkeys(pseudonyms))
    if not wanted:
        return {}
    found: Any = redis.mget([_key(prefix, pseudonym) for pseudonym in wanted])
    return {p: customer.decode() for p, customer in zip(wanted, found, strict=True) if customer is not None}


def _key(prefix: str, pseudonym: str) -> str:
    return f"{prefix}:id:{pseudonym}"


class IdentityTable:
    """Pseudonyms are written once (MSETNX): whoever meets a customer first names it for all."""

    def __init__(self, redis: Redis, prefix: str, client: Mapping[str, Any], topic: str) -> None:
        self.redis = redis
        self.prefix = prefix
        self.whole = f"{prefix}:id-whole"  # the Redis run in which the table was known to be whole
        self.run = ""  # the one in which this process saw it whole
        self.refills = 0
        self.uncommitted: dict[tuple[str, int, int], dict[str, str]] = {}  # by topic, partition, last offset
        self.client = client
        self.topic = topic

    def known(self, pseudonyms: Iterable[str]) -> dict[str, str]:
        return known_customers(self.redis, self.prefix, pseudonyms)

    def add(self, new: dict[str, str]) -> bool:
        """Writes new pseudonyms, all or none; False when another process has named one of them meanwhile."""
        return not new or bool(self.redis.msetnx({_key(self.prefix, p): customer for p, customer in new.items()}))

    def hold(self, batch: Batch, links: dict[str, str]) -> None:
        """Remembers links that Redis may lose before they are on the topic."""
        if links:
            self.uncommitted[batch.topic, batch.partition, batch.last] = links

    def committed(self, batch: Batch) -> None:
        """The batch's links are on the topic now."""
        self.uncommitted.pop((batch.topic, batch.partition, batch.last), None)

    def restore(self) -> int:
        """Reads the topic into the table if Redis was restarted or emptied; how often this process has done so."""
        pipe = self.redis.pipeline(transaction=False)
        pipe.info("server")
        pipe.get(self.whole)
        info, marked = pipe.execute()
        run = str(info["run_id"])
        # the mark may be another process's, set before this one's last links were on the topic
        if marked is None or marked.decode() != run or self.run not in ("", run):
            self._refill()
            self.redis.set(self.whole, run)
        self.run = run
        return self.refills

    def _refill(self) -> None:
        count = 0
        for chunk in chain(self._chunks(), self.uncommitted.copy().values()):
            self.redis.mset({_key(self.prefix, pseudonym): customer for pseudonym, customer in chunk.items()})
            count += len(chunk)
        self.refills += 1
        log.info("identity table restored", links=count)

    def _chunks(self) -> Iterator[dict[str, str]]:
        """The topic's links from its beginning to where it ends now; a later link of a pseudonym is the same."""
        reader = consumer(self.client, "brewline-identities", enable_partition_eof=True)
        try:
            left = self._ends()
            reader.assign([TopicPartition(self.topic, partition, 0) for partition in left])
            until = time.monotonic() + PATIENCE_S
            while left:
                messages = reader.consume(CHUNK, timeout=0.1)
                if messages:
                    until = time.monotonic() + PATIENCE_S
                elif time.monotonic() > until:
                    raise Unreachable(f"Kafka topic {self.topic} could not be read to its end")
                chunk = {str(m.key(), "utf-8"): str(m.value(), "utf-8") for m in messages if m.error() is None}
                if chunk:
                    yield chunk
                for message in messages:
                    if _place(message) >= left.get(message.partition() or 0, sys.maxsize):
                        del left[message.partition() or 0]
        finally:
            reader.close()

    def _ends(self) -> dict[int, int]:
        """Where each partition ends, open transactions included: they hide what is committed behind them."""
        watcher = consumer(self.client, "brewline-identities", isolation_level="read_uncommitted")
        try:
            places = [TopicPartition(self.topic, p) for p in range(partition_count(watcher, self.topic))]
            return {place.partition: watcher.get_watermark_offsets(place, timeout=PATIENCE_S)[1] for place in places}
        except KafkaException as error:
            raise Unreachable(f"Kafka topic {self.topic} does not tell its end: {error.args[0].str()}") from error
        finally:
            watcher.close()


def _place(message: Message) -> int:
    """Up to where a partition has been read with this message; -1 for an error that tells nothing of it."""
    error, offset = message.error(), message.offset() or 0
    if error is None:
        return offset + 1
    return offset if error.code() == KafkaError._PARTITION_EOF else -1
