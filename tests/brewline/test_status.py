"""Status tells what waits, since when, and what needs a look; against a real Kafka and Redis."""

from __future__ import annotations

import io
import socket
import threading
import time
from wsgiref.simple_server import make_server

import msgspec
import orjson
import pytest
import redis as redis_py
from bytewax.dataflow import Dataflow
from rich.console import Console

from brewline.status import _answer, read_status, show_status
from config.settings import Metrics, Settings
from features.job import Clock, Position, encode_position
from flows import abuse, customers, kpis, learning, security, service
from flows.stages import STAGES
from flows.topics import TOPICS
from operators.kafka import producer
from operators.servers import free_port
from tests.flowprocess import COUPON_KEY, IDENTITY_KEY, WAIT_S, make_topics
from tests.flows.test_crashes import Blueprint

pytestmark = pytest.mark.servers
NOW_MS = round(time.time() * 1000)


@pytest.fixture
def house(settings: Settings) -> Settings:
    """Ten events, of which the customers flow has applied four, an hour ago; two messages not yet relayed."""
    make_topics(settings, ["events", "dead-letters"])
    sender = producer(settings.kafka.librdkafka())
    for number in range(10):
        sender.produce(
            settings.topic("events"), b"%d" % number, partition=1, timestamp=NOW_MS - 100_000 + 1_000 * number
        )
    for age_ms in (7_200_000, 60_000):
        sender.produce(settings.topic("dead-letters"), b"x", partition=0, timestamp=NOW_MS - age_ms)
    assert sender.flush(WAIT_S) == 0
    redis, key = redis_py.Redis.from_url(settings.redis.url), f"{settings.redis.prefix}:{{customers.1}}"
    redis.set(f"{key}:fence", encode_position(Position(3, Clock(NOW_MS - 3_600_000))))
    for _ in range(2):
        redis.xadd(f"{key}:outbox", {"m": b""})
    return msgspec.structs.replace(
        settings, metrics=msgspec.structs.replace(settings.metrics, **dict.fromkeys(PORTS, 0))
    )


PORTS = [field.name for field in msgspec.structs.fields(Metrics) if field.name not in ("host", "stall_s")]


def test_what_waits_is_counted_by_fences_and_dated_by_kafka(house: Settings) -> None:
    status = read_status(house, NOW_MS)
    [stage] = [stage for stage in status.stages if stage.stage == "customers"]
    assert (stage.sum("records"), stage.sum("outbox"), stage.sum("gone")) == (6, 2, 0)
    assert stage.waits_s == 96  # the fifth of ten
    assert max(part.clock_ms for part in stage.parts) == NOW_MS - 3_600_000
    assert status.dead_letters_1h == 1
    assert status.concerns == ["customers: 6 records wait for 96 s; does it run?"]


def test_a_clock_that_ticks_while_redis_is_asked_is_not_ahead(house: Settings) -> None:
    redis = redis_py.Redis.from_url(house.redis.url)
    ahead = Position(3, Clock(round(time.time() * 1000) + 60_000))
    redis.set(f"{house.redis.prefix}:{{customers.1}}:fence", encode_position(ahead))
    out = Console(file=io.StringIO(), width=160)
    show_status(house, False, out)
    assert "0 s ago" in out.file.getvalue()  # type: ignore[attr-defined]


def test_the_screen_and_the_json_say_the_same_and_the_exit_code_asks_for_a_look(house: Settings) -> None:
    out = Console(file=io.StringIO(), width=160)
    assert show_status(house, False, out) == 1
    shown = out.file.getvalue()  # type: ignore[attr-defined]
    assert "look customers: 6 records wait for" in shown
    assert "dead letters  1 in the last hour" in shown
    out = Console(file=io.StringIO(), width=160)
    show_status(house, True, out)
    told = orjson.loads(out.file.getvalue())  # type: ignore[attr-defined]
    assert [s["stage"] for s in told["stages"] if s["flow"] == "customers"] == ["customers"]


def test_a_flow_that_is_through_needs_no_look_even_behind_the_end_of_a_transaction(settings: Settings) -> None:
    make_topics(settings, ["events"])
    sender = producer(settings.kafka.librdkafka(), transactional_id=settings.topic("test"))
    sender.init_transactions()
    sender.begin_transaction()
    sender.produce(settings.topic("events"), b"x", partition=0, timestamp=NOW_MS - 900_000)
    sender.commit_transaction()
    redis = redis_py.Redis.from_url(settings.redis.url)
    redis.set(f"{settings.redis.prefix}:{{customers.0}}:fence", encode_position(Position(0)))
    status = read_status(settings, NOW_MS)
    [stage] = [stage for stage in status.stages if stage.stage == "customers"]
    assert (stage.sum("records"), stage.waits_s) == (0, 0)
    assert not [concern for concern in status.concerns if concern.startswith("customers")]


def test_what_a_flow_complains_of_is_shown(settings: Settings) -> None:
    port = free_port()

    def app(environ, start):  # type: ignore[no-untyped-def]
        start("503 Service Unavailable", [])
        return [b"redis: no answer for 7 s\n"]

    with make_server("127.0.0.1", port, app) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ports = dict.fromkeys(PORTS, 0) | {"customers": port}
        status = read_status(
            msgspec.structs.replace(settings, metrics=msgspec.structs.replace(settings.metrics, **ports)), NOW_MS
        )
        server.shutdown()
    assert status.health == {"customers": "redis: no answer for 7 s"}
    assert "customers: redis: no answer for 7 s" in status.concerns


class Counted(Blueprint):
    """Keeps the topic that each stage reads."""

    def stage(self, flow: Dataflow, name: str, topic: str, *more: object, **by_name: object) -> None:
        self.jobs[name] = topic  # type: ignore[assignment]


def test_the_stages_are_those_of_the_flows(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_topics(settings, TOPICS)
    monkeypatch.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    lines = msgspec.structs.replace(settings, security=msgspec.structs.replace(settings.security, lines="audit"))
    for flow in (customers, kpis, security, learning, service, abuse):
        name, house = flow.__name__.rpartition(".")[2], Counted(lines)
        house.client = settings.kafka.librdkafka()  # type: ignore[attr-defined]
        house.require_layout = lambda layout: None  # type: ignore[attr-defined]
        flow.add(Dataflow(name), house)  # type: ignore[arg-type]
        assert house.jobs == STAGES[name]


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n", b"", b"HTTP/1.1 abc\r\n\r\n"])
def test_who_speaks_no_http_at_a_flows_port_does_not_answer_for_it(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            caller, _ = server.accept()
            caller.recv(1_000)
            caller.sendall(said)
            caller.close()

        threading.Thread(target=speak, daemon=True).start()
        assert _answer(f"http://127.0.0.1:{server.getsockname()[1]}/healthz") == ""


def test_a_host_that_is_none_does_not_answer() -> None:
    assert [_answer(f"http://{host}:1/healthz") for host in ("a b", "店")] == ["", ""]
