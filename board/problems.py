"""What goes wrong, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from anyio import to_thread
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from operators.customers import NoState, UnknownCustomer
from operators.kafka import Unreachable
from operators.redis_link import reason

AGAIN_S = 2


class Problem(Exception):
    """An answer that is none. `detail`: in a sentence, for whoever asked."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.more = status, detail, more


def problem_of(error: Exception) -> Problem | None:
    """The problem an error stands for; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, UnknownCustomer):
        return Problem(404, f"{error}")
    if isinstance(error, msgspec.MsgspecError):
        return Problem(422, f"{error}")
    if isinstance(error, NoState | Unreachable):
        return Problem(503, f"{error}")
    if isinstance(error, RedisError):
        return Problem(503, f"Redis does not answer: {reason(error)}")
    if isinstance(error, ValueError):
        return Problem(400, f"{error}")
    return None


Handle = Callable[[Request], Response]


def answering(handle: Handle) -> Callable[[Request], Awaitable[Response]]:
    """A handler in a thread of the request's own, where Redis is waited for; what was foreseen is told as a problem."""

    async def answered(request: Request) -> Response:
        try:
            return await to_thread.run_sync(handle, request)
        except Exception as error:
            if (problem := problem_of(error)) is None:
                raise
            return answer(problem)

    return answered


def answer(problem: Problem) -> Response:
    told = {"title": HTTPStatus(problem.status).phrase, "status": problem.status, "detail": problem.detail}
    after_s = problem.more.get("retry_after_s", AGAIN_S if problem.status == 503 else None)
    headers = {"cache-control": "no-store"} | ({"retry-after": f"{after_s}"} if after_s else {})
    body = msgspec.json.encode({**told, **problem.more})
    return Response(body, problem.status, headers, "application/problem+json")
