"""What `brewline forget` writes: tombstones, links taken back, and the word to forget, in the order that is safe.

    find     the whole person: all ids that became one, and all pseudonyms, of the identity table in Redis, and of the
             topic behind it
    mark     tombstones, on their topic first: from now on ingest names nobody so, and a flow that starts knows it
    tell     the word to forget, to every partition: in one the customers flow keeps a record, or a note in its place,
             and receipts, and in none it may hear from then on whom the customer has brought
    unname   where somebody's record says that the customer has brought them, the word to forget that
    unlink   null on the topic `identities`, so that compaction drops what it holds; then Redis

Each may be repeated, so a command that was interrupted is given again. The links go last: they tell who is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from confluent_kafka import Message
from msgspec import Struct
from redis import Redis

from features.events import Forget, Unname, encode
from features.forgotten import Forgotten, name_hash, tombstone_key
from features.identity import about, group_key, is_group, merged_key
from features.partitions import partition_keys
from operators.compacted import latest
from operators.identities import erase_keys, read_links, take_back
from operators.layout import RECORDS
from operators.scan import chunks
from operators.store import partition_key
from operators.tombstones import Tombstones
from operators.writing import write

CHUNK = 5_000


class Topics(Struct, frozen=True):
    events: str
    identities: str
    forgotten: str


class Person(Struct):
    """Everybody who became one with a customer, and all that leads to them."""

    customers: set[str]
    pseudonyms: set[str]

    @property
    def customer(self) -> str:
        """Who they all are now: merges end in the smallest id."""
        return min(self.customers)


class Eraser:
    """The hand that erases; it reads the tombstones that there are when it is made."""

    def __init__(self, redis: Redis, prefix: str, client: Mapping[str, Any], topics: Topics) -> None:
        self.redis = redis
        self.prefix = prefix
        self.client = client
        self.topics = topics
        self.tombstones = Tombstones(redis, prefix, client, topics.forgotten)
        self.forgotten = Forgotten(self.tombstones.told())

    def find(self, customers: Iterable[str], kin: Callable[[set[str]], set[str]]) -> Person:
        """By all links in Redis or on the topic, and by what the records say of customers: `kin`."""
        links = self._links()
        merges = [{loser, into} for name, into in links if (loser := about(name))]
        everybody, found = set[str](), set(customers)
        while not found <= everybody:
            everybody |= found
            found = kin(everybody).union(*(merge for merge in merges if not everybody.isdisjoint(merge)))
        return Person(everybody, {name for name, whose in links if whose in everybody and not about(name)})

    def _links(self) -> set[tuple[str, str]]:
        """Whatever either says, without groups."""
        found: dict[str, str | None] = {}
        for part in latest(self.client, self.topics.identities):
            found |= part
        links = {(name, to) for name, to in found.items() if to and not is_group(name)}
        for names in self._keys(f"{self.prefix}:id:"):
            links |= read_links(self.redis, self.prefix, names).items()
        return links

    def mark(self, names: Iterable[str], at_ms: int) -> None:
        new = {name_hash(name): at_ms for name in names}
        new = {hash: at_ms for hash, at_ms in new.items() if hash not in self.forgotten.since_ms}
        self._send((self.topics.forgotten, tombstone_key(hash), str(at_ms).encode()) for hash, at_ms in new.items())
        self.forgotten.add(new)
        self.tombstones.share(self.forgotten)

    def unlink(self, customers: Collection[str], pseudonyms: Collection[str]) -> None:
        """A pseudonym that is somebody's who came since stays his."""
        known = read_links(self.redis, self.prefix, pseudonyms)
        others = {pseudonym: whose.encode() for pseudonym, whose in known.items() if whose not in customers}
        theirs = [key(customer) for customer in customers for key in (merged_key, group_key)]
        self._send((self.topics.identities, name, others.get(name)) for name in chain(pseudonyms, theirs))
        take_back(self.redis, self.prefix, {name: whose for name, whose in known.items() if whose in customers})
        erase_keys(self.redis, self.prefix, theirs)

    def tell(self, names: Iterable[str], partitions: int) -> dict[int, int]:
        """By partition of the clean topic, the offset of the last word to forget in it. All must have been marked."""
        hashes = {name: name_hash(name) for name in names}
        words = [
            Forget(id=f"forget|{tombstone_key(hash)}", customer=name, at_ms=self.forgotten.since_ms[hash])
            for name, hash in hashes.items()
        ]
        return self._say((key, encode(word)) for word in words for key in partition_keys(partitions))

    def repeat(self, partitions: int) -> int:
        """Takes links to forgotten customers out of a Redis that was restored, and says the word again of all whom it
        still knows: Kafka may have dropped what said so at the time. How many they are."""
        self.tombstones.share(self.forgotten)
        back = set[str]()
        for keys in self._keys(f"{self.prefix}:id:"):
            links = read_links(self.redis, self.prefix, keys)
            gone = self.forgotten.among({*links.values(), *map(about, keys)} - {""})
            erase_keys(self.redis, self.prefix, [key for key in keys if gone & {links.get(key), about(key)}])
            back |= gone
        for partition in range(partitions):
            records = partition_key(self.prefix, "customers", partition, RECORDS)
            names = (customer.decode() for customer, _ in self.redis.hscan_iter(records, count=CHUNK))
            for customers in chunks(names, CHUNK):
                back |= self.forgotten.among(customers)
        self.tell(sorted(back), partitions)
        return len(back)

    def _keys(self, start: str) -> Iterator[list[str]]:
        """What follows `start` in the names of keys, some at a time."""
        for keys in chunks(self.redis.scan_iter(f"{start}*", count=CHUNK), CHUNK):
            yield [key.decode().removeprefix(start) for key in keys]

    def unname(self, brought: Mapping[str, str], at_ms: int) -> dict[int, int]:
        """`brought`: by customer, the one who was forgotten. As `tell`."""
        keys = {customer: tombstone_key(name_hash(by)) for customer, by in brought.items()}
        words = [Unname(id=f"unname|{key}", customer=who, at_ms=at_ms, of=key) for who, key in keys.items()]
        return self._say((word.customer, encode(word)) for word in words)

    def _say(self, words: Iterable[tuple[str, bytes]]) -> dict[int, int]:
        offsets: dict[int, int] = {}
        for sent in self._send((self.topics.events, key, word) for key, word in words):
            partition = sent.partition() or 0
            offsets[partition] = max(offsets.get(partition, -1), sent.offset() or 0)
        return offsets

    def _send(self, messages: Iterable[tuple[str, str, bytes | None]]) -> list[Message]:
        """Raises Unreachable."""
        return write(self.client, messages)
