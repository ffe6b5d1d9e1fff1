"""Reads from Redis on an event loop's own thread, over one connection."""

from __future__ import annotations

from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

from operators.customers import Reading


class Lookups:
    """One reading at a time."""

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(
            url, socket_timeout=10, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0), protocol=2
        )
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

    async def _found(self, asked: list[list[str]]) -> list[list[bytes | None]]:
        """Once more if the connection was closed since it was last used: Redis may have been started anew."""
        was_open = self.link.is_connected
        try:
            return await self._sent(asked)
        except ConnectionError:
            if not was_open:
                raise
            return await self._sent(asked)

    async def _sent(self, asked: list[list[str]]) -> list[list[bytes | None]]:
        commands = [hiredis.pack_command(("MGET", *keys)) for keys in asked]  # type: ignore[arg-type]
        try:
            await self.link.send_packed_command([b"".join(commands)], check_health=False)
            return [await self.link.read_response() for _ in commands]
        except BaseException:  # answers that nobody awaits any more must not be taken for others
            await self.close()
            raise

    async def close(self) -> None:
        await self.link.disconnect(nowait=True)
