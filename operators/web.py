"""Requests over HTTP whose every end is an answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

from alerts.delivery.answer import Answer, read_retry_after
from operators.health import warn_seldom

MOST_BYTES = 65_536  # of an answer that are read, so that its connection can be used again
logging.getLogger("urllib3").setLevel(logging.ERROR)  # it names paths, which may hold a token


class Web:
    """Connections to one host. Redirects are not followed."""

    def __init__(self, timeout_s: float, connections: int) -> None:
        self.timeout_s = timeout_s
        self.pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(total=timeout_s),
        )

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Answer, bytes]:
        """One attempt: what was answered, and the start of its body."""
        started_s = time.monotonic()
        answer, said = self._ask(url, headers, body, started_s + self.timeout_s)
        answer.seconds = time.monotonic() - started_s
        return answer, said

    def _ask(self, url: str, headers: Mapping[str, str], body: bytes, until_s: float) -> tuple[Answer, bytes]:
        try:
            response = self.pool.request("POST", url, body=body, headers=headers, redirect=False, preload_content=False)
        except (HTTPError, OSError, ValueError) as error:
            return _failed(error), b""
        said = _finish(response, until_s)
        after_s = read_retry_after(response.headers.get("retry-after"), round(time.time() * 1000))
        return Answer(response.status, retry_after_s=after_s), said

    def close(self) -> None:
        self.pool.clear()


def _failed(error: Exception) -> Answer:
    """Its text may name the url, so only its name is logged."""
    warn_seldom("gateway does not answer", type(error).__name__, error=type(error).__name__)
    in_time = isinstance(error, NewConnectionError) or not isinstance(error, TimeoutError)
    return Answer(failure="connection" if in_time else "timeout")


def _finish(response: urllib3.BaseHTTPResponse, until_s: float) -> bytes:
    """Reads a short answer to its end, and hangs up on one that is long or slow: the status has been told."""
    left, said = MOST_BYTES, b""
    try:
        while left > 0 and time.monotonic() < until_s and (chunk := response.read1(MOST_BYTES)):
            left -= len(chunk)
            said += chunk
        if left <= 0 or time.monotonic() >= until_s:
            response.close()
    except (HTTPError, OSError):
        response.close()
    finally:
        response.release_conn()
    return said
