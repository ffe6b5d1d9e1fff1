"""What happens, told at once to all who watch (server-sent events): one reader of a feed, however many watch it, and
none while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Set
from threading import Event, Thread
from typing import Any

import msgspec
from anyio import move_on_after, to_thread
from msgspec import Struct
from redis.exceptions import RedisError

from board.access.person import Person, Role
from board.sources import Sources
from operators.customers import NoState
from operators.health import MISSED, VIEWERS, warn_seldom

WAITING = 64  # messages of a viewer who does not keep up; older ones are let go, and counted
PULSE_S = 5.0  # a sign of life where nothing happens
AGAIN_S = 1.0
LOST_S = 20.0  # a feed that has not been able to look for so long is told to be stale
REST_S = 10.0  # a feed is read on for so long after the last viewer has left


class Feed(Struct, frozen=True):
    """`told` yields what is new, as often as a person can look at it, and None where it has looked and nothing is,
    until `stop`; it is begun again if it breaks.

    `shown`: what of it the head office is told; `cut`: what a store manager may see, or None for nothing.
    `always`: it counts, and must miss nothing.
    """

    name: str
    roles: frozenset[Role]
    told: Callable[[Sources, Event], Iterator[Any]]
    cut: Callable[[Any, Person], Any] | None = None
    shown: Callable[[Any], Any] = lambda told: told
    always: bool = False


class Viewer:
    """Messages on their way to one who watches."""

    def __init__(self, person: Person, feeds: Set[str]) -> None:
        self.person, self.feeds = person, feeds
        self.waiting: deque[bytes] = deque(maxlen=WAITING)
        self.news = asyncio.Event()

    def take(self, message: bytes) -> None:
        if len(self.waiting) == WAITING:
            MISSED.inc()
        self.waiting.append(message)
        self.news.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """Those that wait, as they come; an empty one where for PULSE_S none does."""
        while True:
            with move_on_after(PULSE_S) as waited:
                await self.news.wait()
            if waited.cancelled_caught:
                yield b""
                continue
            self.news.clear()
            while self.waiting:
                yield self.waiting.popleft()


class Reading:
    """Whether a feed is read now, and when it last could look."""

    def __init__(self) -> None:
        self.wanted, self.over = Event(), Event()
        self.over.set()
        self.looked_s = 0.0

    def begin(self) -> None:
        if not self.wanted.is_set():
            self.looked_s = time.monotonic()
        self.over.clear()
        self.wanted.set()

    @property
    def is_lost(self) -> bool:
        return time.monotonic() > self.looked_s + LOST_S

    def end(self) -> None:
        self.wanted.clear()
        self.over.set()


class Live:
    """The feeds' threads, and who watches. `last`: what a newcomer is told at once."""

    def __init__(self, feeds: tuple[Feed, ...], sources: Sources) -> None:
        self.feeds = {feed.name: feed for feed in feeds}
        self.readings = {feed.name: Reading() for feed in feeds}
        self.sources = sources
        self.viewers: set[Viewer] = set()
        self.last: dict[str, Any] = {}
        self.stop = Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        for feed in self.feeds.values():
            if feed.always:
                self.readings[feed.name].begin()
            Thread(target=self._read, args=(feed,), name=f"feed {feed.name}", daemon=True).start()

    def close(self) -> None:
        self.stop.set()
        for reading in self.readings.values():
            reading.over.set()
            reading.wanted.set()

    async def watch(self, person: Person, names: Set[str], still: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Raises nothing for a feed that is not theirs: it stays silent. Ends when `still` says no."""
        theirs = {name for name in names if name in self.feeds and person.roles & self.feeds[name].roles}
        viewer = Viewer(person, theirs)
        self.viewers.add(viewer)
        VIEWERS.set(len(self.viewers))
        for name in theirs:
            self.readings[name].begin()
        try:
            for name in sorted(theirs & self.last.keys()):
                if message := self._message(self.feeds[name], self.last[name], person):
                    viewer.take(message)
            yield b"retry: 2000\n\n"
            asked_s = time.monotonic()
            async for message in viewer.messages():
                if time.monotonic() > asked_s + PULSE_S:
                    asked_s = time.monotonic()
                    if not await to_thread.run_sync(_known, still):
                        return
                    yield _event("pulse", {"lost": sorted(name for name in theirs if self.readings[name].is_lost)})
                if message:
                    yield message
        finally:
            self.viewers.discard(viewer)
            VIEWERS.set(len(self.viewers))
            asyncio.get_running_loop().call_later(REST_S, self._rest)

    def _rest(self) -> None:
        """Nobody needs what a feed tells that nobody watches: nor will it be news to who comes later."""
        watched = {name for viewer in self.viewers for name in viewer.feeds}
        for name, feed in self.feeds.items():
            if name not in watched and not feed.always:
                self.readings[name].end()
                self.last.pop(name, None)

    def _read(self, feed: Feed) -> None:
        reading = self.readings[feed.name]
        while reading.wanted.wait() and not self.stop.is_set():
            try:
                for told in feed.told(self.sources, reading.over):
                    reading.looked_s = time.monotonic()
                    if told is not None and self.loop is not None and not reading.over.is_set():
                        self.loop.call_soon_threadsafe(self._tell, feed, told)
            except NoState:
                reading.looked_s = time.monotonic()  # the flows have not run yet
            except Exception as error:  # after LOST_S, a viewer sees that it is stale
                told = f"{type(error).__name__}: {error}"
                warn_seldom("a feed of the board broke off", feed.name, feed=feed.name, error=told)
            reading.over.wait(AGAIN_S)

    def _tell(self, feed: Feed, told: Any) -> None:
        self.last[feed.name] = told
        everything = _event(feed.name, feed.shown(told))
        for viewer in self.viewers:
            if feed.name in viewer.feeds:
                message = self._message(feed, told, viewer.person) if viewer.person.is_limited else everything
                if message:
                    viewer.take(message)

    def _message(self, feed: Feed, told: Any, person: Person) -> bytes | None:
        if not person.is_limited:
            return _event(feed.name, feed.shown(told))
        shown = feed.cut(told, person) if feed.cut else None
        return None if shown is None else _event(feed.name, shown)


def _known(still: Callable[[], bool]) -> bool:
    """While Redis is away, nobody is shut out."""
    try:
        return still()
    except RedisError:
        return True


def _event(name: str, told: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(told))


def every(seconds: float, read: Callable[[], Any], stop: Event) -> Iterator[Any]:
    """What `read` returns, each time it is another, else None."""
    before: Any = None
    while not stop.is_set():
        began_s = time.monotonic()
        now = read()
        yield now if now != before else None
        before = now
        stop.wait(max(0.0, began_s + seconds - time.monotonic()))
