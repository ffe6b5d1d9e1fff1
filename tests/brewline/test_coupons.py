"""The commands on coupons say what the customer's record says, as of a time, and what a till would."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from alerts.coupons.check import Attempt
from alerts.triggers.receipts.receipt import decision_id
from brewline.coupons import check_coupon, revoke_coupon, show_coupons
from config import settings as conf
from features import events as e
from features.times import DAY_MS, HOUR_MS
from operators.customers import UnknownCustomer
from operators.servers import RedisServer
from tests.alerts.triggers.jobs import CODES, COUPON_KEY
from tests.brewline.town import NOON_MS, Town, order, tick

pytestmark = pytest.mark.servers
RULE = """
id = "thanks"
on = ["order"]
when = "true"
then = { coupon = "TY", percent = 20, at_most_cents = 900, valid = "2d", regions = ["east"], min_spend_cents = 2000 }
cooldown = "1s"
[[test]]
name = "fires"
events = [{ type = "order" }]
fires_at = ["+0s"]
[[test]]
name = "is quiet"
events = [{ type = "login" }]
"""
DECISION = decision_id("thanks", "ca", "o1")
CODE = CODES.code(DECISION, NOON_MS + 2 * DAY_MS)


@pytest.fixture
def settings(redis: RedisServer, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> conf.Settings:
    """Those of a town with one rule, where ca has ordered."""
    monkeypatch.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)
    (tmp_path / "thanks.toml").write_text(RULE)
    (tmp_path / "stores.csv").write_text("store,region,timezone\ns1,east,Asia/Shanghai\ns2,west,Asia/Shanghai\n")
    coupons = conf.Coupons(rules=str(tmp_path), campaigns="", holdout_percent=0.0, require_consent="")
    prefix, stores = topic_prefix.rstrip("-"), conf.Stores(file=str(tmp_path / "stores.csv"))
    home = conf.Settings(
        redis=conf.Redis(redis.url, prefix),
        time=conf.Time(clock="event"),
        stores=stores,
        coupons=coupons,
        folder=str(conf.HERE),
    )
    town = Town(home)
    opened = e.CouponOpened(id="p", customer="ca", at_ms=NOON_MS + HOUR_MS, coupon=DECISION)
    town.live(order(1), opened, order(9, "cb"), tick(72))
    return home


def said(settings: conf.Settings, run: object, *args: object) -> tuple[object, str]:
    out = Console(file=io.StringIO(), width=200)
    return run(settings, *args, out), out.file.getvalue().strip()  # type: ignore[operator, attr-defined]


def test_coupons_are_listed_with_the_state_they_were_in(settings: conf.Settings) -> None:
    for hours, state in ((0, "issued"), (1, "opened"), (47, "opened"), (48, "expired")):
        _, told = said(settings, show_coupons, "ca", NOON_MS + hours * HOUR_MS, True)
        [coupon] = json.loads(told)["coupons"]
        assert (coupon["state"], coupon["decision"], coupon["cause"]) == (state, DECISION, "o1")
        _, told = said(settings, show_coupons, "ca", NOON_MS + hours * HOUR_MS, False)
        assert all(word in told for word in ("TY", "thanks", "20 %, at most 9.00", state, DECISION))
        assert CODE not in told
    assert said(settings, show_coupons, "ca", NOON_MS - 1, False)[1].startswith("ca has no coupons as of ")
    with pytest.raises(UnknownCustomer):
        said(settings, show_coupons, "c-nobody", NOON_MS, False)


def test_a_check_says_what_a_till_would(settings: conf.Settings) -> None:
    fine = Attempt(CODE, NOON_MS + HOUR_MS, "s1", total_cents=2_000)
    for customer, attempt, told in (
        ("ca", fine, "yes: TY, 20 %, at most 9.00, until 2026-05-06T04:00"),
        ("cb", fine, "no: not_yours"),
        ("ca", Attempt(CODE, fine.at_ms, "s2", total_cents=2_000), "no: wrong_store"),
        ("ca", Attempt(CODE, fine.at_ms, "s1", total_cents=1_999), "no: below_minimum"),
        ("ca", Attempt(CODE, NOON_MS + 2 * DAY_MS, "s1", total_cents=2_000), "no: expired"),
        ("ca", Attempt("WB5", fine.at_ms), "no: unknown"),
        ("", fine, "genuine, until 2026-05-06 at the latest; whether it is unused and whose, tell with --customer"),
    ):
        assert said(settings, check_coupon, customer, attempt, False) == (int(told.startswith("no")), told)
    code, told = said(settings, check_coupon, "ca", fine, True)
    assert (code, json.loads(told)["ok"], json.loads(told)["coupon"]["decision"]) == (0, True, DECISION)


def test_what_is_over_or_not_there_is_not_revoked(settings: conf.Settings) -> None:
    assert said(settings, revoke_coupon, "ca", CODE, "") == (1, "nothing to take back: it is expired")
    with pytest.raises(ValueError, match="the customer has no such coupon"):
        said(settings, revoke_coupon, "cb", DECISION, "")
