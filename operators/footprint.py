"""How much Redis holds, and of what: told by the server, by what partitions have once, and by keys picked at random."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from redis import Redis
from redis.exceptions import ResponseError

from operators.layout import RECORDS
from operators.store import partition_key

PICKED = 200
KINDS = {
    "records": "records", "k": "receipts", "m": "near misses", "s": "ids seen", "timers": "timers", "outbox": "outbox",
    "words": "words", "fence": "fences", "owner": "owners",
}  # fmt: skip
WHOLE = (RECORDS, "timers", "words", "outbox", "fence", "owner")  # keys that each partition has once


class Share(Struct):
    """Estimated."""

    flow: str
    kind: str
    keys: int
    bytes: int


class Footprint(Struct):
    """`limit_bytes` 0: none is set. `shares`: empty where the server forbids to look."""

    version: str
    used_bytes: int
    peak_bytes: int
    limit_bytes: int
    keys: int
    persistence: str
    picked: int
    shares: list[Share]


def measure(redis: Redis, prefix: str, partitions: Mapping[str, int]) -> Footprint:
    """`partitions`: by flow, how many it has. Raises RedisError."""
    told: Any = redis.info()
    keys: Any = redis.dbsize()
    flows = [(flow, part, name) for flow, count in partitions.items() for part in range(count) for name in WHOLE]
    known = _sizes(redis, [partition_key(prefix, *of) for of in flows])
    picked = [(key, size) for key, size in _picked(redis) if key not in known]
    each = max(0, keys - len(known)) / len(picked) if picked else 0.0
    counts: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for found, times in ((known.items(), 1.0), (picked, each)):
        for key, size in found:
            counts[kind_of(key, prefix)][0] += times
            counts[kind_of(key, prefix)][1] += times * size
    shares = [Share(flow, kind, round(count), round(size)) for (flow, kind), (count, size) in counts.items()]
    return Footprint(
        version=told.get("redis_version", ""),
        used_bytes=told.get("used_memory", 0),
        peak_bytes=told.get("used_memory_peak", 0),
        limit_bytes=told.get("maxmemory", 0),
        keys=keys,
        persistence="aof" if told.get("aof_enabled") else "rdb",
        picked=len(picked),
        shares=sorted(shares, key=lambda share: -share.bytes),
    )


def _picked(redis: Redis) -> list[tuple[str, int]]:
    """Keys with what they take, one as often as it was picked; none where that is forbidden."""
    try:
        with redis.pipeline(transaction=False) as pipe:
            for _ in range(PICKED):
                pipe.randomkey()
            keys = [key.decode("utf-8", "replace") for key in pipe.execute() if key is not None]
    except ResponseError:
        return []
    sizes = _sizes(redis, [*dict.fromkeys(keys)])
    return [(key, sizes[key]) for key in keys if key in sizes]


def _sizes(redis: Redis, keys: list[str]) -> dict[str, int]:
    """What they take, of those that are there; of none where that is forbidden."""
    try:
        with redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.memory_usage(key)
            sizes = pipe.execute()
    except ResponseError:
        return {}
    return {key: size for key, size in zip(keys, sizes, strict=True) if size is not None}


def kind_of(key: str, prefix: str) -> tuple[str, str]:
    """Flow and kind of a key; what is not ours is "other"."""
    found = re.match(rf"{re.escape(prefix)}:\{{([\w-]+?)(?:\.\d+)?\}}:(\w+)", key)
    if not found:
        return ("", "others of ours" if key.startswith(f"{prefix}:") else "not ours")
    return found[1], KINDS.get(found[2], found[2])
