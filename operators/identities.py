"""The identity table in Redis: pseudonym → customer, shared by all ingest processes.

A pseudonym met for the first time, and whatever an event with several says of them, is also
written to the compacted topic `identities`, in the transaction of the event that said so. A Redis
that was restarted may have lost the last of it, or all: then the table is restored from the topic, and
from what this process has resolved and not yet committed there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import structlog
from redis import Redis

from features.forgotten import Forgotten
from features.job import Batch
from operators.compacted import latest
from operators.tombstones import Tombstones

log = structlog.get_logger()
TAKE_BACK = "for i, key in ipairs(KEYS) do if redis.call('get', key) == ARGV[i] then redis.call('unlink', key) end end"


def known_customers(redis: Redis, prefix: str, pseudonyms: Iterable[str]) -> dict[str, str]:
    """The customers of those pseudonyms that have one."""
    wanted = list(dict.fromkeys(pseudonyms))
    if not wanted:
        return {}
    found: Any = redis.mget([_key(prefix, pseudonym) for pseudonym in wanted])
    return {p: customer.decode() for p, customer in zip(wanted, found, strict=True) if customer is not None}


def take_back(redis: Redis, prefix: str, links: Mapping[str, str]) -> None:
    """Those of these links that are still the same."""
    if links:
        redis.eval(TAKE_BACK, len(links), *(_key(prefix, p) for p in links), *links.values())


def _key(prefix: str, pseudonym: str) -> str:
    return f"{prefix}:id:{pseudonym}"


class IdentityTable:
    """Pseudonyms are written once (MSETNX): whoever meets a customer first names it for all."""

    def __init__(
        self, redis: Redis, prefix: str, client: Mapping[str, Any], topic: str, tombstones: Tombstones | None = None
    ) -> None:
        self.redis = redis
        self.prefix = prefix
        self.whole = f"{prefix}:id-whole"  # the Redis run in which the table was known to be whole
        self.run = ""  # the one in which this process saw it whole
        self.refills = 0
        self.uncommitted: dict[tuple[str, int, int], dict[str, str]] = {}  # by topic, partition, last offset
        self.client = client
        self.topic = topic
        self.tombstones = tombstones
        self.forgotten = Forgotten()

    def known(self, pseudonyms: Iterable[str]) -> dict[str, str]:
        """A link to somebody who was forgotten meanwhile is none, and is taken back."""
        found = known_customers(self.redis, self.prefix, pseudonyms)
        gone = self.forgotten.among(set(found.values()))
        if gone:
            take_back(self.redis, self.prefix, {p: customer for p, customer in found.items() if customer in gone})
        return {p: customer for p, customer in found.items() if customer not in gone}

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
        if self.tombstones is not None:
            pipe.hlen(self.tombstones.key)
        info, marked, *tombstones = pipe.execute()
        run = str(info["run_id"])
        # the mark may be another process's, set before this one's last links were on the topic
        if marked is None or marked.decode() != run or self.run not in ("", run):
            self._refill()
            self.redis.set(self.whole, run)
        elif self.tombstones is not None and tombstones != [len(self.forgotten)]:
            self.tombstones.share(self.forgotten)
            self.refills += 1
        self.run = run
        return self.refills

    def _refill(self) -> None:
        if self.tombstones is not None:
            self.forgotten.add(self.tombstones.told())
            self.tombstones.share(self.forgotten)
        count = 0
        parts: Iterable[Mapping[str, str | None]] = chain(
            latest(self.client, self.topic), self.uncommitted.copy().values()
        )
        for part in parts:
            links = {p: customer for p, customer in part.items() if customer is not None}
            gone = self.forgotten.among(set(links.values()))
            links = {p: customer for p, customer in links.items() if customer not in gone}
            if links:
                self.redis.mset({_key(self.prefix, pseudonym): customer for pseudonym, customer in links.items()})
            if cut := part.keys() - links.keys():
                self.redis.unlink(*(_key(self.prefix, pseudonym) for pseudonym in cut))
            count += len(links)
        self.refills += 1
        log.info("identity table restored", links=count)
