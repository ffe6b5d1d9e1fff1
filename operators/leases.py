"""Leases of the pots that all partitions share, reserved in Redis; who holds one is the partition, not the process.

Keys of the campaign `winback` (prefix `bl`), all in one hash slot, which is not the partition's:

    bl:{campaign.winback}:reserved  hash: pot → the sum of what partitions were granted
    bl:{campaign.winback}:lease:3   hash: pot → what partition 3 was granted since the beginning; "" → who asks for it

What the partition has spent is its own: `bl:{customers.3}:spent`, written with its fence. All is asked on the
partition's own connection, behind its check of owner and fence: so a Redis that fell back in between is noticed before
a grant is used that it no longer knows, and whoever was passed by does not lower what another spends.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any
from uuid import uuid4

from msgspec import Struct
from redis import Redis

from alerts.triggers.campaign import BUDGET, COUPONS, Campaigns
from alerts.triggers.lease import RETURN, Request
from operators.health import LIMIT, RESERVED, SPENT
from operators.line import pack
from operators.store import Moved, PartitionStore

RENEW_S = 5.0  # between two looks at what a partition holds
IDLE_S = 30.0  # what was not spent from for so long is given back

TAKE = b"""
redis.call('HSET', KEYS[1], '', ARGV[1])
return redis.call('HGETALL', KEYS[1])
"""
NOTE = b"""
for i = 1, #ARGV, 2 do
  local more = tonumber(ARGV[i + 1]) - tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or 0)
  if more > 0 then
    redis.call('HINCRBY', KEYS[1], ARGV[i], string.format('%.0f', more))
    redis.call('HINCRBY', KEYS[2], ARGV[i], string.format('%.0f', more))
  end
end
"""
SETTLE = b"""
if redis.call('HGET', KEYS[2], '') ~= ARGV[1] then return nil end
local shares, grants = tonumber(ARGV[2]), {}
for i = 3, #ARGV, 5 do
  local pot, limit, spent = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local need, unit = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local reserved = tonumber(redis.call('HGET', KEYS[1], pot) or 0)
  local before = tonumber(redis.call('HGET', KEYS[2], pot) or 0)
  local granted = spent
  if need >= 0 then
    local left = limit - (reserved - before) - spent
    local share = math.floor(math.floor(left / shares) / unit) * unit
    granted = spent + math.max(0, math.min(left, math.max(need, share)))
  end
  if granted ~= before then
    redis.call('HINCRBY', KEYS[1], pot, string.format('%.0f', granted - before))
    redis.call('HINCRBY', KEYS[2], pot, string.format('%.0f', granted - before))
  end
  grants[#grants + 1] = granted
end
return grants
"""


def campaign_key(prefix: str, campaign: str, name: str) -> str:
    return f"{prefix}:{{campaign.{campaign}}}:{name}"


class Held(Struct):
    """What a partition holds, by pot. `used_s`: when it was last spent from; `wants`: how much a batch took of it."""

    token: bytes
    grants: dict[str, int]
    wants: dict[str, int]
    used_s: dict[str, float]
    renew_s: float = 0.0


class Leases:
    """The leases of one flow's partitions that this process runs."""

    def __init__(
        self,
        store: PartitionStore,
        campaigns: Campaigns,
        partitions: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A partition holds one of twice as many shares as there are `partitions`."""
        self.store = store
        self.campaigns = campaigns
        self.shares = 2 * partitions
        self.clock = clock
        self.partitions = range(partitions)
        self.held: dict[int, Held] = {}
        self.behind: set[int] = set()  # partitions that hold leases of other campaigns
        note_spent(store, campaigns, self.partitions)

    def follow(self, campaigns: Campaigns) -> None:
        """Other campaigns count from the next batch on. A partition takes their leases when it lends next: what it has
        under way may have spent from a pot that had no limit."""
        note_spent(self.store, campaigns, self.partitions)
        self.campaigns, self.behind = campaigns, set(self.held)

    def take(self, partition: int) -> None:
        """Whoever asked for the partition's leases before is not heard any more; what it was granted is still there."""
        token, grants, line = uuid4().hex.encode(), dict[str, int](), self.store.lines[partition]
        for campaign in self.campaigns.by_id:
            key = self._key(campaign, f"lease:{partition}")
            found = _pairs(line.ask(pack(b"EVAL", TAKE, b"1", key, token))[0])
            grants |= {pot.decode(): int(granted) for pot, granted in found.items() if pot}
        used_s = dict.fromkeys(grants, self.clock())
        self.held[partition] = Held(token, grants, {}, used_s)
        self.behind.discard(partition)

    def ready(self, partition: int, now_ms: int) -> dict[str, int]:
        """What the partition may have spent at most, by pot; renewed now and then. Raises Moved."""
        if partition in self.behind:
            note_spent(self.store, self.campaigns, [partition])
            self.take(partition)
        held = self.held[partition]
        if self.clock() >= held.renew_s:
            held.renew_s = self.clock() + RENEW_S
            spent = self.store.spent[partition]
            needs = {pot: self._need(held, pot, now_ms) for pot in held.grants}
            empty = {pot for pot, need in needs.items() if need == RETURN and held.grants[pot] == spent.get(pot, 0)}
            self._settle(partition, {pot: need for pot, need in needs.items() if pot not in empty})
        return held.grants

    def _need(self, held: Held, pot: str, now_ms: int) -> int:
        idle = self.clock() >= held.used_s.get(pot, 0.0) + IDLE_S
        return RETURN if idle or self.campaigns.over(pot, now_ms) else held.wants.get(pot, 0)

    def more(self, partition: int, short: Mapping[str, int]) -> bool:
        """Whether there was more to be had of what a batch was short of. Raises Moved."""
        held = self.held[partition]
        spent = self.store.spent[partition]
        before = dict(held.grants)
        held.used_s |= dict.fromkeys(short, self.clock())
        needs = {pot: before.get(pot, 0) - spent.get(pot, 0) + missing for pot, missing in short.items()}
        self._settle(partition, needs)
        return any(held.grants.get(pot, 0) > before.get(pot, 0) for pot in short)

    def note(self, partition: int, spent: Mapping[str, int]) -> None:
        """What a batch has come to; when little is left for another like it, the next one renews first."""
        held = self.held[partition]
        for pot, total in spent.items():
            held.wants[pot] = total - self.store.spent[partition].get(pot, 0)
            held.used_s[pot] = self.clock()
            if pot in held.grants and held.grants[pot] - total < held.wants[pot]:
                held.renew_s = 0.0

    def give_back(self, partition: int) -> None:
        """All that is not spent. Raises Moved."""
        self._settle(partition, dict.fromkeys(self.held[partition].grants, RETURN))

    def _settle(self, partition: int, needs: Mapping[str, int]) -> None:
        """One request for each campaign; those whose file is gone are left alone."""
        asked, held = defaultdict[str, list[Request]](list), self.held[partition]
        for pot, need in needs.items():
            limit, spent = self.campaigns.limit(pot), self.store.spent[partition].get(pot, 0)
            if limit is not None:
                request = Request(pot, limit, spent, need, self.campaigns.unit(pot))
                asked[pot.partition("/")[0]].append(request)
        for campaign, requests in asked.items():
            granted = self._ask(partition, campaign, held.token, requests)
            held.grants |= zip([request.pot for request in requests], granted, strict=True)
        self._tell(partition)

    def _ask(self, partition: int, campaign: str, token: bytes, requests: list[Request]) -> list[int]:
        keys = (self._key(campaign, "reserved"), self._key(campaign, f"lease:{partition}"))
        words = chain.from_iterable(_words(request) for request in requests)
        [granted] = self.store.lines[partition].ask(
            pack(b"EVAL", SETTLE, b"2", *keys, token, b"%d" % self.shares, *words)
        )
        if granted is None:
            raise Moved(self.store.flow, partition)
        return granted  # type: ignore[no-any-return]

    def _key(self, campaign: str, name: str) -> bytes:
        return campaign_key(self.store.prefix, campaign, name).encode()

    def _tell(self, partition: int) -> None:
        """To Prometheus, of whole budgets and stocks; those by store, say, would be too many."""
        held, spent = self.held[partition], self.store.spent[partition]
        for campaign in self.campaigns.by_id.values():
            for name in (BUDGET, COUPONS):
                pot, limit, labels = f"{campaign.id}/{name}", campaign.limit(name), (campaign.id, name)
                if limit is not None:
                    LIMIT.labels(*labels).set(limit)
                    RESERVED.labels(*labels, str(partition)).set(held.grants.get(pot, 0))
                SPENT.labels(*labels, str(partition)).set(spent.get(pot, 0))


def _words(request: Request) -> Iterable[bytes]:
    numbers = (request.limit, request.spent, request.need, request.unit)
    return (request.pot.encode(), *(b"%d" % number for number in numbers))


def _pairs(answer: Any) -> dict[bytes, bytes]:
    """Of HGETALL, which is a map in RESP3 and flat in RESP2."""
    return answer if isinstance(answer, dict) else dict(zip(*[iter(answer)] * 2, strict=True))


def note_spent(store: PartitionStore, campaigns: Campaigns, partitions: Iterable[int]) -> None:
    """Has Redis count as reserved what was spent before a pot had a limit."""
    for partition in partitions:
        pots = defaultdict[str, dict[str, int]](dict)
        for pot, spent in store.stored_spent(partition).items():
            if campaigns.limit(pot) is not None:
                pots[pot.partition("/")[0]][pot] = spent
        for campaign, spent in pots.items():
            keys = [campaign_key(store.prefix, campaign, name) for name in ("reserved", f"lease:{partition}")]
            store.redis.eval(NOTE, 2, *keys, *chain.from_iterable(spent.items()))


def read_reserved(redis: Redis, prefix: str, campaign: str) -> dict[str, int]:
    """By pot, over all partitions."""
    found: Any = redis.hgetall(campaign_key(prefix, campaign, "reserved"))
    return {pot.decode(): int(reserved) for pot, reserved in found.items()}
