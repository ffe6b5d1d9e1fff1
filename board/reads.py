"""Customers' features for programs that ask hundreds of times a second.

All of it is done on the event loop's own thread: threads would wait longer for each other's interpreter than a read
takes. What is asked while Redis is waited for goes to it together, next.
"""

from __future__ import annotations

import asyncio
from collections import deque

from anyio import to_thread
from msgspec import Struct

from brewline.reading import Features
from config.settings import Settings
from operators.customers import reading_records
from operators.lookups import Lookups
from operators.redis_link import connect_redis

MOST = 400  # customers that are looked up together: their answers must not hold up what else the loop does


class Waiting(Struct):
    ids: list[str]
    found: asyncio.Future[dict[str, bytes]]


class Reads:
    def __init__(self, settings: Settings) -> None:
        self.settings, self.prefix = settings, settings.redis.prefix
        self.lookups = Lookups(settings.redis.url)
        self.waiting: deque[Waiting] = deque()
        self.work: asyncio.Task[None] | None = None
        self.known: Features | None = None

    async def read(self, ids: list[str], at_ms: int, names: tuple[str, ...]) -> dict[str, Struct]:
        """The rows of those who are known. Raises NoState, RedisError, ValueError for a name that is no feature's."""
        if (known := self.known) is None:
            known = await to_thread.run_sync(self.begin)
        shape = known.shape(names)
        records = await self._records(known, ids)
        matrix = known.core.rows(records, at_ms)
        if strange := known.strange(matrix, shape):
            await to_thread.run_sync(known.learn, strange)
        return known.structs(list(records), matrix, shape)

    def begin(self) -> Features:
        """Loads what a read needs. Raises NoState, Unreachable."""
        self.known = Features(self.settings, connect_redis(self.settings.redis.url, 0.0))
        return self.known

    async def _records(self, known: Features, ids: list[str]) -> dict[str, bytes]:
        found: asyncio.Future[dict[str, bytes]] = asyncio.get_running_loop().create_future()
        self.waiting.append(Waiting(ids, found))
        if self.work is None:
            self.work = asyncio.create_task(self._look_up(known))
        records = await found
        return {id: records[id] for id in ids if id in records}

    async def _look_up(self, known: Features) -> None:
        while self.waiting:
            together = self._taken()
            ids = [id for one in together for id in one.ids]
            try:
                records = await self.lookups.answered(reading_records(self.prefix, known.partitions, ids))
            except Exception as error:
                _tell(together, error)
            else:
                _tell(together, records)
        self.work = None

    def _taken(self) -> list[Waiting]:
        taken = [self.waiting.popleft()]
        many = len(taken[0].ids)
        while self.waiting and (many := many + len(self.waiting[0].ids)) <= MOST:
            taken.append(self.waiting.popleft())
        return taken

    async def close(self) -> None:
        await self.lookups.close()


def _tell(waiting: list[Waiting], what: dict[str, bytes] | Exception) -> None:
    for one in waiting:
        if not one.found.done():
            one.found.set_exception(what) if isinstance(what, Exception) else one.found.set_result(what)
