"""Members: who they are, how they identify themselves, and their habits."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from features.events import Line, Who
from features.times import HOUR_MS
from sim.menu import mix_drink, pick
from sim.stores import HOURS, Store

# 165 belongs to virtual operators; 165 0... counted up from zero is valid in form and clearly made up
_PHONE_FORMS = ("165{0}{1}", "+86 165 {0} {1}", "165-{0}-{1}", "+86165{0}{1}", "0086 165 {0} {1}", "165 {0} {1}")
_DAYS_BETWEEN_VISITS = (1.0, 1.0, 1.0, 2.0, 3.0, 5.0)
NEVER_MS = 1 << 62


class Coupon(Struct):
    """A coupon in a member's hands."""

    id: str
    campaign: str
    face_value_cents: int


class Member(Struct):
    """A customer with their own rhythm. `gap_days` is the mean time between visits."""

    number: int
    app_id: str
    card: str
    marketplace_id: str  # "" for those who never order there
    store: Store
    usual: Line
    minute: int  # of the local day, when they like to come
    gap_days: float
    app_share: float  # of their orders
    response: float  # to coupons; 1 is average
    joins_ms: int
    lapses_ms: int = NEVER_MS
    consents: bool = False
    busy_until_ms: int = 0
    paid_cents: int = 0
    coupons: list[Coupon] = []

    def phone(self, rng: Random) -> str:
        """The phone number, written as people write it."""
        digits = f"{self.number:08d}"
        return pick(rng, _PHONE_FORMS).format(digits[:4], digits[4:])

    def at_till(self, rng: Random) -> Who:
        """What a member shows at the till: card, phone or app."""
        draw = rng.random()
        if draw < 0.45:
            return Who(card=self.card)
        return Who(phone=self.phone(rng)) if draw < 0.8 else Who(app_id=self.app_id)


def app_id_of(number: int) -> str:
    return f"app-{number:06d}"


def phone_of(number: int) -> str:
    """A member's device; of fifty members two share one, and three share another, as families do."""
    place = number % 50
    shared = {8: 7, 18: 17, 19: 17}.get(place, place)
    return f"phone-{number - place + shared:06d}"


def sign_up(rng: Random, stores: list[Store], count: int, span: tuple[int, int], lapse: float) -> list[Member]:
    """`count` members: nine in ten join in the first 20 minutes of the span (ms), the rest as it goes on."""
    return [_member(rng, n, stores, span, lapse) for n in range(1, count + 1)]


def _member(rng: Random, n: int, stores: list[Store], span: tuple[int, int], lapse: float) -> Member:
    start_ms, end_ms = span
    store = pick(rng, stores)
    joins_ms = start_ms + int(rng.random() * (HOUR_MS / 3 if n % 10 else end_ms - start_ms))
    lapses_ms = joins_ms + int(rng.uniform(0.2, 1) * max(0, end_ms - joins_ms)) if rng.random() < lapse else NEVER_MS
    return Member(
        number=n,
        app_id=app_id_of(n),
        card=f"C{n:07d}",
        marketplace_id=f"mkt-{n:06d}" if rng.random() < 0.3 else "",
        store=store,
        usual=mix_drink(rng),
        minute=rng.choices(range(24), HOURS)[0] * 60 + int(rng.random() * 60),
        gap_days=pick(rng, _DAYS_BETWEEN_VISITS),
        app_share=rng.uniform(0.1, 0.8),
        response=rng.uniform(0.4, 1.6),
        joins_ms=joins_ms,
        lapses_ms=lapses_ms,
    )
