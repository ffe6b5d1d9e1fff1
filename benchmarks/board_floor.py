"""A server that does nothing but answer: what asking over HTTP takes by itself.

python -m benchmarks.board_floor PORT LENGTH
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.types import Receive, Scope, Send


def main() -> None:
    port, length = map(int, sys.argv[1:])
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(length).encode())]}
    body = {"type": "http.response.body", "body": b" " * length}

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head)
        await send(body)

    uvicorn.run(answering, port=port, lifespan="off", log_level="error", access_log=False)


if __name__ == "__main__":
    main()
