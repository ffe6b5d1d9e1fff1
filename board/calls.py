"""A request to the API from its arrival to its answer: who asks, may they, what do they ask, what is answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import cache, partial
from hashlib import sha256
from typing import Any

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from board.access.gate import Gate
from board.body import read_body
from board.endpoint import Endpoint
from board.problems import answer, problem_of
from board.sources import Sources
from operators.health import CALL, CALLS

MOST_BYTES = 1_000_000  # of a body
Call = Callable[[Request], Awaitable[Response]]


def call_of(endpoint: Endpoint, sources: Sources, gate: Gate) -> Call:
    took = cache(partial(CALL.labels, endpoint.name))  # of those that are called: each is ten lines of /metrics
    counts = cache(partial(CALLS.labels, endpoint.name))

    async def call(request: Request) -> Response:
        began_s = time.perf_counter()
        response = await tried(request)
        took().observe(time.perf_counter() - began_s)
        counts(str(response.status_code)).inc()
        return response

    async def tried(request: Request) -> Response:
        try:
            if endpoint.often:
                return await answered_here(request)
            body = await read_body(request, MOST_BYTES) if endpoint.said else b""
            return await to_thread.run_sync(answered, request, body)
        except Exception as error:
            if (problem := problem_of(error)) is None:
                raise
            return answer(problem)

    def answered(request: Request, body: bytes) -> Response:
        """In a thread of the request's own: Redis is waited for there."""
        person = gate.admit_to(endpoint, request, gate.find(request))
        words = [asked(request)]
        if endpoint.said:
            words.append(msgspec.json.decode(body, type=endpoint.said))
        return _told(request, endpoint.handle(sources, person, *words))

    async def answered_here(request: Request) -> Response:
        """On the event loop's own thread: nothing is waited for there."""
        session = gate.find_lately(request) or await to_thread.run_sync(gate.remember, request)
        person = gate.admit_to(endpoint, request, session)
        return _told(request, await endpoint.handle(sources, person, asked(request)))

    def asked(request: Request) -> Any:
        return msgspec.convert({**request.query_params, **request.path_params}, endpoint.asked, strict=False)

    return call


def _told(request: Request, told: Any) -> Response:
    """Not sent again to who has it already."""
    body = msgspec.json.encode(told)
    tag = f'"{sha256(body).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if request.method == "GET" and tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")
