"""The Redis client, and what it says when Redis does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import hiredis
from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from operators.kafka import Unreachable

Found = TypeVar("Found")
MANY = 100
# Redis cannot serve now, but may soon (it starts, is full, read-only or without its replicas): waited out, never fatal.
AWAY = (ConnectionError, TimeoutError, ResponseError)
REFUSED = (AuthenticationError, NoPermissionError)  # it answers, and knows who asks
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


def reason(error: Exception) -> str:
    """What a server said, without the command that Redis quotes: there is customers' data in it."""
    return f"{type(error).__name__}: {str(error).rpartition(' caused error: ')[2]}"


class Packer(HiredisRespSerializer):  # type: ignore[misc]
    """Packs a command of thousands of texts and bytes without a look at each."""

    def pack(self, *args: Any) -> list[bytes]:
        return [hiredis.pack_command(args)] if len(args) > MANY else super().pack(*args)  # type: ignore[no-any-return]


def connect_redis(url: str, timeout_s: float) -> Redis:
    """A client that fails fast: the partition step does the waiting. Raises Unreachable."""
    redis = Redis.from_url(
        url, socket_timeout=10, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0), command_packer=Packer()
    )
    answered(url, timeout_s, redis.ping)
    return redis


def answered(url: str, timeout_s: float, ask: Callable[[], Found]) -> Found:
    """What Redis answers, asked again until it does. Raises Unreachable."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except RedisError as error:
            if time.monotonic() > until or isinstance(error, REFUSED) or UNTRUSTED in str(error):
                raise unreachable(url, error) from error
            time.sleep(0.2)


def unreachable(url: str, error: Exception) -> Unreachable:
    where = f"Redis at {url.rpartition('@')[2].partition('?')[0]}"
    if isinstance(error, REFUSED):
        return Unreachable(f"{where} refuses us ({error}): see [redis] user, password_file and its ACL")
    if UNTRUSTED in str(error):
        return Unreachable(f"{where} is not trusted ({error}): see [redis] ca_file, and the host in its url")
    return Unreachable(
        f"{where} does not answer ({error}): start it, or name another with [redis] url or BREWLINE_REDIS__URL;"
        " where it asks for TLS, see [redis] url (rediss://); `brewline demo` needs no Redis"
    )
