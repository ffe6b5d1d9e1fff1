"""A small life whose back-test can be counted by hand."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from alerts.triggers.backtests.backtest import Span
from brewline.backtests.choice import choose
from brewline.backtests.command import Asked, backtest
from config import settings as conf
from features import events as e
from features.times import DAY_MS, HOUR_MS
from flows.files import load_catalog

HOUSE = conf.load(environ={"BREWLINE_COUPONS__HOLDOUT_PERCENT": "0", "BREWLINE_COUPONS__QUIET_HOURS": ""})
CATALOG = load_catalog(HOUSE)
NOON_MS = 1_777_867_200_000  # Monday, 4 May 2026, 12:00 in Shanghai
RULE = "third-in-a-week"
OUT = Console(file=StringIO(), width=200)


def order(card: str, at_ms: int, **more: object) -> e.Order:
    return e.Order(
        id=f"{card}-{at_ms}", time=at_ms, who=e.Who(card=card), lines=[e.Line("tea")], total_cents=1800, **more
    )


def consent(card: str) -> e.Consent:
    return e.Consent(id=f"c{card}", time=NOON_MS - DAY_MS, who=e.Who(card=card), purpose="marketing", granted=True)


def life() -> list[e.Event]:
    """One who orders daily for four days, one twice and then never, one without consent; and a redeemed coupon."""
    daily = [order("anna", NOON_MS + day * DAY_MS) for day in range(4)]
    twice = [order("ben", NOON_MS + day * DAY_MS) for day in range(2)]
    stranger = [order("cleo", NOON_MS + hour * HOUR_MS) for hour in range(3)]
    redeemed = e.CouponRedeemed(
        id="r", time=NOON_MS + 5 * DAY_MS, who=e.Who(card="anna"), coupon="x", campaign="thanks"
    )
    last = e.AppOpen(id="last", time=NOON_MS + 20 * DAY_MS, who=e.Who(card="ben"))
    return [consent("anna"), consent("ben"), *daily, *twice, *stranger, redeemed, last]


def ndjson(tmp_path: Path, events: list[e.Event]) -> str:
    file = tmp_path / "life.ndjson"
    file.write_bytes(b"\n".join(map(e.encode, events)))
    return str(file)


def tried(history: str, *rules: str, consent: bool = False, span: Span | None = None) -> dict:
    names = list(rules) or [RULE]
    return backtest(HOUSE, choose(HOUSE, names, [], False, span or Span()), Asked(history, consent, None, None), OUT)
