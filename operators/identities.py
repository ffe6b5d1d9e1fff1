"""The identity table in Redis, shared by all ingest processes: features.identity.Table is the part of it for a batch.

    bl:id:<kind>:<hash>          a pseudonym's customer
    bl:id:customer:<customer>    into whom a customer was merged
    bl:id:group:<customer>       set: all pseudonyms of a customer with several, and whom it has taken in

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
from redis.exceptions import RedisError, WatchError

from features.identity import Table, group_key, is_group, merged_key
from features.job import Batch
from operators.kafka import Unreachable, consumer, partition_count

log = structlog.get_logger()
CHUNK = 5_000
Place = tuple[str, int, int]  # topic, partition, last offset of a batch
PATIENCE_S = 40.0  # longer than Kafka leaves a dead process's transaction open


def look_up(redis: Redis, prefix: str, pseudonyms: Iterable[str]) -> Table:
    """Those pseudonyms that are known, and all that leads on from their customers."""
    table = Table()
    wanted = list(dict.fromkeys(pseudonyms))
    while wanted:
        found: Any = redis.mget([_key(prefix, name) for name in wanted])
        links = {name: raw.decode() for name, raw in zip(wanted, found, strict=True) if raw is not None}
        table.links |= links
        wanted = [key for customer in dict.fromkeys(links.values()) if (key := merged_key(customer)) not in table.links]
    return table


def _key(prefix: str, name: str) -> str:
    return f"{prefix}:id:{name}"


class IdentityTable:
    """Links are written once (all of a batch or none): whoever meets a customer first names it for all.

    Where one leads to somebody merged away, it may be rewritten, once Kafka has the merge.
    """

    def __init__(self, redis: Redis, prefix: str, client: Mapping[str, Any], topic: str) -> None:
        self.redis = redis
        self.prefix = prefix
        self.whole = f"{prefix}:id-whole"  # the Redis run in which the table was known to be whole
        self.run = ""  # the one in which this process saw it whole
        self.refills = 0
        self.uncommitted: dict[Place, dict[str, str]] = {}
        self.moved: dict[Place, dict[str, str | None]] = {}  # links to be rewritten when Kafka has the batch
        self.client = client
        self.topic = topic

    def known(self, pseudonyms: Iterable[str]) -> Table:
        return look_up(self.redis, self.prefix, pseudonyms)

    def load_groups(self, table: Table, customers: Iterable[str]) -> None:
        wanted = list(customers)
        pipe = self.redis.pipeline(transaction=False)
        for customer in wanted:
            pipe.smembers(_key(self.prefix, group_key(customer)))
        for customer, found in zip(wanted, pipe.execute() if wanted else (), strict=True):
            table.groups[customer] = {name.decode() for name in found}

    def add(self, table: Table) -> bool:
        """Writes what is new, all or none; False when another process has named one of them meanwhile."""
        new = {_key(self.prefix, name): customer for name, customer in table.new.items()}
        if not table.grown:
            return not new or bool(self.redis.msetnx(new))
        with self.redis.pipeline() as pipe:
            try:
                if new:
                    pipe.watch(*new)
                    if pipe.exists(*new):
                        return False
                    pipe.multi()
                    pipe.mset(new)
                for customer in table.grown:
                    pipe.sadd(_key(self.prefix, group_key(customer)), *table.groups[customer])
                pipe.execute()
            except WatchError:
                return False
        return True

    def hold(self, batch: Batch, told: dict[str, str], table: Table) -> None:
        """Remembers links that Redis may lose before they are on the topic, and those that move when they are."""
        place = (batch.topic, batch.partition, batch.last)
        links = {name: customer for name, customer in told.items() if name not in table.moved}
        if links:
            self.uncommitted[place] = links
        if table.moved:
            self.moved[place] = table.moved

    def committed(self, batch: Batch) -> None:
        """The batch's links are on the topic now."""
        place = (batch.topic, batch.partition, batch.last)
        self.uncommitted.pop(place, None)
        moved = self.moved.pop(place, None)
        if moved:
            try:
                self._write(moved)
            except RedisError as error:  # they lead there all the same, and are told again when they are next met
                log.warning("links not rewritten", links=len(moved), error=str(error))

    def _write(self, links: Mapping[str, str | None]) -> None:
        """As the topic says: links, groups, and what is not needed any more."""
        pipe = self.redis.pipeline(transaction=False)
        plain = {_key(self.prefix, name): to for name, to in links.items() if to and not is_group(name)}
        if plain:
            pipe.mset(plain)
        for name, to in links.items():
            if not to:
                pipe.unlink(_key(self.prefix, name))
            elif is_group(name):
                pipe.sadd(_key(self.prefix, name), *to.split())
        pipe.execute()

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
            self._write(chunk)
            count += len(chunk)
        self.refills += 1
        log.info("identity table restored", links=count)

    def _chunks(self) -> Iterator[dict[str, str]]:
        """The topic's links from its beginning to where it ends now; empty: not needed any more."""
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
                chunk = {str(m.key(), "utf-8"): str(m.value() or b"", "utf-8") for m in messages if m.error() is None}
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
