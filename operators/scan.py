"""Looks through everything that Redis holds, for bytes that should not be there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

from msgspec import Struct, field
from redis import Redis

T = TypeVar("T")
CHUNK = 2_000
NAMED = 20  # leftovers that are named


class Seen(Struct):
    """What was looked at: keys by type, bytes of keys and values; and the keys in which something was found."""

    keys: Counter[str] = field(default_factory=Counter)
    size: int = 0
    found: list[str] = []


def look_through(
    redis: Redis,
    needles: Collection[bytes],
    may_stay: Callable[[bytes, bytes], bool],
    step: Callable[[int], None] = lambda keys: None,
) -> Seen:
    """All keys of this Redis database, whoever's, with their values; `may_stay` excepts a part of a key's value."""
    seen = Seen()
    for keys in chunks(redis.scan_iter(count=CHUNK), CHUNK):
        pipe = redis.pipeline(transaction=False)
        for key in keys:
            pipe.type(key)
        by_type: defaultdict[str, list[bytes]] = defaultdict(list)
        for key, kind in zip(keys, pipe.execute(), strict=True):
            by_type[kind.decode()].append(key)
        for kind, names in by_type.items():
            seen.keys[kind] += len(names)
            for key, part in _values(redis, kind, names):
                seen.size += len(key) + len(part)
                hit = any(needle in key or needle in part for needle in needles)
                if hit and not may_stay(key, part) and _named(key) not in seen.found:
                    seen.found.append(_named(key))
        step(len(keys))
    return seen


def _named(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def under(redis: Redis, prefix: str) -> Iterator[list[bytes]]:
    """All keys under a prefix, some at a time."""
    literal = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in prefix)
    return chunks(redis.scan_iter(match=f"{literal}:*", count=CHUNK), CHUNK)


def chunks(keys: Iterable[T], size: int) -> Iterator[list[T]]:
    chunk: list[T] = []
    for key in keys:
        chunk.append(key)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _values(redis: Redis, kind: str, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(key, a part of its value): of a plain value the whole, of all else each member."""
    if kind == "string":
        values: Any = redis.mget(keys)
        yield from ((key, value or b"") for key, value in zip(keys, values, strict=True))
        return
    for key in keys:
        yield key, b""
        yield from ((key, part) for part in _parts(redis, kind, key))


def _parts(redis: Redis, kind: str, key: bytes) -> Iterator[bytes]:
    """Raises ValueError for a type that Brewline does not use: it cannot be said what is in it."""
    if kind == "hash":
        for field_, value in redis.hscan_iter(key, count=CHUNK):
            yield field_ + b" " + value
    elif kind == "set":
        yield from redis.sscan_iter(key, count=CHUNK)
    elif kind == "zset":
        yield from (member for member, _ in redis.zscan_iter(key, count=CHUNK))
    elif kind == "list":
        entries: Any = redis.lrange(key, 0, -1)
        yield from entries
    elif kind == "stream":
        stream: Any = redis.xrange(key)
        for _, fields in stream:
            yield from (name + b" " + value for name, value in fields.items())
    elif kind != "none":  # gone meanwhile
        raise ValueError(f"Redis key {_named(key)} is of type {kind}, which the scan cannot read")
