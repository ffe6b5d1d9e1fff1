"""The identity table in Redis, shared by all ingest processes: features.identity.Table is the part of it for a batch.

    bl:id:<kind>:<hash>          a pseudonym's customer
    bl:id:customer:<customer>    into whom a customer was merged
    bl:id:group:<customer>       set: all pseudonyms of a customer with several, and whom it has taken in

A pseudonym met for the first time, and whatever an event with several says of them, is also
written to the compacted topic `identities`, in the transaction of the event that said so. A Redis
that was restarted may have lost the last of it, or all: then the table is restored from the topic, and
from what this process has resolved and not yet committed there. Nothing comes back of those who were forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError, WatchError

from features.forgotten import Forgotten
from features.identity import Table, about, group_key, is_group, merged_key
from features.job import Batch
from operators.compacted import latest
from operators.tombstones import Tombstones

log = structlog.get_logger()
TAKE_BACK = "for i, key in ipairs(KEYS) do if redis.call('get', key) == ARGV[i] then redis.call('unlink', key) end end"
Place = tuple[str, int, int]  # topic, partition, last offset of a batch


def look_up(redis: Redis, prefix: str, pseudonyms: Iterable[str]) -> Table:
    """Those pseudonyms that are known, and all that leads on from their customers."""
    table = Table()
    wanted = list(dict.fromkeys(pseudonyms))
    while wanted:
        links = read_links(redis, prefix, wanted)
        table.links |= links
        wanted = [key for customer in dict.fromkeys(links.values()) if (key := merged_key(customer)) not in table.links]
    return table


def read_links(redis: Redis, prefix: str, names: Collection[str]) -> dict[str, str]:
    """What these lead to at once; a group leads nowhere."""
    found: Any = redis.mget([_key(prefix, name) for name in names]) if names else []
    return {name: raw.decode() for name, raw in zip(names, found, strict=True) if raw is not None}


def take_back(redis: Redis, prefix: str, links: Mapping[str, str]) -> None:
    """Those of these links that are still the same."""
    if links:
        redis.eval(TAKE_BACK, len(links), *(_key(prefix, name) for name in links), *links.values())


def erase_keys(redis: Redis, prefix: str, names: Iterable[str]) -> None:
    """Keys of the table that nobody else can need."""
    keys = [_key(prefix, name) for name in names]
    if keys:
        redis.unlink(*keys)


def _key(prefix: str, name: str) -> str:
    return f"{prefix}:id:{name}"


class IdentityTable:
    """Links are written once (all of a batch or none): whoever meets a customer first names it for all.

    Where one leads to somebody merged away, it may be rewritten, once Kafka has the merge.
    """

    def __init__(
        self, redis: Redis, prefix: str, client: Mapping[str, Any], topic: str, tombstones: Tombstones | None = None
    ) -> None:
        self.redis = redis
        self.prefix = prefix
        self.whole = f"{prefix}:id-whole"  # the Redis run in which the table was known to be whole
        self.run = ""  # the one in which this process saw it whole
        self.refills = 0
        self.uncommitted: dict[Place, dict[str, str]] = {}
        self.moved: dict[Place, dict[str, str | None]] = {}  # links to be rewritten when Kafka has the batch
        self.client = client
        self.topic = topic
        self.tombstones = tombstones
        self.forgotten = Forgotten()

    def known(self, pseudonyms: Iterable[str]) -> Table:
        """A link to somebody who was forgotten meanwhile is none, and is taken back."""
        table = look_up(self.redis, self.prefix, pseudonyms)
        gone = self.forgotten.among(set(table.links.values()))
        if gone:
            dead = {name: customer for name, customer in table.links.items() if customer in gone}
            take_back(self.redis, self.prefix, dead)
            table.links = {name: customer for name, customer in table.links.items() if name not in dead}
        return table

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
        """As the topic says: links, groups, and what is not needed any more. Of those who were forgotten nothing."""
        gone = self.forgotten.among({who for name, to in links.items() for who in _named(name, to)})
        links = {name: to for name, to in links.items() if not to or gone.isdisjoint(_named(name, to))}
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
        for chunk in parts:
            self._write(chunk)
            count += len(chunk)
        self.refills += 1
        log.info("identity table restored", links=count)


def _named(name: str, to: str | None) -> list[str]:
    """The customers whom an entry of the table is about."""
    return [who for who in (about(name), "" if is_group(name) else to) if who]
