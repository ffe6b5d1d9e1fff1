"""Texts that others wrote are printed as they stand, whatever markup they look like."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from brewline import brake, campaigns, coupons, reviews, rules, tickets
from brewline.backtests.tables import _campaigns
from config import settings as conf
from config.settings import Settings
from features.outgoing import BrakeTurn
from features.record import Coupon, Ledger

ODD = "[/urgent] 12"


@pytest.fixture
def out() -> Console:
    return Console(file=io.StringIO(), width=200)


def told(out: Console) -> int:
    return out.file.getvalue().count(ODD)  # type: ignore[attr-defined, no-any-return]


def test_tickets(out: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    row: dict[str, Any] = {"ticket": ODD, "priority": "other", "state": "open", "store": ODD, "opened_ms": 0}
    monkeypatch.setattr(tickets, "connect_redis", lambda *_: None)
    monkeypatch.setattr(tickets, "read_tickets", lambda *_: [{**row, "customer": "c1", "clocks": {}}])
    tickets.show_tickets(Settings(), True, "", False, out)
    assert told(out) == 2


def test_coupons(out: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(coupons={1: Coupon(decision=ODD, rule=ODD, name=ODD)})
    monkeypatch.setattr(coupons, "Wallet", lambda *_: SimpleNamespace(customer="c1", ledger=lambda: ledger))
    coupons.show_coupons(Settings(), "c1", 1, False, out)
    assert told(out) == 3


def test_cases_of_review(out: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    case = {"case": ODD, "signal": ODD, "state": "released", "decided_by": ODD, "opened_ms": 0, "held": [], "why": ODD}
    monkeypatch.setattr(reviews, "read_cases", lambda _: [case])
    reviews.show_cases(Settings(), False, out)
    assert told(out) == 4


def test_brakes(out: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = BrakeTurn(campaign=ODD, place="", state="paused", at_ms=0, by=ODD, reason=ODD, revision=1)
    monkeypatch.setattr(brake, "read_turns", lambda _: [turn])
    brake.show_brakes(Settings(), True, False, out)
    assert told(out) == 3


def test_rules(out: Console, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'id = "r"\non = ["order"]\nwhen = "hour > 3"\ncooldown = "1d"\n'
        f'then = {{ coupon = "{ODD}", face_value_cents = 100, campaign = "{ODD}" }}\n'
        '[[test]]\nname = "a"\nevents = [{ type = "order", at = "+5h" }]\nfires_at = ["+5h"]\n'
        '[[test]]\nname = "b"\nevents = [{ type = "order" }]\n'
    )
    house = conf.load(environ={})
    house.coupons.rules = str(tmp_path)
    rules.check_rules(house, out)
    assert told(out) == 2


def test_campaigns(out: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    row: dict[str, Any] = {
        "campaign": "c",
        "state": "running",
        "paused": [ODD],
        "ran_out": [f"store:{ODD}"],
        "given": 0,
    }
    cents = dict.fromkeys(("spent_cents", "budget_cents", "reserved_cents", "burn_cents", "coupons"))
    monkeypatch.setattr(campaigns, "connect_redis", lambda *_: None)
    monkeypatch.setattr(campaigns, "read_campaigns", lambda *_: [row | cents])
    campaigns.show_campaigns(conf.load(environ={}), out)
    seen = {"cents": 0, "budget_cents": None, "stock": None, "coupons": 0, "ran_out": {f"store:{ODD}": "2026-05-01"}}
    out.print(_campaigns({"campaigns": {"c": seen}}))
    assert told(out) == 3
