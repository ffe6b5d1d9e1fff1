"""Coupons reach their gateways, or it is told why not; nobody waits for a gateway but its own coupons."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from jsonschema import Draft7Validator

from config.settings import Settings
from features import asyncapi
from operators.servers import KafkaServer, MockKafka, NoKafka, RedisServer, free_port, kafka_server
from tests.couponpost import Post
from tests.flowprocess import read_all, settings_for
from tests.receiver import SECRET, WELL, Reply, Request, receiver

pytestmark = pytest.mark.servers
CONTRACT = asyncapi.document()


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer) -> Settings:
    return settings_for(kafka.brokers, redis.url)


@pytest.fixture
def post(settings: Settings, workdir: Path) -> Iterator[Post]:
    post = Post(settings, workdir)
    yield post
    post.close()


def ids(number: int, start: int = 0) -> list[str]:
    return [f"d{i}" for i in range(start, start + number)]


def fails_at_first(*replies: Reply):  # type: ignore[no-untyped-def]
    """These in turn for each coupon, and then well."""
    return lambda request: replies[request.number - 1] if request.number <= len(replies) else WELL


def waits_for(event: Event):  # type: ignore[no-untyped-def]
    """Well, when that has happened."""

    def reply(_: Request) -> Reply:
        event.wait(60)
        return WELL

    return reply


def test_every_coupon_arrives_signed_as_it_stands_in_kafka_and_its_delivery_is_told(post: Post) -> None:
    post.coupons(ids(60))
    with receiver() as (told, url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(told.taken) == 60)
        assert flow.end(SIGTERM) == 0
    assert told.taken == post.sent
    assert told.refused == 0
    assert {request.headers["idempotency-key"] for request in told.requests} == set(post.sent)
    assert post.committed() == 60
    assert {
        (o["type"], o["decision"], o["gateway"], o["reason"], o["attempts"], o["status"]) for o in post.outcomes()
    } == {("brewline.coupon.delivered", id, "push", "", 1, 204) for id in post.sent}
    for secret in (SECRET, url, "c-d1", "whsec"):
        assert secret not in flow.said


def test_outcomes_are_as_described(post: Post) -> None:
    post.coupons(["well", "ill"])
    with receiver(lambda request: Reply(404 if request.id == "ill" else 200)) as (_, url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(post.outcomes()) == 2)
    for message in read_all(post.settings, "deliveries"):
        event = msgspec.json.decode(message.value() or b"")
        name = event["type"].removeprefix("brewline.")
        pointer = {"$ref": f"#/components/messages/{name}/payload", "components": CONTRACT["components"]}
        assert Draft7Validator(pointer).is_valid(event)
        assert event["data"].keys() == set(CONTRACT["components"]["schemas"]["Delivery"]["properties"])
        assert (message.key() or b"").decode() == event["subject"] == event["data"]["decision"]


@pytest.mark.parametrize(
    "reply",
    [Reply(500), Reply(503, body=b"x" * 200_000), Reply(408), Reply(429), Reply(drops=True)],
    ids=["500", "503 and long", "408", "429", "closed"],
)
def test_a_gateway_that_fails_is_asked_again_under_the_same_id(post: Post, reply: Reply) -> None:
    post.coupons(ids(5))
    with receiver(fails_at_first(reply, reply)) as (told, url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(told.taken) == 5 and len(post.outcomes()) == 5)
    assert set(told.times.values()) == {3}
    assert {(outcome["type"], outcome["attempts"]) for outcome in post.outcomes()} == {("brewline.coupon.delivered", 3)}


@pytest.mark.parametrize(
    ("reply", "terms", "reason", "attempts", "status"),
    [
        (Reply(400), {}, "gateway_refused", 1, 400),
        (Reply(302, {"Location": "http://127.0.0.1:9/"}), {}, "gateway_refused", 1, 302),
        (Reply(500), {"max_attempts": 3}, "gateway_unreachable", 3, 500),
        (Reply(hangs=True), {"max_attempts": 2, "timeout_s": 0.2}, "gateway_unreachable", 2, 0),
        (Reply(drops=True), {"max_attempts": 2}, "gateway_unreachable", 2, 0),
    ],
    ids=["400", "redirect", "500", "hangs", "closed"],
)
def test_what_is_given_up_is_a_dead_letter_with_its_reason_and_its_bytes(
    post: Post, reply: Reply, terms: dict[str, float], reason: str, attempts: int, status: int
) -> None:
    post.coupons(["ill"])
    with receiver(lambda _: reply) as (told, url):
        flow = post.start({"push": {"url": url, **terms}})
        flow.until(lambda: post.outcome("ill"))
        assert flow.end(SIGTERM) == 0
    outcome = post.outcome("ill")
    assert outcome["type"] == "brewline.coupon.undeliverable"
    assert (outcome["reason"], outcome["attempts"], outcome["status"]) == (reason, attempts, status)
    [(headers, value)] = post.letters()
    assert (headers["reason"], value) == (reason, post.sent["ill"])
    assert headers["ce_id"].endswith("/push")
    assert f"latest status {status or 'none'}" in headers["detail"]
    assert told.times["ill"] == attempts
    assert post.committed() == 1


def test_a_coupon_that_has_expired_and_what_is_no_coupon_are_dead_letters_and_are_not_sent(post: Post) -> None:
    post.coupons(["late"], valid_ms=-1)
    post.put(b"\xff no coupon")
    post.coupons(["well"])
    with receiver() as (told, url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(post.letters()) == 2 and post.outcome("well"))
        assert flow.end(SIGTERM) == 0
    assert {headers["reason"]: value for headers, value in post.letters()} == {
        "expired": post.sent["late"],
        "malformed": b"\xff no coupon",
    }
    assert told.ids == ["well"]
    assert post.outcome("late")["attempts"] == 0
    assert post.committed() == 3


def test_a_gateway_that_asks_for_a_rest_gets_it(post: Post) -> None:
    post.coupons(ids(10))
    reply = fails_at_first(Reply(429, {"Retry-After": "2"}))
    with receiver(lambda request: reply(request) if request.id == told.ids[0] else WELL) as (told, url):
        flow = post.start({"push": {"url": url, "in_flight": 1}})
        flow.until(lambda: len(told.taken) == 10)
    assert told.requests[1].at_s - told.requests[0].at_s > 1.9


def test_a_gateway_takes_the_coupons_of_its_channels(post: Post) -> None:
    post.coupons(ids(3))
    post.coupons(ids(3, 3), channel="sms")
    with receiver() as (push, push_url), receiver() as (sms, sms_url), receiver() as (both, both_url):
        tables = {
            "push": {"url": push_url, "channels": ["push"]},
            "sms": {"url": sms_url, "channels": ["sms"]},
            "both": {"url": both_url},
        }
        flow = post.start(tables)
        flow.until(lambda: len(both.taken) == 6 and len(push.taken) == len(sms.taken) == 3)
        assert flow.end(SIGTERM) == 0
    assert (set(push.taken), set(sms.taken)) == (set(ids(3)), set(ids(3, 3)))
    assert post.committed("push") == post.committed("sms") == 6


def test_a_gateway_that_hangs_holds_up_no_other(post: Post) -> None:
    post.coupons(ids(300))
    with receiver(lambda _: Reply(hangs=True)) as (dead, dead_url), receiver() as (well, well_url):
        flow = post.start({"dead": {"url": dead_url, "timeout_s": 60, "in_flight": 4}, "well": {"url": well_url}})
        flow.until(lambda: dead.under_way == 4)
        flow.until(lambda: len(well.taken) == 300)
        post.coupons(ids(50, 300))
        flow.until(lambda: len(well.taken) == 350)
        flow.until(lambda: post.committed("well") == 350)
        assert (dead.under_way, dead.taken, post.committed("dead")) == (4, {}, 0)


def test_attempts_at_the_same_time_are_limited(post: Post) -> None:
    post.coupons(ids(30))
    go_on = Event()
    with receiver(waits_for(go_on)) as (told, url):
        flow = post.start({"push": {"url": url, "in_flight": 3, "timeout_s": 60}})
        flow.until(lambda: told.under_way == 3)
        go_on.set()
        flow.until(lambda: len(told.taken) == 30)
    assert told.most_under_way == 3


def test_no_offset_is_committed_over_a_coupon_that_is_not_settled(post: Post) -> None:
    post.coupons(["poison"])
    post.coupons(ids(200))
    mended = Event()

    def reply(request: Request) -> Reply:
        return Reply(500) if request.id == "poison" and not mended.is_set() else WELL

    with receiver(reply) as (told, url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(told.taken) == 200 and len(post.outcomes()) == 200)
        flow.until(lambda: post.committed() > 0)
        flow.kill()
        first = post.committed()
        assert first < 201
        mended.set()
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(told.taken) == 201)
        flow.until(lambda: post.committed() == 201)
    assert told.taken == post.sent


def test_a_gateway_that_is_away_is_left_alone_and_gets_all_when_it_is_back(post: Post) -> None:
    port = free_port()
    terms = {"url": f"http://127.0.0.1:{port}/", "breaker_failures": 3, "breaker_pause_s": 0.5, "max_attempts": 5}
    post.coupons(ids(40))
    flow = post.start({"push": terms})
    flow.until(lambda: "circuit opened" in flow.said)
    with receiver(port=port) as (told, _):
        flow.until(lambda: len(told.taken) == 40)
        flow.until(lambda: "circuit closed" in flow.said)
    assert post.letters() == []


def test_an_attempt_that_a_gateway_drags_out_is_given_up_like_one_that_hangs(post: Post) -> None:
    """Byte by byte, so that something always comes in time."""
    post.coupons(["ill"])
    over = Event()

    def drag(client: socket.socket) -> None:
        with suppress(OSError):
            for _ in iter(over.is_set, True):
                client.sendall(b"H")
                over.wait(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    Thread(target=drag, args=(server.accept()[0],), daemon=True).start()

        Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        flow = post.start({"push": {"url": url, "timeout_s": 0.5, "max_attempts": 2}}, BREWLINE_DISPATCH__STOP_S="0.5")
        flow.until(lambda: post.outcome("ill"))
        assert flow.end(SIGTERM) == 0
        over.set()
    assert (post.outcome("ill")["reason"], post.outcome("ill")["attempts"]) == ("gateway_unreachable", 2)


def test_told_to_stop_the_flow_ends_what_is_in_flight_and_begins_nothing(post: Post) -> None:
    post.coupons(ids(20))
    go_on = Event()
    with receiver(waits_for(go_on)) as (told, url):
        flow = post.start({"push": {"url": url, "in_flight": 5, "timeout_s": 60}}, BREWLINE_DISPATCH__STOP_S="60")
        flow.until(lambda: told.under_way == 5)
        flow.send(SIGTERM)
        flow.until(lambda: "stopping" in flow.said)
        go_on.set()
        assert flow.end() == 0
        assert len(told.requests) == len(told.taken) == 5
        assert {outcome["decision"] for outcome in post.outcomes()} == set(told.taken)
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: len(told.taken) == 20)


def test_told_to_stop_the_flow_does_not_wait_for_a_gateway_that_hangs(post: Post) -> None:
    post.coupons(ids(5))
    with receiver(lambda _: Reply(hangs=True)) as (told, url):
        flow = post.start({"push": {"url": url, "timeout_s": 600}}, BREWLINE_DISPATCH__STOP_S="0.5")
        flow.until(lambda: told.under_way == 5)
        assert flow.end(SIGTERM) == 0
    assert post.committed() == 0
    assert post.outcomes() == post.letters() == []


def test_a_gateway_that_is_new_may_begin_at_the_end(post: Post) -> None:
    post.coupons(ids(10))
    with receiver() as (told, url):
        flow = post.start({"push": {"url": url, "begin": "latest"}})
        flow.until(lambda: "gateway opened" in flow.said)
        assert post.committed() == 10
        flow.kill()
        post.coupons(ids(5, 10))
        flow = post.start({"push": {"url": url, "begin": "latest"}})
        flow.until(lambda: len(told.taken) == 5)
    assert set(told.taken) == set(ids(5, 10))


def test_without_a_gateway_the_flow_says_so_and_is_well(post: Post) -> None:
    port = free_port()
    flow = post.start({}, BREWLINE_METRICS__DISPATCH=str(port))
    flow.until(lambda: "no gateway is configured" in flow.said)
    assert urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read() == b"ok\n"
    assert flow.end(SIGTERM) == 0


def test_without_its_secret_the_flow_does_not_start_and_says_what_to_do(post: Post) -> None:
    flow = post.start({"app-push": {"url": "http://127.0.0.1:9/"}}, BREWLINE_DISPATCH_SECRET_APP_PUSH="")
    assert flow.end() == 1
    assert flow.said.startswith("brewline: [dispatch.gateways.app-push]: there is no secret to sign with: set BREWLINE")


def test_metrics_tell_of_deliveries_attempts_and_the_circuit(post: Post) -> None:
    port = free_port()
    post.coupons(ids(4))
    with receiver(fails_at_first(Reply(500))) as (told, url):
        flow = post.start({"push": {"url": url}}, BREWLINE_METRICS__DISPATCH=str(port))
        flow.until(lambda: len(told.taken) == 4 and len(post.outcomes()) == 4)
        flow.until(lambda: post.committed() == 4)

        def shown() -> str:
            return urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()

        flow.until(lambda: 'brewline_delivery_unsettled{gateway="push"} 0.0' in shown())
        for line in (
            'brewline_deliveries_total{gateway="push",outcome="delivered"} 4.0',
            'brewline_delivery_attempts_total{answer="2xx",gateway="push"} 4.0',
            'brewline_delivery_attempts_total{answer="5xx",gateway="push"} 4.0',
            'brewline_delivery_attempt_seconds_count{gateway="push"} 8.0',
            'brewline_delivery_circuit{gateway="push"} 0.0',
            f'brewline_consumer_lag{{flow="dispatch-push",partition="0",topic="{post.settings.topic("coupons")}"}} 0.0',
        ):
            assert line in shown()


@pytest.mark.slow
def test_killed_again_and_again_the_flow_loses_no_coupon_and_the_receiver_sees_each_once(post: Post) -> None:
    number, died = 1_200, 0
    post.coupons(ids(number))
    with receiver(fails_at_first(Reply(500))) as (told, url):
        terms = {"url": url, "rate_per_s": 600, "window": 100}
        for share in (0.1, 0.3, 0.5, 0.7):
            flow = post.start({"push": terms})
            flow.until(lambda share=share: len(told.taken) > share * number)
            flow.kill()
            died += len(told.taken) < number
        flow = post.start({"push": terms})
        flow.until(lambda: len(told.taken) == number)
        flow.until(lambda: post.committed() == number)
        assert flow.end(SIGTERM) == 0
    assert died == 4
    assert told.taken == post.sent
    assert told.refused == 0
    assert {outcome["decision"] for outcome in post.outcomes()} == set(post.sent)
    assert {outcome["type"] for outcome in post.outcomes()} == {"brewline.coupon.delivered"}
    assert post.letters() == []


def test_a_group_whose_offsets_are_gone_says_what_to_do_and_holds_up_no_other(
    real_kafka: KafkaServer, post: Post
) -> None:
    post.coupons(ids(20))
    with receiver() as (told, url), receiver() as (other, other_url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: post.committed() == 20)
        assert flow.end(SIGTERM) == 0
        post.coupons(ids(20, 20))
        ends = post.delete_all()
        flow = post.start({"push": {"url": url}, "other": {"url": other_url}})
        flow.until(lambda: "the committed offset is no longer in Kafka" in flow.said)
        assert f"--group {post.settings.topic('dispatch-push')}" in flow.said
        post.coupons(ids(20, 40))
        flow.until(lambda: len(other.taken) == 20)
        assert set(told.taken) == set(ids(20))
        post.commit(ends)  # as the command does that it names
        flow.until(lambda: len(told.taken) == 40)


@pytest.mark.slow
def test_a_kafka_that_is_killed_costs_no_coupon_and_the_same_process_goes_on(redis: RedisServer, workdir: Path) -> None:
    port = free_port()
    try:
        with kafka_server(workdir / "kafka") as own, receiver() as (told, url):
            post = Post(settings_for(own.brokers, redis.url), workdir)
            post.coupons(ids(400))
            flow = post.start({"push": {"url": url, "rate_per_s": 100}}, BREWLINE_METRICS__DISPATCH=str(port))
            flow.until(lambda: len(told.taken) > 150)
            own.kill()
            flow.until(lambda: not healthy(port))
            own.start()
            flow.until(lambda: len(told.taken) == 400)
            flow.until(lambda: healthy(port))
            assert flow.end(SIGTERM) == 0
            assert post.committed() == 400
            assert {outcome["decision"] for outcome in post.outcomes()} == set(ids(400))
            post.close()
    except NoKafka as reason:
        pytest.skip(str(reason))


def healthy(port: int) -> bool:
    try:
        return bool(urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200)
    except HTTPError:
        return False
