"""A gateway as the other side runs one: it checks every signature, drops what it has had, and fails as it is told."""

from __future__ import annotations

import hmac
import socket
import threading
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock
from typing import Any, NamedTuple

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
HANG_S = 120.0


class Request(NamedTuple):
    id: str
    number: int  # how often this id has come, this time counted
    headers: dict[str, str]
    body: bytes
    at_s: float


class Reply(NamedTuple):
    """`hangs`: nothing is said until the receiver closes. `drops`: the connection is closed without a word."""

    status: int = 204
    headers: dict[str, str] = {}
    body: bytes = b""
    hangs: bool = False
    drops: bool = False


WELL = Reply()


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As in the specification of Standard Webhooks, and written without a look at the sender's code."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.new(b64decode(secret[len("whsec_") :]), signed, "sha256").digest()).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")


class Receiver:
    """`reply(request)` says what becomes of a request; a coupon that is answered with 2xx is taken, once by id."""

    def __init__(self, reply: Callable[[Request], Reply] = lambda _: WELL, signed: bool = True) -> None:
        self.reply = reply
        self.signed = signed
        self.lock = Lock()
        self.requests: list[Request] = []
        self.taken: dict[str, bytes] = {}  # by webhook-id
        self.refused = 0  # signatures
        self.times: Counter[str] = Counter()
        self.closing = Event()
        self.under_way = self.most_under_way = 0

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.requests]

    def take(self, headers: dict[str, str], body: bytes) -> Reply:
        with self.lock:
            if self.signed and not verified(SECRET, headers, body):
                self.refused += 1
                return Reply(401)
            id = headers.get("webhook-id", "")
            self.times[id] += 1
            request = Request(id, self.times[id], headers, body, time.monotonic())
            self.requests.append(request)
        reply = self.reply(request)
        if reply.hangs:
            self.closing.wait(HANG_S)
        elif 200 <= reply.status < 300 and not reply.drops:
            with self.lock:
                self.taken.setdefault(id, body)
        return reply


@contextmanager
def receiver(
    reply: Callable[[Request], Reply] = lambda _: WELL, port: int = 0, signed: bool = True
) -> Iterator[tuple[Receiver, str]]:
    """A running receiver and its url. Not `signed`: it has a key of another kind, and looks at no signature."""
    told = Receiver(reply, signed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(length := int(self.headers["content-length"]))
            if len(body) < length:
                return  # the sender was killed
            with told.lock:
                told.under_way += 1
                told.most_under_way = max(told.most_under_way, told.under_way)
            try:
                self._answer(told.take({name.lower(): value for name, value in self.headers.items()}, body))
            finally:
                with told.lock:
                    told.under_way -= 1

        def _answer(self, reply: Reply) -> None:
            if reply.drops or reply.hangs:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are kept, not logged."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A sender that was killed has hung up."""

    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield told, f"http://127.0.0.1:{server.server_address[1]}/push"
    finally:
        told.closing.set()
        server.shutdown()
        server.server_close()


def fails_at_first(*replies: Reply) -> Callable[[Request], Reply]:
    """These in turn for each coupon, and then well."""
    return lambda request: replies[request.number - 1] if request.number <= len(replies) else WELL


def waits_for(event: Event) -> Callable[[Request], Reply]:
    """Well, when that has happened."""

    def reply(_: Request) -> Reply:
        event.wait(60)
        return WELL

    return reply
