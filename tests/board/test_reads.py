"""Reads of features on the board's event loop: together what one at a time reads, and over what Redis goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

import msgspec
import pytest
from redis import Redis
from redis.exceptions import RedisError

from board.reads import Reads
from brewline.reading import Features
from config import settings as conf
from features.partitions import partition_of
from features.record import forward
from features.times import HOUR_MS
from operators.customers import NoState
from operators.layout import RECORDS
from operators.redis_link import connect_redis
from operators.store import PartitionStore
from tests.brewline.town import NOON_MS, PARTITIONS, Town, order, tick

pytestmark = pytest.mark.servers
AT_MS = NOON_MS + 40 * HOUR_MS
MANY = [f"c{number}" for number in range(40)]
T = TypeVar("T")


@pytest.fixture
def town(board_settings: conf.Settings) -> Redis:
    """Forty who ordered up to three times, and one who was merged into another of them."""
    orders = [order(number, who, number % 30) for number, who in enumerate(MANY * 3) if number % 7]
    Town(board_settings).live(tick(-1), *orders)
    redis = connect_redis(board_settings.redis.url, 5.0)
    store = PartitionStore(redis, board_settings.redis.prefix, "customers")
    redis.hset(store.key(partition_of("merged", PARTITIONS), RECORDS), "merged", forward("c1"))
    return redis


def reading(settings: conf.Settings, ask: Callable[[Reads], Awaitable[T]]) -> T:
    async def asked() -> T:
        reads = Reads(settings)
        try:
            return await ask(reads)
        finally:
            await reads.close()

    return asyncio.run(asked())


def plain(rows: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(rows))


def rounds(redis: Redis) -> int:
    told: Any = redis.info("commandstats")
    return int(told.get("cmdstat_mget", {}).get("calls", 0))


def test_reads_that_wait_together_are_those_of_one_at_a_time_in_fewer_rounds(
    board_settings: conf.Settings, town: Redis
) -> None:
    rng, known = Random(5), Features(board_settings, town)
    asked = [(rng.sample([*MANY, "merged", "nobody"], 9), AT_MS + rng.randrange(90 * HOUR_MS)) for _ in range(30)]
    expected = [known.read_many(ids, at_ms) for ids, at_ms in asked]

    async def together(reads: Reads) -> list[Any]:
        await reads.read([], AT_MS, ())
        before = rounds(town)
        found = await asyncio.gather(*(reads.read(ids, at_ms, ()) for ids, at_ms in asked))
        assert rounds(town) - before <= 3 * PARTITIONS + 3  # 30 reads: the first alone, the others together
        return found

    assert plain(reading(board_settings, together)) == expected
    assert any("merged" in rows for rows in expected)


def test_a_read_that_nobody_waits_for_any_more_does_not_spoil_the_others(
    board_settings: conf.Settings, town: Redis
) -> None:
    async def impatient(reads: Reads) -> list[Any]:
        await reads.read(["c1"], AT_MS, ())
        given_up = [asyncio.create_task(reads.read([who], AT_MS, ())) for who in MANY[:9]]
        await asyncio.sleep(0)
        for one in given_up[::2]:
            one.cancel()
        return [await reads.read(["c2"], AT_MS, ()), *[await one for one in given_up[1::2]]]

    expected = [Features(board_settings, town).read_many([who], AT_MS) for who in ["c2", *MANY[1:9:2]]]
    assert plain(reading(board_settings, impatient)) == expected


def test_redis_that_hung_up_is_asked_again_and_one_that_is_away_is_told(
    board_settings: conf.Settings, town: Redis
) -> None:
    async def cut_off(reads: Reads) -> Any:
        first = await reads.read(["c1"], AT_MS, ())
        town.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.05)  # until the loop has heard of it
        assert plain(await reads.read(["c1"], AT_MS, ())) == plain(first)
        await reads.lookups.close()
        kept, reads.lookups.link.port = reads.lookups.link.port, 1
        for _ in range(2):
            with pytest.raises(RedisError):
                await reads.read(["c1"], AT_MS, ())
        reads.lookups.link.port = kept
        return plain(await reads.read(["c1"], AT_MS, ())) == plain(first)

    assert reading(board_settings, cut_off)


def test_before_a_flow_has_run_there_is_nothing_to_read_and_afterwards_there_is(board_settings: conf.Settings) -> None:
    async def early(reads: Reads) -> Any:
        with pytest.raises(NoState):
            await reads.read(["c1"], AT_MS, ())
        Town(board_settings).live(tick(-1), order(1, "c1"))
        return plain(await reads.read(["c1"], AT_MS, ("orders_7d",)))

    assert reading(board_settings, early) == {"c1": {"orders_7d": 1}}
