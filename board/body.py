"""What a request brings, read to no more than somebody may bring."""

from __future__ import annotations

from starlette.requests import Request

from board.problems import Problem


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Raises Problem: 413."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise Problem(413, f"the body is longer than {most_bytes:,} bytes")
    return body
