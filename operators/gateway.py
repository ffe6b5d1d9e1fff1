"""Asks a gateway over HTTP, in threads of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

from alerts.delivery.answer import Answer, read_retry_after
from alerts.delivery.parcel import Parcel
from alerts.delivery.signature import headers
from operators.health import warn_seldom

MOST_BYTES = 65_536  # of an answer that are read, so that its connection can be used again
logging.getLogger("urllib3").setLevel(logging.ERROR)  # it names paths, which may hold a token


class Gateway:
    """One url, its secrets, and the connections to it."""

    def __init__(self, url: str, secrets: Sequence[bytes], timeout_s: float, connections: int) -> None:
        self.url = url
        self.secrets = secrets
        self.timeout_s = timeout_s
        self.pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(total=timeout_s),
        )

    def post(self, id: str, body: bytes) -> Answer:
        """One attempt; whatever befalls it is an answer. Redirects are not followed."""
        started_s = time.monotonic()
        answer = self._ask(id, body, started_s + self.timeout_s)
        answer.seconds = time.monotonic() - started_s
        return answer

    def _ask(self, id: str, body: bytes, until_s: float) -> Answer:
        signed = headers(self.secrets, id, int(time.time()), body)
        try:
            response = self.pool.request(
                "POST", self.url, body=body, headers=signed, redirect=False, preload_content=False
            )
        except (HTTPError, OSError, ValueError) as error:
            return _failed(error)
        _finish(response, until_s)
        return Answer(response.status, retry_after_s=read_retry_after(response.headers.get("retry-after"), _now_ms()))

    def close(self) -> None:
        self.pool.clear()


def _failed(error: Exception) -> Answer:
    """Its text may name the url, so only its name is logged."""
    warn_seldom("gateway does not answer", type(error).__name__, error=type(error).__name__)
    in_time = isinstance(error, NewConnectionError) or not isinstance(error, TimeoutError)
    return Answer(failure="connection" if in_time else "timeout")


def _finish(response: urllib3.BaseHTTPResponse, until_s: float) -> None:
    """Reads a short answer to its end, and hangs up on one that is long or slow: the status has been told."""
    left = MOST_BYTES
    try:
        while left > 0 and time.monotonic() < until_s and (chunk := response.read1(MOST_BYTES)):
            left -= len(chunk)
        if left <= 0 or time.monotonic() >= until_s:
            response.close()
    except (HTTPError, OSError):
        response.close()
    finally:
        response.release_conn()


def _now_ms() -> int:
    return round(time.time() * 1000)


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
            self.done.put((parcel, attempt, self.post(parcel.id, parcel.body)))

    def close(self) -> None:
        for _ in range(self.threads):
            self.todo.put(None)
