"""Faults of a large chain, with the truth of when and where, and what each does to counts."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.stores import Store

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TILL, PAYMENT, COUPON, APP, LATE, PRICE, CHAIN, DRIFT = (
    "till_offline",
    "payment_outage",
    "misconfigured_coupon",
    "app_down",
    "late_deliveries",
    "price_error",
    "chain_outage",
    "slow_drift",
)
KINDS = (TILL, PAYMENT, COUPON, APP, LATE, PRICE, CHAIN, DRIFT)
SHORTAGE = "not_sold"  # of a category: beside those, on days of its own
CHANNELS = ("pos", "app", "delivery", "marketplace")
CAMPAIGNS = ("welcome", "winback", "season", "birthday")  # whose coupons are redeemed
CATEGORIES = {"milk_tea": 0.4, "fruit_tea": 0.38, "pure_tea": 0.2, "coffee": 0.2, "snack": 0.15}  # shares of orders
TAKES_ANOTHER = 0.5  # of the guests who cannot have what they came for
A_DAY = 5
FIRST_HOUR, HOURS_APART = 2.5, 2.25  # UTC: from half past ten in the morning to half past eight in the evening there
LASTS_MINUTES = {CHAIN: 40, DRIFT: 120, TILL: 90}
USUALLY = 60


class Outage(Struct, frozen=True):
    """`dim`: where it is, as an alert should name it; `campaign`, `category`: of which coupons or products it is."""

    kind: str
    from_ms: int
    to_ms: int
    dim: str
    campaign: str = ""
    category: str = ""

    @property
    def where(self) -> str:
        """The chain, or the region, channel or store."""
        if not self.category:
            return self.dim
        kinds, _, values = self.dim.partition(":")
        return "chain:*" if kinds == "category" else f"region:{values.partition('+')[0]}"


class Push(NamedTuple):
    """What is multiplied, [channels, minutes, stores]; `heard` [minutes, stores]: whether a till says anything."""

    orders: Floats
    redeems: Floats
    price: Floats
    opens: Floats
    refunds: Floats
    complains: Floats
    late: Floats
    heard: Flags
    abused: dict[str, Flags]  # by campaign, where only its coupons are redeemed more often
    missing: dict[str, Flags]  # by category, where none of it is sold


def plan_outages(seed: int, stores: list[Store], start_ms: int, days: int) -> list[Outage]:
    """Five a day, one after the other, of all kinds in turn; at a random store or region, from a random minute on."""
    random, found = Random(f"outages {seed}"), []
    regions = sorted({store.region for store in stores})
    for number in range(A_DAY * days):
        kind, (day, turn) = KINDS[number % len(KINDS)], divmod(number, A_DAY)
        from_ms = start_ms + day * DAY_MS + int((FIRST_HOUR + turn * HOURS_APART) * HOUR_MS)
        from_ms += random.randrange(15) * MINUTE_MS
        place = f"store:{random.choice(stores).id}" if kind == TILL else f"region:{random.choice(regions)}"
        dim = {APP: "channel:app", CHAIN: "chain:*"}.get(kind, place)
        campaign = CAMPAIGNS[number % len(CAMPAIGNS)] if kind == COUPON else ""
        found.append(Outage(kind, from_ms, from_ms + LASTS_MINUTES.get(kind, USUALLY) * MINUTE_MS, dim, campaign))
    return found


def plan_shortages(seed: int, stores: list[Store], start_ms: int, days: int) -> list[Outage]:
    """As many, at the same hours: a category of which nothing is sold, in the chain and in a region in turn."""
    random, found = Random(f"shortages {seed}"), []
    regions = sorted({store.region for store in stores})
    for number in range(A_DAY * days):
        day, turn = divmod(number, A_DAY)
        from_ms = start_ms + day * DAY_MS + int((FIRST_HOUR + turn * HOURS_APART) * HOUR_MS)
        from_ms += random.randrange(15) * MINUTE_MS
        category, region = random.choice([*CATEGORIES]), random.choice(regions)
        dim = f"region+category:{region}+{category}" if number % 2 else f"category:{category}"
        found.append(Outage(SHORTAGE, from_ms, from_ms + USUALLY * MINUTE_MS, dim, category=category))
    return found


def push(at_ms: int, outages: list[Outage], stores: list[Store]) -> Push:
    """Of the hour that begins then."""
    shape = (len(CHANNELS), 60, len(stores))
    found = Push(*(np.ones(shape) for _ in range(7)), np.ones((60, len(stores)), bool), {}, {})
    minutes = at_ms + np.arange(60) * MINUTE_MS
    names = {"store": np.array([s.id for s in stores]), "region": np.array([s.region for s in stores])}
    for outage in outages:
        when = (minutes >= outage.from_ms) & (minutes < outage.to_ms)
        if when.any():
            place, name = outage.where.split(":")
            where = names[place] == name if place in names else np.ones(len(stores), bool)
            _push(found, outage, minutes, when[:, None] & where[None, :])
    return found


def _push(found: Push, outage: Outage, minutes: NDArray[np.int64], there: Flags) -> None:
    pos, app, delivery, _ = range(len(CHANNELS))
    if outage.kind == TILL:
        found.heard[...] &= ~there
    elif outage.kind == PAYMENT:
        found.orders[pos] *= np.where(there, 0.25, 1.0)
    elif outage.kind == CHAIN:
        found.orders[...] *= np.where(there, 0.1, 1.0)
    elif outage.kind == APP:
        found.orders[app] *= np.where(there, 0.0, 1.0)
        found.opens[...] *= np.where(there, 0.3, 1.0)
    elif outage.kind == COUPON:
        found.redeems[...] *= np.where(there, 4.0, 1.0)
        found.abused[outage.campaign] = there
    elif outage.kind == PRICE:
        found.price[...] *= np.where(there, 0.5, 1.0)
    elif outage.kind == LATE:
        found.late[delivery] *= np.where(there, 10.0, 1.0)
        found.complains[delivery] *= np.where(there, 10.0, 1.0)
    elif outage.kind == SHORTAGE:
        found.orders[...] *= np.where(there, 1 - CATEGORIES[outage.category] * (1 - TAKES_ANOTHER), 1.0)
        found.missing[outage.category] = there
    else:
        sunk = 1 - 0.6 * (minutes - outage.from_ms) / (outage.to_ms - outage.from_ms)
        found.orders[...] *= np.where(there, sunk[:, None], 1.0)
