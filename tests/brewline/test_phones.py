"""A coupon comes to the member whose it is, by what ingest's table knows of them by then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import redis as redis_py

from brewline.phones import Phones
from config import settings as conf
from features.identity import Pseudonyms, merged_key
from features.outgoing import IssuedCoupon
from sim import Chain
from tests.flowprocess import IDENTITY_KEY
from tests.sim.test_holders import coupon

pytestmark = pytest.mark.servers
SECRET = Pseudonyms(IDENTITY_KEY.encode(), "CN")


@pytest.fixture
def chain() -> Chain:
    return Chain(1, stores=1, customers=3, days=1)


@pytest.fixture
def phones(settings: conf.Settings, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Phones:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    return Phones(settings, redis_py.Redis.from_url(settings.redis.url), chain)


def knows(phones: Phones, app_id: str, customer: str) -> None:
    phones.redis.set(f"{phones.prefix}:id:{SECRET.one('app_id', app_id)}", customer)


def told(number: int, customer: str, **more: Any) -> dict[str, Any]:
    return msgspec.to_builtins(coupon(number, 0, customer=customer, **more))


def given(chain: Chain) -> list[tuple[str, str]]:
    assert all(isinstance(one, IssuedCoupon) for _, one in chain.given)
    return [(app_id, one.decision) for app_id, one in chain.given]


def test_each_coupon_comes_to_its_member_and_those_of_others_to_nobody(phones: Phones, chain: Chain) -> None:
    knows(phones, "app-000001", "ca")
    knows(phones, "app-000002", "cb")
    phones.bring([told(1, "cb"), told(2, "ca"), told(3, "a stranger"), told(4, "ca")])
    assert given(chain) == [("app-000002", "d1"), ("app-000001", "d2"), ("app-000001", "d4")]


def test_a_message_without_a_coupon_is_none(phones: Phones, chain: Chain) -> None:
    knows(phones, "app-000001", "ca")
    message = told(1, "ca", coupon="", message="hello")
    phones.bring([{name: message[name] for name in message if name != "code"}])
    assert given(chain) == []


def test_who_is_met_later_or_becomes_one_with_another_gets_what_is_theirs(phones: Phones, chain: Chain) -> None:
    knows(phones, "app-000001", "cb")
    phones.bring([told(1, "cb"), told(2, "cc")])
    knows(phones, "app-000003", "cc")
    phones.redis.set(f"{phones.prefix}:id:{merged_key('cb')}", "ca")
    phones.bring([told(3, "cc"), told(4, "cb"), told(5, "ca")])
    assert given(chain) == [(f"app-{n:06d}", d) for n, d in ((1, "d1"), (3, "d3"), (1, "d4"), (1, "d5"))]
