"""What `brewline forget` writes: tombstones, links taken back, and the word to forget, in the order that is safe.

    find     whose pseudonyms: of the identity table in Redis, and of the topic behind it
    mark     tombstones, on their topic first: from now on ingest names nobody so, and a flow that starts knows it
    unlink   null on the topic `identities`, so that compaction drops what it holds; then Redis
    tell     the word to forget, to the partition in which the customer's flow keeps the record

Each may be repeated, so a command that was interrupted is given again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from confluent_kafka import Message
from msgspec import Struct
from redis import Redis

from features.events import Forget, encode
from features.forgotten import Forgotten, name_hash, tombstone_key
from operators.compacted import latest
from operators.identities import known_customers, take_back
from operators.kafka import Unreachable, producer
from operators.tombstones import Tombstones

CHUNK = 5_000
WAIT_S = 30.0


class Topics(Struct, frozen=True):
    events: str
    identities: str
    forgotten: str


class Eraser:
    """The hand that erases; it reads the tombstones that there are when it is made."""

    def __init__(self, redis: Redis, prefix: str, client: Mapping[str, Any], topics: Topics) -> None:
        self.redis = redis
        self.prefix = prefix
        self.client = client
        self.topics = topics
        self.tombstones = Tombstones(redis, prefix, client, topics.forgotten)
        self.forgotten = Forgotten(self.tombstones.told())

    def find(self, customer: str) -> set[str]:
        """The pseudonyms that lead to the customer, in Redis or on the topic."""
        found: dict[str, str | None] = {}
        for part in latest(self.client, self.topics.identities):
            found |= part
        pseudonyms = {pseudonym for pseudonym, whose in found.items() if whose == customer}
        start = f"{self.prefix}:id:"
        keys = [key.decode().removeprefix(start) for key in self.redis.scan_iter(f"{start}*", count=CHUNK)]
        for at in range(0, len(keys), CHUNK):
            known = known_customers(self.redis, self.prefix, keys[at : at + CHUNK])
            pseudonyms |= {pseudonym for pseudonym, whose in known.items() if whose == customer}
        return pseudonyms

    def mark(self, names: Iterable[str], at_ms: int) -> None:
        new = {name_hash(name): at_ms for name in names}
        new = {hash: at_ms for hash, at_ms in new.items() if hash not in self.forgotten.since_ms}
        self._send((self.topics.forgotten, tombstone_key(hash), str(at_ms).encode()) for hash, at_ms in new.items())
        self.forgotten.add(new)
        self.tombstones.share(self.forgotten)

    def unlink(self, pseudonyms: Collection[str], customer: str) -> None:
        """A pseudonym that is somebody's who came since stays his."""
        known = known_customers(self.redis, self.prefix, pseudonyms)
        others = {pseudonym: whose.encode() for pseudonym, whose in known.items() if whose != customer}
        self._send((self.topics.identities, pseudonym, others.get(pseudonym)) for pseudonym in pseudonyms)
        take_back(self.redis, self.prefix, dict.fromkeys(pseudonyms, customer))

    def tell(self, names: Iterable[str], at_ms: int) -> dict[int, int]:
        """By partition of the clean topic, the offset of the last word to forget in it."""
        words = [Forget(id=f"forget|{tombstone_key(name_hash(n))}", customer=n, at_ms=at_ms) for n in names]
        offsets: dict[int, int] = {}
        for sent in self._send((self.topics.events, word.customer, encode(word)) for word in words):
            partition = sent.partition() or 0
            offsets[partition] = max(offsets.get(partition, -1), sent.offset() or 0)
        return offsets

    def _send(self, messages: Iterable[tuple[str, str, bytes | None]]) -> list[Message]:
        """Those that Kafka has confirmed, which are all. Raises Unreachable."""
        sender, sent, failed = producer(self.client), list[Message](), list[Any]()

        def delivered(error: Any, message: Message) -> None:
            if error is None:
                sent.append(message)
            else:
                failed.append(error)

        for topic, key, value in messages:
            sender.produce(topic, value, key, on_delivery=delivered)
            sender.poll(0)
        if sender.flush(WAIT_S) or failed:
            why = failed[0].str() if failed else f"no answer in {WAIT_S:.0f} s"
            raise Unreachable(f"Kafka did not take what was to be written ({why}); the same command may be given again")
        return sent
