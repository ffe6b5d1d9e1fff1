"""Coupons reach their gateways, or it is told why not; nobody waits for a gateway but its own coupons."""

from __future__ import annotations

import socket
from contextlib import suppress
from signal import SIGTERM
from threading import Event, Thread
from urllib.request import urlopen

import msgspec
import pytest
from jsonschema import Draft7Validator

from features import asyncapi
from features import events as e
from features.forgotten import name_hash, tombstone_key
from operators.servers import free_port
from tests.couponpost import Post, ids
from tests.flowprocess import WAIT_S, read_all
from tests.receiver import SECRET, WELL, Reply, fails_at_first, receiver, waits_for

pytestmark = pytest.mark.servers
CONTRACT = asyncapi.document()


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


def test_what_a_gateway_has_taken_is_noted_for_the_customer_in_event_time(post: Post) -> None:
    decided_ms = 1_777_824_000_000  # long ago: a replay
    post.coupons(["coupon"], coupon="WB5", campaign="spring", at_ms=decided_ms)
    post.coupons(["message"], coupon="", message="come-now", at_ms=decided_ms)
    with receiver() as (_, url):
        flow = post.start({"push": {"url": url}, "other": {"url": url}})
        flow.until(lambda: len(post.outcomes()) == 4)
    noted = [(message.key(), e.decode_clean(message.value() or b"")) for message in read_all(post.settings, "events")]
    assert {event.gateway for _, event in noted} == {"push", "other"}
    for key, event in noted:
        assert (key, event.customer, event.id, event.coupon) == (b"c-coupon", "c-coupon", "coupon/delivered", "coupon")
        assert 0 <= event.at_ms - decided_ms < 60_000
        assert (event.campaign, event.issued, event.issued_ms) == ("spring", 1, decided_ms)
        pointer = {"$ref": "#/components/messages/clean.coupon_delivered/payload", "components": CONTRACT["components"]}
        assert Draft7Validator(pointer).is_valid(msgspec.json.decode(e.encode(event)))


def test_coupons_of_who_was_forgotten_are_withheld_before_they_go_and_while_they_wait(post: Post) -> None:
    """One was forgotten before the flow began, another while the gateway refuses to take the coupon."""

    def forget(customer: str) -> None:
        post.sender.produce(post.settings.topic("forgotten"), b"1", tombstone_key(name_hash(customer)))
        assert post.sender.flush(WAIT_S) == 0

    forget("c-before")
    post.coupons(["before", "waits", "well"])
    with receiver(lambda request: Reply(503 if request.id == "waits" else 200)) as (told, url):
        flow = post.start({"push": {"url": url}})
        flow.until(lambda: any(request.id == "waits" for request in told.requests) and "well" in told.taken)
        forget("c-waits")
        flow.until(lambda: len(post.outcomes()) == 3)
        post.coupons(["after"], customer="c-after")
        flow.until(lambda: len(post.outcomes()) == 4)
        assert flow.end(SIGTERM) == 0
    assert {id: post.outcome(id)["reason"] for id in ("before", "waits", "well", "after")} == {
        "before": "forgotten",
        "waits": "forgotten",
        "well": "",
        "after": "",
    }
    assert told.taken.keys() == {"well", "after"}
    assert "before" not in {request.id for request in told.requests}
    assert (post.letters(), post.committed()) == ([], 4)
