"""Asks a gateway over HTTP, in threads of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread

import structlog

from alerts.delivery.answer import Answer
from alerts.delivery.parcel import Parcel
from alerts.delivery.signature import headers
from operators.web import Web

log = structlog.get_logger()


class Gateway:
    """One url and its secrets."""

    def __init__(self, url: str, secrets: Sequence[bytes], timeout_s: float, connections: int) -> None:
        self.url = url
        self.secrets = secrets
        self.web = Web(timeout_s, connections)

    def post(self, id: str, body: bytes) -> Answer:
        """One attempt; whatever befalls it is an answer."""
        answer, _ = self.web.post(self.url, headers(self.secrets, id, int(time.time()), body), body)
        return answer

    def close(self) -> None:
        self.web.close()


class Attempts:
    """Runs attempts in a fixed number of threads; an attempt that is never answered keeps its thread."""

    def __init__(self, post: Callable[[str, bytes], Answer], threads: int) -> None:
        self.post = post
        self.threads = threads
        self.busy = 0
        self.todo: SimpleQueue[Parcel | None] = SimpleQueue()
        self.done: SimpleQueue[tuple[Parcel, int, Answer]] = SimpleQueue()
        for _ in range(threads):
            Thread(target=self._work, name="attempt", daemon=True).start()

    def start(self, parcel: Parcel) -> None:
        self.busy += 1
        self.todo.put(parcel)

    @property
    def free(self) -> bool:
        return self.busy < self.threads

    def ended(self, wait_s: float) -> Iterator[tuple[Parcel, int, Answer]]:
        """(coupon, which attempt, answer) of those that have ended; waits for a first one."""
        try:
            yield self._take(wait_s)
            while True:
                yield self._take(0)
        except Empty:
            return

    def _take(self, wait_s: float) -> tuple[Parcel, int, Answer]:
        found = self.done.get(timeout=wait_s) if wait_s else self.done.get_nowait()
        self.busy -= 1
        return found

    def _work(self) -> None:
        while (parcel := self.todo.get()) is not None:
            attempt = parcel.attempts
            self.done.put((parcel, attempt, self._try(parcel)))

    def _try(self, parcel: Parcel) -> Answer:
        """What raises is refused for good, as a dead letter: the thread must live on."""
        try:
            return self.post(parcel.id, parcel.body)
        except Exception:
            log.exception("an attempt raised", id=parcel.id)
            return Answer()

    def close(self) -> None:
        for _ in range(self.threads):
            self.todo.put(None)
