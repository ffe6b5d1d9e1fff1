"""What a plain book of all coupons says of a log, and what the job has told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from alerts.coupons.code import Forged
from features import events as e
from features.loop import Store, batches, run
from features.record import Coupon, decode_ledger
from features.times import DAY_MS
from tests.alerts.coupons.streams import RULES
from tests.alerts.triggers.jobs import CODES, customers_job, encoded

JOB = customers_job(RULES)
THEN = {rule.id: rule.then for rule in RULES}


def after(log: list[e.Event], cuts: Iterable[int] = (), store: Store | None = None) -> Store:
    return run(JOB, batches("events", 0, encoded(log), cuts), {0: store or Store()})[0]


def told(store: Store) -> list[tuple[str, str, str, str]]:
    """(turn, reason, decision, event) of all verdicts, in order."""
    found = [orjson.loads(message.value) for message in store.sent if message.topic == "redemptions"]
    data = [(one["type"].removeprefix("brewline.coupon."), one["data"]) for one in found]
    return [(turn, one["reason"], one["decision"], one["event"]) for turn, one in data]


def held(store: Store, customer: str = "ca") -> dict[int, Coupon]:
    record = store.records[customer]
    return decode_ledger(record[JOB.core.merge(record, b"", 0).ledger :]).coupons


class Book:
    """All coupons that were ever issued, one dictionary each."""

    def __init__(self) -> None:
        self.coupons: list[dict[str, Any]] = []
        self.abusers: dict[str, int] = {}  # by customer, since when
        self.verdicts: list[tuple[str, str, str, str]] = []

    def issue(self, receipt: dict[str, Any]) -> None:
        then = THEN[receipt["rule"]]
        self.coupons.append(
            receipt
            | {"then": then, "code": CODES.code(receipt["decision"], receipt["expires_ms"])}
            | {"used": None, "void": None, "seen": False}
        )

    def hear(self, event: e.Event) -> None:
        mine = [coupon for coupon in self.coupons if coupon["customer"] == event.customer]
        if isinstance(event, e.CouponRedeemed):
            self.redeem(event, mine)
        elif isinstance(event, e.Refund):
            self.undo(event, mine)
        elif isinstance(event, e.Suppress):
            self.abusers[event.customer] = min(event.at_ms, self.abusers.get(event.customer, event.at_ms))
            for coupon in mine:
                self.revoke(coupon, event, "abuse")
        elif isinstance(event, e.CouponOpened | e.CouponRevoked):
            for coupon in mine:
                if event.coupon == coupon["decision"] or event.coupon.upper() == coupon["code"]:
                    if isinstance(event, e.CouponRevoked):
                        self.revoke(coupon, event, "withdrawn")
                    elif not coupon["seen"]:
                        coupon["seen"] = True
                        self.tell("opened", "", coupon["decision"], event)

    def redeem(self, event: e.CouponRedeemed, mine: list[dict[str, Any]]) -> None:
        if len(event.coupon.replace("-", "")) != 20:
            return
        found = [coupon for coupon in mine if coupon["code"] == event.coupon.upper()]
        reason = self.refusal(event, found[0]) if found else self.nobodys(event)
        if not reason:
            found[0]["used"] = (event.at_ms, event.order)
        self.tell("refused" if reason else "redeemed", reason, found[0]["decision"] if found else "", event)

    def nobodys(self, event: e.CouponRedeemed) -> str:
        try:
            signed = CODES.read(event.coupon)
        except Forged:
            return "forged"
        assert signed is not None
        return "expired" if event.at_ms // DAY_MS > signed.last_day else "not_yours"

    def refusal(self, event: e.CouponRedeemed, coupon: dict[str, Any]) -> str:
        then = coupon["then"]
        if coupon["used"]:
            return "already_redeemed"
        if coupon["void"] and coupon["void"][0] <= event.at_ms:
            return "revoked"
        if event.at_ms >= coupon["expires_ms"]:
            return "expired"
        if event.at_ms >= self.abusers.get(event.customer, event.at_ms + 1):
            return "held"
        if then.stores and not (event.store in then.stores or event.region in then.regions):
            return "wrong_store"
        return "below_minimum" if event.total_cents < then.min_spend_cents else ""

    def undo(self, event: e.Refund, mine: list[dict[str, Any]]) -> None:
        for coupon in mine:
            if coupon["cause"] == event.order:
                self.revoke(coupon, event, e.kind_of(event))
            in_time = event.at_ms < coupon["expires_ms"]
            if isinstance(event, e.Void) and in_time and coupon["used"] and coupon["used"][1] == event.order:
                coupon["used"] = None
                if coupon["void"]:
                    self.tell("revoked", coupon["void"][1], coupon["decision"], event)
                else:
                    self.tell("restored", "", coupon["decision"], event)

    def revoke(self, coupon: dict[str, Any], event: e.Event, reason: str) -> None:
        if coupon["void"] or event.at_ms >= coupon["expires_ms"]:
            return
        coupon["void"] = (event.at_ms, reason)
        if not coupon["used"]:
            self.tell("revoked", reason, coupon["decision"], event)

    def tell(self, turn: str, reason: str, of: str, event: e.Event) -> None:
        self.verdicts.append((turn, reason, of, event.id))


def expected(log: list[e.Event], coupons: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Events one by one, each once; a coupon is issued behind the event that caused it."""
    book, seen = Book(), set[tuple[str, str]]()
    for event in log:
        if (event.customer, event.id) not in seen:
            seen.add((event.customer, event.id))
            book.hear(event)
            for receipt in coupons:
                if (receipt["customer"], receipt["cause"]) == (event.customer, event.id):
                    book.issue(receipt)
    return book.verdicts
