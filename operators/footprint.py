"""How much Redis holds, and of what: told by the server, and by a few keys picked at random."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from msgspec import Struct
from redis import Redis
from redis.exceptions import ResponseError

PICKED = 200
KINDS = {
    "r": "records", "k": "receipts", "m": "near misses", "s": "ids seen", "timers": "timers", "outbox": "outbox",
    "words": "words", "fence": "fences", "owner": "owners",
}  # fmt: skip


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


def measure(redis: Redis, prefix: str) -> Footprint:
    """Raises RedisError."""
    told: Any = redis.info()
    keys: Any = redis.dbsize()
    picked = _pick(redis)
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for key, size in picked:
        counts[kind_of(key, prefix)].append(size)
    each = keys / len(picked) if picked else 0.0
    shares = [
        Share(flow, kind, round(len(sizes) * each), round(sum(sizes) * each)) for (flow, kind), sizes in counts.items()
    ]
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


def _pick(redis: Redis) -> list[tuple[str, int]]:
    """Keys with what they take; none where that is forbidden."""
    try:
        with redis.pipeline(transaction=False) as pipe:
            for _ in range(PICKED):
                pipe.randomkey()
            keys = [key for key in pipe.execute() if key is not None]
            for key in keys:
                pipe.memory_usage(key)
            sizes = pipe.execute()
    except ResponseError:
        return []
    return [(key.decode("utf-8", "replace"), size) for key, size in zip(keys, sizes, strict=True) if size is not None]


def kind_of(key: str, prefix: str) -> tuple[str, str]:
    """Flow and kind of a key; what is not ours is "other"."""
    found = re.match(rf"{re.escape(prefix)}:\{{([\w-]+?)(?:\.\d+)?\}}:(\w+)", key)
    if not found:
        return ("", "others of ours" if key.startswith(f"{prefix}:") else "not ours")
    return found[1], KINDS.get(found[2], found[2])
