"""Faults of a large chain, with the truth of when and where; and what each does to counts."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.stores import Store

Floats = NDArray[np.float64]

TILL_OFFLINE, PAYMENT, COUPON, APP, LATE, PRICE, CHAIN, DRIFT = (
    "till_offline", "payment_outage", "misconfigured_coupon", "app_down", "late_deliveries", "price_error",
    "chain_outage", "slow_drift",
)  # fmt: skip
KINDS = (TILL_OFFLINE, PAYMENT, COUPON, APP, LATE, PRICE, CHAIN, DRIFT)
A_DAY = 5
FIRST_HOUR, HOURS_APART = 2.5, 2.25  # UTC: from half past ten to half past nine in the evening there
MINUTES = {CHAIN: 40, DRIFT: 120, TILL_OFFLINE: 90}


class Fault(Struct, frozen=True):
    """`dim`: where it is, as an alert should name it."""

    kind: str
    from_ms: int
    to_ms: int
    dim: str


class Push(NamedTuple):
    """What faults multiply, [channels, minutes, stores]; `heard` [minutes, stores]: 0 where a till says nothing."""

    orders: Floats
    redeems: Floats
    price: Floats
    opens: Floats
    refunds: Floats
    complains: Floats
    heard: NDArray[np.bool_]


def plan_faults(seed: int, stores: list[Store], start_ms: int, days: int) -> list[Fault]:
    """Five a day, one after the other, of all kinds in turn; at a random store or region, from a random minute on."""
    random, found = Random(f"faults {seed}"), []
    regions = sorted({store.region for store in stores})
    for number in range(A_DAY * days):
        kind = KINDS[number % len(KINDS)]
        day, turn = divmod(number, A_DAY)
        from_ms = start_ms + day * DAY_MS + int((FIRST_HOUR + turn * HOURS_APART) * HOUR_MS)
        from_ms += random.randrange(15) * MINUTE_MS
        if kind == TILL_OFFLINE:
            busy = sorted(stores, key=lambda store: -store.walk_ins_a_day)[: max(1, len(stores) // 2)]
            dim = f"store:{random.choice(busy).id}"
        else:
            dim = {APP: "channel:app", CHAIN: "chain:*"}.get(kind, f"region:{random.choice(regions)}")
        found.append(Fault(kind, from_ms, from_ms + MINUTES.get(kind, 60) * MINUTE_MS, dim))
    return found


def push(at_ms: int, faults: list[Fault], stores: list[Store], channels: list[str]) -> Push:
    """Of the hour that begins then."""
    shape = (len(channels), 60, len(stores))
    found = Push(*(np.ones(shape) for _ in range(6)), np.ones((60, len(stores)), bool))
    minutes = at_ms + np.arange(60) * MINUTE_MS
    regions, ids = np.array([store.region for store in stores]), np.array([store.id for store in stores])
    for fault in faults:
        when = (minutes >= fault.from_ms) & (minutes < fault.to_ms)
        place, name = fault.dim.split(":")
        where = {"store": ids == name, "region": regions == name}.get(place, np.ones(len(stores), bool))
        there = when[:, None] & where[None, :]
        if fault.kind == TILL_OFFLINE:
            found.heard[...] &= ~there
        elif fault.kind == PAYMENT:
            found.orders[0] *= np.where(there, 0.25, 1.0)
        elif fault.kind == CHAIN:
            found.orders[...] *= np.where(there, 0.1, 1.0)
        elif fault.kind == APP:
            found.orders[channels.index("app")] *= np.where(there, 0.0, 1.0)
            found.opens[...] *= np.where(there, 0.3, 1.0)
        elif fault.kind == COUPON:
            found.redeems[...] *= np.where(there, 4.0, 1.0)
        elif fault.kind == PRICE:
            found.price[...] *= np.where(there, 0.5, 1.0)
        elif fault.kind == LATE:
            found.complains[2] *= np.where(there, 60.0, 1.0)
            found.refunds[2] *= np.where(there, 15.0, 1.0)
        else:
            sunk = 1 - 0.6 * np.clip((minutes - fault.from_ms) / (fault.to_ms - fault.from_ms), 0, 1)
            found.orders[...] *= np.where(there, sunk[:, None], 1.0)
    return found
