"""Nothing is lost, and the receiver sees each coupon once, whatever dies in between."""

from __future__ import annotations

from pathlib import Path
from signal import SIGTERM
from threading import Event
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from operators.servers import KafkaServer, NoKafka, RedisServer, free_port, kafka_server
from tests.couponpost import Post, ids
from tests.flowprocess import settings_for
from tests.receiver import WELL, Reply, Request, fails_at_first, receiver

pytestmark = pytest.mark.servers


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
            flow.until(lambda: post.committed() == 400)
            assert flow.end(SIGTERM) == 0
            assert post.committed() == 400, flow.said
            assert {outcome["decision"] for outcome in post.outcomes()} == set(ids(400))
            post.close()
    except NoKafka as reason:
        pytest.skip(str(reason))


def healthy(port: int) -> bool:
    try:
        return bool(urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200)
    except HTTPError:
        return False
