"""Dispatch begins, ends and refuses to begin as an operator expects."""

from __future__ import annotations

from signal import SIGTERM
from threading import Event
from urllib.request import urlopen

import pytest

from operators.servers import free_port
from tests.couponpost import Post, ids
from tests.receiver import Reply, receiver, waits_for

pytestmark = pytest.mark.servers


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
