"""What happens reaches all who may see it, and nobody else; who does not keep up holds up nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from threading import Event
from typing import Any

import pytest

from board import live
from board.access.person import EVERYONE, Person
from board.live import Feed, Live

MARKETER = Person("mei", frozenset({"marketing"}))
MANAGER = Person("li", frozenset({"store"}), frozenset({"S1"}))


def own_stores(told: Any, person: Person) -> Any:
    return {store: n for store, n in told.items() if person.may_see(store)} or None


def nothing(sources: Any, stop: Event) -> Iterator[Any]:
    stop.wait()
    yield from ()


SALES = Feed("sales", EVERYONE, nothing, own_stores)
SECRET = Feed("secret", frozenset({"security"}), nothing)


async def heard(stream: AsyncIterator[bytes], count: int) -> list[tuple[str, Any]]:
    """The next (event, data), the line that tells how soon to come again left out."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        message = (await asyncio.wait_for(anext(stream), 20)).decode()
        if message.startswith("event: "):
            name, data = message.strip().split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_everyone_hears_what_is_theirs_a_newcomer_what_was_last() -> None:
    async def scene() -> None:
        told = Live((SALES, SECRET), None)  # type: ignore[arg-type]
        told._tell(SALES, {"S1": 1, "S2": 2})
        streams = [told.watch(who, {"sales", "secret"}, lambda: True) for who in (MARKETER, MANAGER)]
        assert [await heard(s, 1) for s in streams] == [[("sales", {"S1": 1, "S2": 2})], [("sales", {"S1": 1})]]
        for news in ({"S2": 3}, {"S1": 4}):
            told._tell(SALES, news)
        told._tell(SECRET, {"S1": 5})
        assert await heard(streams[0], 2) == [("sales", {"S2": 3}), ("sales", {"S1": 4})]
        assert await heard(streams[1], 1) == [("sales", {"S1": 4})], "nothing of other stores, nothing of other roles"

    asyncio.run(scene())


def test_who_does_not_keep_up_loses_the_oldest_and_nobody_waits() -> None:
    async def scene() -> None:
        told = Live((SALES,), None)  # type: ignore[arg-type]
        stream = told.watch(MARKETER, {"sales"}, lambda: True)
        await anext(stream)  # it watches now
        for n in range(live.WAITING + 10):
            told._tell(SALES, {"S1": n})
        assert (await heard(stream, 1))[0] == ("sales", {"S1": 10})
        await stream.aclose()  # type: ignore[attr-defined]
        assert not told.viewers

    asyncio.run(scene())


def test_who_has_been_shut_out_hears_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.05)

    async def scene() -> None:
        told, still = Live((SALES,), None), [True]  # type: ignore[arg-type]
        stream = told.watch(MARKETER, {"sales"}, lambda: still[0])
        assert (await heard(stream, 1))[0][0] == "pulse"
        still[0] = False
        with pytest.raises(StopAsyncIteration):
            await heard(stream, 50)

    asyncio.run(scene())


def test_a_viewer_is_told_which_feeds_cannot_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.05)
    monkeypatch.setattr(live, "LOST_S", 0.2)
    monkeypatch.setattr(live, "AGAIN_S", 0.01)
    away = Event()

    def told(sources: Any, stop: Event) -> Iterator[Any]:
        while not stop.is_set():
            if away.is_set():
                raise ConnectionError("Redis is away")
            yield None  # it has looked: nothing is new
            stop.wait(0.02)

    async def pulses(stream: AsyncIterator[bytes], lost: list[str]) -> None:
        while (await heard(stream, 1))[0] != ("pulse", {"lost": lost}):
            pass

    async def scene() -> None:
        feeds = Live((Feed("sales", EVERYONE, told), SECRET), None)  # type: ignore[arg-type]
        feeds.start()
        stream = feeds.watch(MARKETER, {"sales"}, lambda: True)
        assert (await heard(stream, 1))[0] == ("pulse", {"lost": []})
        for lost in (["sales"], []):
            (away.set if lost else away.clear)()
            await asyncio.wait_for(pulses(stream, lost), 20)
        feeds.close()

    asyncio.run(scene())


def test_a_feed_is_read_only_while_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "REST_S", 0.01)
    begun, ended = list[str](), list[str]()

    def told(name: str) -> Any:
        def read(sources: Any, stop: Event) -> Iterator[Any]:
            begun.append(name)
            yield {"time": len(begun)}
            stop.wait()
            ended.append(name)

        return read

    async def until(true: Any) -> None:
        async def come() -> None:
            while not true():
                await asyncio.sleep(0.01)

        await asyncio.wait_for(come(), 20)

    async def scene() -> None:
        counts = Feed("counts", EVERYONE, told("counts"), always=True)
        feeds = Live((Feed("shown", EVERYONE, told("shown")), counts), None)  # type: ignore[arg-type]
        feeds.start()
        await until(lambda: begun == ["counts"])
        for times in (1, 2):
            streams = [feeds.watch(MARKETER, {"shown"}, lambda: True) for _ in range(3)]
            assert [await heard(stream, 1) for stream in streams] == [[("shown", {"time": times + 1})]] * 3
            assert begun[1:] == ["shown"] * times, "one reader, however many watch"
            for stream in streams:
                assert len(ended) == times - 1
                await stream.aclose()  # type: ignore[attr-defined]
            await until(lambda: ended == ["shown"] * times)  # noqa: B023
        feeds.close()
        await until(lambda: ended[-1] == "counts")

    asyncio.run(scene())
