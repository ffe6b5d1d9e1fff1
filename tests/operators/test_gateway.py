"""An attempt always ends in an answer, whatever a gateway does with the connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import pytest

from alerts.delivery.answer import Answer
from alerts.delivery.parcel import Parcel
from alerts.delivery.signature import read_secrets
from features.job import Batch
from operators.gateway import Attempts, Gateway
from operators.servers import free_port
from tests.receiver import SECRET, Reply, Request, receiver

WAIT_S = 30.0


def gateway(url: str, timeout_s: float = WAIT_S) -> Gateway:
    return Gateway(url, read_secrets(SECRET), timeout_s, 2)


@contextmanager
def speaker(talk: Callable[[socket.socket, Event], None]) -> Iterator[str]:
    """A server that says to its first client what it likes; the event is set at the end."""
    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65_536)
                talk(client, over)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()


def test_connections_are_kept_from_one_attempt_to_the_next() -> None:
    with receiver(lambda _: Reply(200, body=b"thank you")) as (told, url):
        asked = gateway(url)
        answers = [asked.post(f"d{i}", b"{}") for i in range(5)]
        assert [answer.status for answer in answers] == [200] * 5
        [pool] = [asked.web.pool.pools[key] for key in asked.web.pool.pools.keys()]  # noqa: SIM118 - it is no dict
        assert pool.num_connections == 1
    assert told.ids == [f"d{i}" for i in range(5)]


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    def reply(request: Request) -> Reply:
        return Reply(307, {"Location": url})

    with receiver(reply) as (told, url):
        assert gateway(url).post("d1", b"{}").status == 307
    assert told.ids == ["d1"]


def test_retry_after_is_told() -> None:
    with receiver(lambda _: Reply(503, {"Retry-After": "7"})) as (_, url):
        answer = gateway(url).post("d1", b"{}")
    assert (answer.status, answer.retry_after_s) == (503, 7.0)


def test_a_gateway_that_takes_no_connection_has_failed() -> None:
    assert gateway(f"http://127.0.0.1:{free_port()}/").post("d1", b"{}").failure == "connection"


def test_a_gateway_that_says_nothing_has_timed_out() -> None:
    with speaker(lambda _, over: over.wait(WAIT_S) and None) as url:
        assert gateway(url, 0.2).post("d1", b"{}").failure == "timeout"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n"])
def test_a_gateway_that_hangs_up_or_speaks_no_http_has_failed(said: bytes) -> None:
    with speaker(lambda client, _: client.sendall(said)) as url:
        assert gateway(url).post("d1", b"{}").failure == "connection"


def test_an_answer_without_end_costs_no_more_than_the_timeout() -> None:
    """The status has been told; what follows byte by byte is not waited for."""

    def drip(client: socket.socket, over: Event) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not over.wait(0.05):
            client.sendall(b".")

    with speaker(drip) as url:
        started_s = time.monotonic()
        assert gateway(url, 0.5).post("d1", b"{}").status == 200
        assert time.monotonic() - started_s < WAIT_S


def test_an_attempt_that_never_ends_leaves_the_other_threads_free() -> None:
    stuck = Event()

    def post(id: str, body: bytes) -> Answer:
        if id == "d0":
            stuck.wait(WAIT_S)
        return Answer(204)

    attempts, ended = Attempts(post, 2), []
    for offset in range(2):
        record = Batch("coupons", 0, offset - 1, [offset], [b"{}"], [0])
        attempts.start(Parcel(record, f"d{offset}", "push", 0, 0.0, 0.0))
    assert not attempts.free
    while not ended:
        ended += attempts.ended(1.0)
    assert [parcel.id for parcel, _, _ in ended] == ["d1"]
    assert attempts.free
    stuck.set()
    attempts.close()


def test_an_attempt_that_raises_is_refused_and_costs_no_thread() -> None:
    def post(id: str, body: bytes) -> Answer:
        if id == "ill":
            raise RuntimeError("a bug")
        return Answer(204)

    attempts = Attempts(post, 1)
    for place, id in enumerate(["ill", "well"]):
        record = Batch("coupons", 0, place - 1, [place], [b"{}"], [0])
        attempts.start(Parcel(record, id, "", 0, 0.0, 0.0))
    found: list[tuple[Parcel, int, Answer]] = []
    while len(found) < 2:
        found += attempts.ended(WAIT_S)
    assert [(parcel.id, answer.verdict) for parcel, _, answer in found] == [("ill", "refused"), ("well", "delivered")]
    attempts.close()
