"""What the state in Redis is laid out for: partitions by topic, the measures in records."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import structlog
from redis import Redis

from features.kernel.arrays import VERSION
from features.layout import Layout, decode_layout, encode_layout
from operators.scan import under

log = structlog.get_logger()
RECORDS = "records"  # the key of a partition under which they are, by name
WRITTEN_BY = "version of records"
RESTORING = "restore"  # the key, behind the prefix, that keeps flows from working on half a state
WHERE, HERE = "records are in", "hashes"  # a field of the layout, and what it says
FORMER = "restoring"  # the key that keeps flows of earlier versions from starting
ONE = re.compile(rb"(.+?:\{[^}]+\}):r:(.*)", re.DOTALL)  # start, name
MOVE = """
local moved = 0
for i, name in ipairs(ARGV) do
  local record = redis.call('GET', KEYS[i + 1])
  if record then
    redis.call('HSET', KEYS[1], name, record)
    redis.call('UNLINK', KEYS[i + 1])
    moved = moved + 1
  end
end
return moved
"""  # a key that another process has just moved is passed over


class WrongLayout(ValueError):
    """The stored state was laid out in another way than the one asked for now."""


def is_restored(redis: Redis, prefix: str) -> bool:
    """Just now, or a restore broke off."""
    return bool(redis.exists(f"{prefix}:{RESTORING}"))


def check_layout(redis: Redis, prefix: str, layout: Mapping[str, str | int]) -> None:
    """Remembers, once, what the state is laid out for: partitions by topic, measures. Raises WrongLayout."""
    if is_restored(redis, prefix):
        raise WrongLayout(
            f"the state under redis.prefix {prefix!r} is being restored: wait for `brewline restore`, or run it again"
        )
    gather_records(redis, prefix)
    for name, value in layout.items():
        redis.hsetnx(f"{prefix}:layout", name, str(value))
    stored: Any = redis.hgetall(f"{prefix}:layout")
    for name, value in layout.items():
        found = stored[name.encode()].decode()
        if found != str(value):
            raise WrongLayout(
                f"the state under redis.prefix {prefix!r} is laid out for {name} = {found}, and now it is {value}:"
                f" go back to {found}, or choose a new redis.prefix and let Kafka replay"
            )


def follow_layout(redis: Redis, prefix: str, layout: Layout, now_ms: int) -> list[Layout]:
    """Notes that records are written in this layout from now on; all layouts that they may be written in.

    Raises WrongLayout.
    """
    known = {f"{layout.id:08x}": layout for layout in known_layouts(redis, prefix)}
    current: Any = redis.hget(f"{prefix}:layout", "records")
    before = known[current.decode()] if current else None
    if before is None or (before.id, before.days) != (layout.id, layout.days):
        follower = layout.after(before, now_ms) if before else layout
        redis.hset(f"{prefix}:layouts", f"{layout.id:08x}", encode_layout(follower))
        redis.hset(f"{prefix}:layout", "records", f"{layout.id:08x}")
    redis.hset(f"{prefix}:layout", WRITTEN_BY, VERSION)
    return list(known.values())


def known_layouts(redis: Redis, prefix: str) -> list[Layout]:
    """All that records may be written in. Raises WrongLayout where a later version than this one writes them."""
    written: Any = redis.hget(f"{prefix}:layout", WRITTEN_BY)
    if int(written or 0) > VERSION:
        raise WrongLayout(
            f"records under redis.prefix {prefix!r} are written in version {written.decode()}, and this Brewline reads"
            f" up to version {VERSION}: start this process in the later version, which goes on from here"
        )
    return list(stored_layouts(redis, prefix).values())


def stored_layouts(redis: Redis, prefix: str) -> dict[str, Layout]:
    """By id in hexadecimal: what records may keep."""
    found: Any = redis.hgetall(f"{prefix}:layouts")
    return {id.decode(): decode_layout(raw) for id, raw in found.items()}


def renew_layout(redis: Redis, prefix: str, name: str, value: str, former: Collection[str]) -> None:
    """Lets what the state was laid out for before become `value`, if it is one of `former`."""
    stored: Any = redis.hget(f"{prefix}:layout", name)
    if stored is not None and stored.decode() in former:
        redis.hset(f"{prefix}:layout", name, value)


def stored_partitions(redis: Redis, prefix: str, topic: str = "events") -> int:
    """Partitions that customers, or what else a topic is keyed by, are spread over; 0 when no flow has run yet."""
    raw: Any = redis.hget(f"{prefix}:layout", f"partitions of {topic}")
    return int(raw or 0)


def gather_records(redis: Redis, prefix: str) -> int:
    """Moves records that earlier versions kept, each under a key of its own, into the hash of their partition.

    How many. Flows of such a version that still run find another owner and end, and do not start again. It may break
    off at any time: what is left is moved next time, and nobody writes before that.
    """
    layout, moved = f"{prefix}:layout", 0
    if redis.exists(layout) and not redis.hexists(layout, WHERE):
        redis.set(f"{prefix}:{FORMER}", "records are in hashes")
        for keys in under(redis, prefix):
            for owner in (key for key in keys if key.endswith(b":owner")):
                redis.set(owner, "a later version")
        for keys in under(redis, prefix):
            moved += _move(redis, keys)
        if moved:
            log.info("records moved into hashes", prefix=prefix, records=moved)
    redis.hset(layout, WHERE, HERE)
    return moved


def _move(redis: Redis, keys: list[bytes]) -> int:
    of = defaultdict[bytes, list[tuple[bytes, bytes]]](list)
    for key in keys:
        if found := ONE.fullmatch(key):
            of[found[1]].append((key, found[2]))
    moved = 0
    for start, some in of.items():
        old, names = zip(*some, strict=True)
        moved += redis.eval(MOVE, 1 + len(old), start + f":{RECORDS}".encode(), *old, *names)  # type: ignore[operator]
    return moved
