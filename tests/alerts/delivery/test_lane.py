"""A coupon on the lane of a gateway ends once and in one way, whatever the gateway answers and however time passes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.delivery.answer import Answer
from alerts.delivery.lane import GRACE_S, LONGEST_PAUSE_S, Lane, Terms
from alerts.delivery.parcel import Parcel, read_parcel
from config.gateways import Gateway
from features.job import Batch
from features.messages import Refused

NEVER_MS = 2**50
answers = st.one_of(
    st.sampled_from([200, 204, 301, 400, 404, 408, 429, 500, 503]).map(Answer),
    st.sampled_from(["timeout", "connection"]).map(lambda failure: Answer(failure=failure)),
    st.builds(lambda wait_s: Answer(429, retry_after_s=wait_s), st.floats(0, 30)),
)


def parcel(offset: int = 0, expires_ms: int = NEVER_MS, now_s: float = 0.0) -> Parcel:
    return Parcel(
        Batch("coupons", 0, offset - 1, [offset], [b"{}"], [0]), f"d{offset}", "push", expires_ms, now_s, now_s
    )


def lane(**terms: float) -> Lane:
    """With the longest backoff that chance allows."""
    usual = {name: getattr(Gateway(""), name) for name in Terms.__struct_fields__}
    return Lane(msgspec.convert({**usual, **terms}, Terms), lambda _, longest: longest, 0.0)


def attempt(lane: Lane, now_s: float, answer: Answer) -> str | None:
    found = lane.next(now_s)
    assert found is not None
    return lane.answered(found, answer, now_s)


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.floats(0, 40), st.integers(0, 4), answers), max_size=120),
    st.integers(1, 4),
    st.integers(1, 4),
)
@settings(max_examples=100)
def test_every_coupon_ends_once_and_only_once(
    coupons: int, walk: list[tuple[float, int, Answer]], attempts: int, failures: int
) -> None:
    tried = lane(max_attempts=attempts, breaker_failures=failures, give_up_s=300.0, rate_per_s=5.0)
    flying, ended, now_s = list[Parcel](), dict[int, str](), 0.0
    for offset in range(coupons):
        tried.put(parcel(offset, expires_ms=400_000 if offset % 3 else 200_000))

    def end(one: Parcel, outcome: str | None) -> None:
        if outcome is not None:
            assert one.place[1] not in ended
            ended[one.place[1]] = outcome

    for wait_s, starts, answer in [*walk, *[(50.0, 0, Answer(500))] * 20]:
        now_s += wait_s
        for one, outcome in tried.overdue(now_s, round(now_s * 1000)):
            end(one, outcome)
        flying += [one for _ in range(starts) if (one := tried.next(now_s))]
        if flying:
            one = flying.pop(0)
            end(one, tried.answered(one, answer, now_s))
        assert len(tried) + len(ended) == coupons
    assert ended.keys() == set(range(coupons))


def test_an_attempt_that_fails_is_made_again_later_until_there_are_too_many() -> None:
    tried = lane(max_attempts=3, backoff_s=2.0, breaker_failures=9)
    tried.put(parcel())
    assert attempt(tried, 0.0, Answer(500)) is None
    assert tried.next(1.9) is None
    assert attempt(tried, 2.0, Answer(failure="timeout")) is None
    assert tried.next(5.9) is None
    assert attempt(tried, 6.0, Answer(503)) == "gateway_unreachable"
    assert len(tried) == 0


def test_what_is_refused_is_not_tried_again() -> None:
    tried = lane()
    tried.put(parcel())
    assert attempt(tried, 0.0, Answer(404)) == "gateway_refused"


def test_a_coupon_that_expired_while_it_waited_is_not_sent() -> None:
    tried = lane()
    tried.put(parcel(1, expires_ms=1_000))
    tried.put(parcel(2, expires_ms=1_001))
    [(gone, reason)] = tried.overdue(1.0, 1_000)
    assert (gone.id, reason) == ("d1", "expired")
    found = tried.next(1.0)
    assert found is not None
    assert found.id == "d2"


def test_a_coupon_is_given_up_by_its_age_also_while_the_circuit_is_open() -> None:
    tried = lane(breaker_failures=1, breaker_pause_s=1_000.0, give_up_s=60.0)
    tried.put(parcel(1))
    tried.put(parcel(2))
    assert attempt(tried, 0.0, Answer(500)) is None
    assert tried.overdue(59.9, 0) == []
    assert [(gone.id, reason) for gone, reason in tried.overdue(60.0, 0)] == [
        ("d2", "gateway_unreachable"),
        ("d1", "gateway_unreachable"),
    ]


def test_failed_probes_use_up_no_coupon_and_take_turns() -> None:
    tried = lane(max_attempts=2, breaker_failures=1, breaker_pause_s=10.0, backoff_most_s=5.0)
    for offset in range(3):
        tried.put(parcel(offset))
    probed = []
    for now_s in range(0, 200, 10):
        found = tried.next(float(now_s))
        assert found is not None
        assert now_s == 0 or tried.next(float(now_s)) is None
        assert tried.answered(found, Answer(failure="connection"), float(now_s)) is None
        probed.append(found.id)
    assert set(probed[:3]) == {"d0", "d1", "d2"}
    assert len(tried) == 3
    found = tried.next(200.0)
    assert found is not None
    assert tried.answered(found, Answer(200), 200.0) == "delivered"
    assert tried.next(200.0) is not None
    assert tried.next(200.0) is not None


def test_retry_after_rests_the_whole_gateway_and_uses_up_no_coupon() -> None:
    tried = lane(max_attempts=1)
    tried.put(parcel(1))
    tried.put(parcel(2))
    assert attempt(tried, 0.0, Answer(429, retry_after_s=30.0)) is None
    assert tried.next(29.9) is None
    assert attempt(tried, 30.0, Answer(200)) == "delivered"
    assert tried.next(30.0) is None
    assert attempt(tried, 30.1, Answer(200)) == "delivered"


@pytest.mark.parametrize("status", [429, 503])
def test_no_retry_after_rests_a_gateway_for_longer_than_an_hour(status: int) -> None:
    tried = lane(breaker_failures=9)
    tried.put(parcel())
    assert attempt(tried, 0.0, Answer(status, retry_after_s=1e12)) is None
    assert tried.next(LONGEST_PAUSE_S - 1) is None
    assert tried.next(LONGEST_PAUSE_S) is not None


def test_an_attempt_that_does_not_end_by_itself_is_told() -> None:
    tried = lane(timeout_s=5.0)
    tried.put(parcel())
    found = tried.next(10.0)
    assert tried.late(15.0 + GRACE_S) == []
    assert tried.late(15.1 + GRACE_S) == [found]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"null",
        b'{"id": "d1", "data": {}}',
        b'{"id": "", "data": {"expires_ms": 1}}',
        b'{"id": "d\\r\\nx-evil: 1", "data": {"expires_ms": 1}}',
        b'{"id": "d1", "data": {"expires_ms": "1"}}',
    ],
)
def test_what_is_no_coupon_is_refused(value: bytes) -> None:
    with pytest.raises(Refused, match="malformed"):
        read_parcel(Batch("coupons", 0, -1, [0], [value], [0]), 0.0)


def test_a_coupon_without_a_channel_is_for_push() -> None:
    told = [b'{"id": "d1", "data": {"expires_ms": 1%s}}' % more for more in (b"", b', "channel": "sms"')]
    found = [read_parcel(Batch("coupons", 0, -1, [0], [value], [0]), 0.0) for value in told]
    assert [one.channel for one in found] == ["push", "sms"]
    assert found[0].body == told[0]
