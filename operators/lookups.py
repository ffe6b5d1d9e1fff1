"""Reads from Redis on an event loop's own thread, over one connection."""

from __future__ import annotations

import builtins
from typing import Any

import hiredis
from anyio import fail_after
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, TimeoutError

from operators.customers import Reading

ANSWER_S = 10


class Lookups:
    """One reading at a time."""

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(url, socket_timeout=None, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))
        self.link: Any = pool.make_connection()  # type: ignore[no-untyped-call]

    async def answered(self, reading: Reading) -> dict[str, bytes]:
        """What a reading comes to. Raises RedisError."""
        asked = next(reading)
        while True:
            try:
                asked = reading.send(await self._found(asked))
            except StopIteration as read:
                found: dict[str, bytes] = read.value
                return found

    async def _found(self, asked: list[tuple[str, list[str]]]) -> list[list[bytes | None]]:
        """Once more if the connection was closed since it was last used: Redis may have been started anew."""
        was_open = self.link.is_connected
        try:
            return await self._sent(asked)
        except ConnectionError:
            if not was_open:
                raise
            return await self._sent(asked)

    async def _sent(self, asked: list[tuple[str, list[str]]]) -> list[list[bytes | None]]:
        commands = [hiredis.pack_command(("HMGET", key, *names)) for key, names in asked]  # type: ignore[arg-type]
        try:
            with fail_after(ANSWER_S):
                await self.link.send_packed_command([b"".join(commands)], check_health=False)
                return [await self.link.read_response() for _ in commands]
        except builtins.TimeoutError:
            await self.close()
            raise TimeoutError(f"no answer within {ANSWER_S} s") from None
        except BaseException:  # answers that nobody awaits any more must not be taken for others
            await self.close()
            raise

    async def close(self) -> None:
        await self.link.disconnect(nowait=True)
