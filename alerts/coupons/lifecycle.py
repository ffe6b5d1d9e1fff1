"""What becomes of coupons once they are issued: delivered, opened, redeemed, expired or revoked.

The customer's ledger holds them, and only the job that owns it changes them: an event goes in, a verdict comes out.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import astuple

from alerts.coupons.check import Attempt, judge
from alerts.coupons.code import Codes, Forged, serial_of, symbols_of
from features import events as e
from features.outgoing import CouponVerdict, IssuedCoupon, Receipt
from features.record import Coupon, Ledger
from features.suppression import ABUSE, REVIEW, since, suppression


class Heard(Struct):
    """A verdict; `turn`: what has become of the coupon."""

    turn: str
    verdict: CouponVerdict


def under_review(ledger: Ledger, at_ms: int) -> bool:
    """Whether the customer may use nothing: what looks like abuse waits for a human, or was confirmed by one."""
    return any(suppression(ledger, at_ms, reason) for reason in (REVIEW, ABUSE))


class Lifecycle:
    """Without `codes`, coupons carry none and are known by their decision. `keep_ms`: how long they are kept when they
    have expired."""

    def __init__(self, topic: str, codes: Codes | None, keep_ms: int) -> None:
        self.topic = topic  # of verdicts
        self.codes = codes
        self.keep_ms = keep_ms

    def issue(
        self, ledger: Ledger, receipt: Receipt, min_spend_cents: int, stores: list[str], regions: list[str]
    ) -> IssuedCoupon:
        """Notes the coupon in the ledger; what is sent of it."""
        self._drop(ledger, receipt.at_ms)
        ledger.coupons[serial_of(receipt.decision)] = Coupon(
            decision=receipt.decision,
            rule=receipt.rule,
            name=receipt.coupon,
            campaign=receipt.campaign,
            face_value_cents=receipt.face_value_cents,
            percent=receipt.percent,
            at_most_cents=receipt.at_most_cents,
            min_spend_cents=min_spend_cents,
            stores=stores,
            regions=regions,
            cause=receipt.cause,
            issued_ms=receipt.at_ms,
            expires_ms=receipt.expires_ms,
        )
        code = self.codes.code(receipt.decision, receipt.expires_ms) if self.codes else ""
        told = astuple(receipt)
        return IssuedCoupon(*told, code=code, min_spend_cents=min_spend_cents, stores=stores, regions=regions)

    def _drop(self, ledger: Ledger, at_ms: int) -> None:
        """Those that have expired long ago."""
        gone = [serial for serial, coupon in ledger.coupons.items() if coupon.expires_ms + self.keep_ms <= at_ms]
        for serial in gone:
            del ledger.coupons[serial]

    def concerns(self, kind: str, ledger: Ledger) -> bool:
        """Whether such an event can change anything, or be judged."""
        return bool(ledger.coupons) or (kind == "coupon_redeemed" and self.codes is not None)

    def hear(self, ledger: Ledger, customer: str, event: e.Event) -> list[Heard]:
        """Changes the ledger; the verdicts, none where an event is about another system's coupon."""
        match event:
            case e.CouponRedeemed():
                return self._redeemed(ledger, customer, event)
            case e.CouponDelivered():
                return self._delivered(ledger, event)
            case e.CouponOpened():
                return self._opened(ledger, customer, event)
            case e.CouponRevoked():
                return self._revoked(ledger, customer, event)
            case e.Refund():
                return self._refunded(ledger, customer, event)
            case e.Suppress(reason=reason, lift=False) if reason == ABUSE:
                return self._confirmed(ledger, customer, event)
        return []

    def join(self, ledger: Ledger, customer: str, word: e.History, at_ms: int) -> list[Heard]:
        """Of one who was confirmed to abuse coupons, those that a merge has brought, or that were there before it."""
        confirmed_ms = since(ledger, at_ms, ABUSE)
        if not confirmed_ms:
            return []
        event = e.Suppress(id=word.id, customer=customer, at_ms=confirmed_ms, reason=ABUSE)
        return self._confirmed(ledger, customer, event)

    def _redeemed(self, ledger: Ledger, customer: str, event: e.CouponRedeemed) -> list[Heard]:
        if self.codes is None or not symbols_of(event.coupon):
            return []
        at_ms, place = event.at_ms, (event.store, event.region)
        attempt = Attempt(event.coupon, at_ms, *place, event.total_cents, under_review(ledger, at_ms))
        reason, coupon = judge(self.codes, ledger, attempt)
        if coupon is None or reason:
            return [_heard("refused", customer, event, coupon or Coupon("", ""), reason)]
        return [self.accept(coupon, customer, event)]

    def accept(self, coupon: Coupon, customer: str, event: e.CouponRedeemed) -> Heard:
        """The only place where a coupon becomes a used one; the verdict says decision, rule and the order's total."""
        coupon.redeemed_ms, coupon.order = event.at_ms, event.order
        return _heard("redeemed", customer, event, coupon)

    def _delivered(self, ledger: Ledger, event: e.CouponDelivered) -> list[Heard]:
        if coupon := self._named(ledger, event.coupon):
            coupon.delivered_ms = _earlier(coupon.delivered_ms, event.at_ms)
        return []

    def _opened(self, ledger: Ledger, customer: str, event: e.CouponOpened) -> list[Heard]:
        """Told once; an earlier time that comes later is noted all the same."""
        coupon = self._named(ledger, event.coupon)
        if coupon is None:
            return []
        first, coupon.opened_ms = not coupon.opened_ms, _earlier(coupon.opened_ms, event.at_ms)
        return [_heard("opened", customer, event, coupon)] if first else []

    def _revoked(self, ledger: Ledger, customer: str, event: e.CouponRevoked) -> list[Heard]:
        coupon = self._named(ledger, event.coupon)
        return self._revoke(coupon, customer, event, event.reason or "withdrawn") if coupon else []

    def _refunded(self, ledger: Ledger, customer: str, event: e.Refund) -> list[Heard]:
        """Of what the order earned, what is not used goes; what was used in it comes back, if all of it is undone."""
        heard = []
        for coupon in ledger.coupons.values():
            if coupon.cause == event.order:
                heard += self._revoke(coupon, customer, event, e.kind_of(event))
            if coupon.redeemed_ms and coupon.order == event.order and isinstance(event, e.Void):
                heard += self._give_back(coupon, customer, event)
        return heard

    def _confirmed(self, ledger: Ledger, customer: str, event: e.Suppress) -> list[Heard]:
        """A human has confirmed abuse: what is not used goes, one by one, for good."""
        return [heard for coupon in ledger.coupons.values() for heard in self._revoke(coupon, customer, event, ABUSE)]

    def _revoke(self, coupon: Coupon, customer: str, event: e.Event, reason: str) -> list[Heard]:
        """Of one that is used, it is noted for the case that it comes back."""
        if coupon.revoked_ms or event.at_ms >= coupon.expires_ms:
            return []
        coupon.revoked_ms, coupon.revoked_for = event.at_ms, reason
        return [] if coupon.redeemed_ms else [_heard("revoked", customer, event, coupon, reason)]

    def _give_back(self, coupon: Coupon, customer: str, event: e.Void) -> list[Heard]:
        if event.at_ms >= coupon.expires_ms:
            return []
        coupon.redeemed_ms, coupon.order = 0, ""
        if coupon.revoked_ms:
            return [_heard("revoked", customer, event, coupon, coupon.revoked_for)]
        return [_heard("restored", customer, event, coupon)]

    def _named(self, ledger: Ledger, name: str) -> Coupon | None:
        """By code, or by the id of the decision."""
        try:
            signed = self.codes.read(name) if self.codes else None
        except Forged:
            return None
        coupon = ledger.coupons.get(signed.serial if signed else serial_of(name))
        return coupon if coupon is None or signed or coupon.decision == name else None


def _earlier(noted_ms: int, at_ms: int) -> int:
    return min(noted_ms, at_ms) if noted_ms else at_ms


def _heard(turn: str, customer: str, event: e.Event, coupon: Coupon, reason: str = "") -> Heard:
    return Heard(
        turn,
        CouponVerdict(
            decision=coupon.decision,
            rule=coupon.rule,
            customer=customer,
            reason=reason,
            coupon=coupon.name,
            campaign=coupon.campaign,
            face_value_cents=coupon.face_value_cents,
            percent=coupon.percent,
            at_most_cents=coupon.at_most_cents,
            event=event.id,
            order=getattr(event, "order", ""),
            store=event.store,
            total_cents=event.total_cents if isinstance(event, e.CouponRedeemed) else 0,
            expires_ms=coupon.expires_ms,
            at_ms=event.at_ms,
        ),
    )
