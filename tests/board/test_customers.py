"""A customer on the board: the same as the commands say, by customer id alone, for a purpose."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from board.app import API, ENDPOINTS
from brewline.reading import Features
from brewline.why import Explaining
from config import settings as conf
from features.times import HOUR_MS
from operators.redis_link import connect_redis
from tests.board.conftest import SignedIn
from tests.brewline.town import NOON_MS, Town, consent, order, tick

pytestmark = pytest.mark.servers
PURPOSE = {"x-purpose": "a complaint"}


@pytest.fixture
def asker(board_settings: conf.Settings, signed_in: SignedIn) -> TestClient:
    """Marketing, in a town where one customer orders often and another once."""
    orders = [order(1), order(2, hours=2), order(3, hours=5), order(4, hours=30)]
    Town(board_settings).live(tick(-1), consent(), *orders, order(9, customer="cb", hours=31))
    client = signed_in("marketing")
    client.headers |= PURPOSE
    return client


def test_features_of_many_are_those_that_programs_read(asker: TestClient, board_settings: conf.Settings) -> None:
    at_ms = NOON_MS + 40 * HOUR_MS
    told = asker.get(f"{API}/features?customers=ca,nobody,cb&at={at_ms}").json()
    redis = connect_redis(board_settings.redis.url, 5.0)
    assert told == {"at_ms": at_ms, "items": Features(board_settings, redis).read_many(["ca", "cb"], at_ms)}
    assert told["items"]["ca"]["orders_7d"] == 4
    written = asker.get(f"{API}/features", params={"customers": "ca", "at": "2026-05-06T04:00:00+08:00"}).json()
    assert written["items"]["ca"] == told["items"]["ca"]
    few = asker.get(f"{API}/features?customers=ca,ca,cb&at={at_ms}&features=last_store,orders_7d").json()
    names = ("last_store", "orders_7d")
    assert few["items"] == {who: {name: row[name] for name in names} for who, row in told["items"].items()}
    strange = asker.get(f"{API}/features?customers=ca&features=order_7d")
    assert strange.status_code == 400
    assert strange.json()["detail"] == "there is no feature 'order_7d'; did you mean 'orders_7d'?"
    assert asker.get(f"{API}/features?customers={','.join(map(str, range(101)))}").status_code == 400


def test_an_identifier_is_taken_in_a_body_only(asker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", "k" * 32)
    for path in ("features?customers=phone:%2B8613800000000", "customers/phone:%2B8613800000000"):
        refused = asker.get(f"{API}/{path}")
        assert refused.status_code == 400
        assert "13800000000" not in refused.text
    assert asker.post(f"{API}/customers/find", json={"id": " ca "}).json() == {"customer": "ca"}
    unknown = asker.post(f"{API}/customers/find", json={"id": "card:K77"})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "no customer is known by this card")


def test_a_profile_is_as_of_a_time_and_in_groups(asker: TestClient, board_settings: conf.Settings) -> None:
    at_ms = NOON_MS + 40 * HOUR_MS
    told = asker.get(f"{API}/customers/ca?at_ms={at_ms}").json()
    row = Features(board_settings, connect_redis(board_settings.redis.url, 5.0)).read("ca", at_ms)
    assert row is not None
    by_window = {one["name"]: dict(zip(told["windows"], one["values"], strict=True)) for one in told["measures"]}
    assert by_window["orders"]["24h"] == row["orders_24h"] == 1
    shown = {one["name"]: one["value"] for group in told["groups"] for one in group["items"]}
    counted = {f"{name}_{window}": value for name, values in by_window.items() for window, value in values.items()}
    assert {**shown, **{name: value for name, value in counted.items() if name in row}} == row, "nothing is left out"
    assert (told["newest_ms"], told["zone"]) == (NOON_MS + 30 * HOUR_MS, "Asia/Shanghai")
    assert [(one["purpose"], one["granted"]) for one in told["consents"]] == [("marketing", True)]
    assert told["coupons"][0]["state"] == "issued"
    early = asker.get(f"{API}/customers/ca?at_ms={NOON_MS}").json()
    assert early["coupons"] == [], "what came later is not known then"
    assert asker.get(f"{API}/customers/nobody").status_code == 404


def test_decisions_and_their_reasons_are_those_of_the_command(asker: TestClient, board_settings: conf.Settings) -> None:
    told = asker.get(f"{API}/customers/ca/decisions").json()
    kept = Explaining(board_settings, "ca").decisions("")
    assert [(one["decision"], one["reason"]) for one in told["items"]] == [(one.decision, one.reason) for one in kept]
    for name in ("because", "ran_out", "on_channel", "channel_cap"):
        assert [one[name] for one in told["items"]] == [getattr(one, name) for one in kept]
    assert {one["rule"]: one["outcome"] for one in told["items"]}["third-in-a-week"] == "issued"
    assert told["next"] == ""
    paged, after = [], ""
    for _ in range(len(kept)):
        page = asker.get(f"{API}/customers/ca/decisions?limit=1&after={after}").json()
        paged += page["items"]
        after = page["next"]
        if not after:
            break
    assert paged == told["items"], "page by page nothing is lost and nothing comes twice"


def test_what_a_rule_would_decide_names_what_has_to_change(asker: TestClient) -> None:
    at_ms = NOON_MS + 31 * HOUR_MS
    why = asker.get(f"{API}/customers/cb/why?rule=third-in-a-week&at_ms={at_ms}").json()
    assert (why["would_fire"], why["outcome"], why["to_change"][0]) == (
        False,
        "condition_false",
        "orders_7d is 1, needs 3 or more",
    )
    assert {one["outcome"] for one in why["barriers"]} >= {"no_consent", "capped"}
    scored = asker.get(f"{API}/customers/ca/why?rule=churn-risk&at_ms={at_ms}").json()["scores"]
    [churn] = [score for score in scored if score["value"] is not None]
    assert churn["rest"] + sum(term["added"] for term in churn["terms"]) == pytest.approx(churn["sum"], abs=1e-3)
    assert asker.get(f"{API}/customers/cb/why?rule=nope").status_code == 404


def test_whatever_opens_a_customers_data_asks_what_for() -> None:
    opens = {endpoint.name for endpoint in ENDPOINTS if "customers" in endpoint.path or endpoint.path == "/features"}
    assert opens == {
        endpoint.name for endpoint in ENDPOINTS if endpoint.personal and endpoint.name.startswith("customers.")
    }
