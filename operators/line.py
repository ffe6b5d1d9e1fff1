"""A connection to Redis that a partition keeps: commands go out together, and their answers are collected later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from msgspec import Struct
from redis import Redis
from redis.exceptions import ConnectionError

from features.kernel.arrays import Bytes, Ints
from features.kernel.shelves import words_of
from features.kernel.words import Packed

Spans = tuple[Bytes, Ints, Ints]  # a run of bytes, and where in it each value begins and ends
_NONE, _NO_PLACES = np.frombuffer(b"\0", dtype=np.uint8), np.zeros(0, dtype=np.int64)


def pack(*words: bytes) -> bytes:
    """A command as Redis reads it (RESP), for thousands of words without a look at the type of each."""
    sized = zip(map(_size, map(len, words)), words, strict=True)
    return b"".join([b"*%d" % len(words), *chain.from_iterable(sized), b"\r\n"])


def many(verb: bytes, key: bytes, names: Packed, spans: Spans | None = None) -> bytes:
    """A command over thousands of fields of a hash; with `spans`, each with its value behind it."""
    text, starts, ends = spans or (_NONE, _NO_PLACES, _NO_PLACES)
    count = 2 + (len(names[1]) - 1) * (2 if spans else 1)
    words = words_of(*names, text, starts, ends)
    head = pack(verb, key).partition(b"\r\n")[2]
    return b"".join((b"*%d\r\n" % count, head, words))


@cache
def _size(length: int) -> bytes:
    return b"\r\n$%d\r\n" % length


def scored(answer: list[Any]) -> list[tuple[bytes, int]]:
    """(member, score) of an answer WITHSCORES, which is nested in RESP3 and flat in RESP2."""
    pairs: Iterable[Any] = answer if answer and isinstance(answer[0], list) else zip(*[iter(answer)] * 2, strict=True)
    return [(member, int(float(score))) for member, score in pairs]


class Guard(Struct):
    """What a watch found: owner and fence, and the earliest of the timers. It holds until Redis says otherwise."""

    owner: bytes | None
    fence: bytes | None
    first_due_ms: float


class Line:
    """One connection. What is watched on it stays watched from one batch to the next, until an EXEC or its end."""

    def __init__(self, redis: Redis) -> None:
        self.pool = redis.connection_pool
        self.connection: Any = None
        self.awaited = 0  # answers that were not collected yet
        self.guard: Guard | None = None  # the watch that stands

    def send(self, *commands: bytes) -> None:
        """Hands commands to Redis without waiting for their answers."""
        if self.connection is None:
            self.connection = self.pool.get_connection()
        with self._ended_by_failure():
            if not self.connection.is_connected:  # else it would connect anew in silence, and nothing be watched
                raise ConnectionError("the connection was ended")
            self.connection.send_packed_command([b"".join(commands)], check_health=False)
        self.awaited += len(commands)

    def collect(self) -> list[Any]:
        """The answers to all that was sent, in order. Raises the first error among them."""
        with self._ended_by_failure():
            answers = [self.connection.read_response() for _ in range(self.awaited)]
        self.awaited = 0
        return answers

    def answered(self) -> bool:
        """Whether an answer that is awaited has begun to come, or never will."""
        if not self.awaited or not self.connection.is_connected:  # asked whether it can be read, it would connect anew
            return self.awaited > 0
        try:
            return bool(self.connection.can_read(0))
        except ConnectionError:
            return True

    def ask(self, *commands: bytes, meanwhile: Callable[[], object] | None = None) -> list[Any]:
        """The answers to these commands; `meanwhile` is done before they are waited for.

        Raises RuntimeError when those to earlier ones were not collected.
        """
        if self.awaited:
            raise RuntimeError(f"{self.awaited} answers were not collected")
        self.send(*commands)
        try:
            if meanwhile is not None:
                meanwhile()
        finally:
            answers = self.collect()
        return answers

    @contextmanager
    def _ended_by_failure(self) -> Iterator[None]:
        """After an error nobody knows which answers are still to come, nor what is watched."""
        try:
            yield
        except BaseException:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Ends connection and watch; what was still to be answered is never read. The next command opens another."""
        if self.connection is not None:
            self.connection.disconnect()
            self.pool.release(self.connection)
        self.connection, self.awaited, self.guard = None, 0, None
