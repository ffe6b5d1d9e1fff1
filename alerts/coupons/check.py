"""Whether a customer may use a coupon, and what state it is in: as of a time, by the customer's ledger."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from alerts.coupons.code import Codes, Forged
from features.record import Coupon, Ledger

State = Literal["issued", "delivered", "opened", "redeemed", "expired", "revoked"]


class Attempt(Struct, frozen=True):
    """Somebody presents a code at a till. `held`: the customer is under review, and may use nothing meanwhile."""

    code: str
    at_ms: int
    store: str = ""
    region: str = ""
    total_cents: int = 0  # of the order, before the coupon
    held: bool = False


def state(coupon: Coupon, at_ms: int) -> State:
    """As of a time: what came later is left out."""
    for name, since_ms in (
        ("redeemed", coupon.redeemed_ms),
        ("revoked", coupon.revoked_ms),
        ("expired", coupon.expires_ms),
        ("opened", coupon.opened_ms),
        ("delivered", coupon.delivered_ms),
    ):
        if 0 < since_ms <= at_ms:
            return name  # type: ignore[return-value]
    return "issued"


def judge(codes: Codes, ledger: Ledger, attempt: Attempt) -> tuple[str, Coupon | None]:
    """(why the attempt is refused, empty if it is not; the coupon, if it is the customer's)."""
    try:
        signed = codes.read(attempt.code)
    except Forged:
        return "forged", None
    if signed is None:
        return "unknown", None
    coupon = ledger.coupons.get(signed.serial)
    if coupon is None:  # others', or dropped: that is some time after it has expired
        return "expired" if signed.over(attempt.at_ms) else "not_yours", None
    return refusal(coupon, attempt), coupon


def refusal(coupon: Coupon, attempt: Attempt) -> str:
    """The first thing that stands against it; empty if nothing does."""
    limited = bool(coupon.stores or coupon.regions)
    against = {
        "already_redeemed": coupon.redeemed_ms > 0,
        "revoked": 0 < coupon.revoked_ms <= attempt.at_ms,
        "expired": attempt.at_ms >= coupon.expires_ms,
        "held": attempt.held,
        "wrong_store": limited and attempt.store not in coupon.stores and attempt.region not in coupon.regions,
        "below_minimum": attempt.total_cents < coupon.min_spend_cents,
    }
    return next((reason for reason, so in against.items() if so), "")
