"""A large chain's life as counts by minute, for what judges counts: the laws of the simulation without its people.

Demand by hour and weekday, opening hours, weather and its effects are those of `sim.stores` and `sim.weather`; what the
simulated people do one by one (channels, coupons, refunds, complaints) is drawn here in sums. Days are good or bad for
the chain and for each store, minutes crowd together, visitors are counted by five minutes, members grow in number.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.times import DAY_MS, HOUR_MS, local_ms
from sim.faults_of_chain import Fault, Push, push
from sim.stores import DAYS, HOURS, Store, open_stores, weekday
from sim.weather import MEAN_C, WET_MM

COUNTERS = (
    "orders", "revenue_cents", "visits", "redemptions", "new_members", "refunds", "complaints", "discount_cents",
    "wet_orders",
)  # fmt: skip
CHANNELS = {"pos": 0.6, "app": 0.2, "delivery": 0.12, "marketplace": 0.08}
IN_APP = [1, 2]  # places among them
AMOUNT_CENTS, AMOUNT_SD = 1_900, 0.55  # of an order, log-normal
REDEEMS, FACE_CENTS = 0.16, 500
REFUNDS, COMPLAINTS, JOINS = 0.012, 0.004, 0.015
DOOR, OPENS = 1.6, 2.5  # visitors at the door an order at the till; openings of the app an order in it
GROWS = 0.01  # a day: orders in the app
CHAIN_DAY, STORE_DAY, CROWD = 0.03, 0.06, 0.02  # spread of good and bad days; of quarters of an hour, squared

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Minutes(NamedTuple):
    """An hour: [minutes, stores, counters], and the same by channel in [channels, minutes, stores, counters]."""

    at_ms: int
    counts: Ints
    channels: Ints


class Town:
    """`orders_a_day`: of a middling store."""

    def __init__(self, seed: int, stores: int, orders_a_day: float, start_ms: int) -> None:
        self.stores: list[Store] = open_stores(Random(seed), stores)
        self.regions = np.array([store.region for store in self.stores])
        self.size = np.array([store.walk_ins_a_day for store in self.stores]) / 105 * orders_a_day
        self.random, self.start_ms = np.random.default_rng(seed), start_ms
        self.rain = dict.fromkeys(MEAN_C, 0.0)
        self.spell = dict.fromkeys(MEAN_C, 0.0)
        self.day = np.ones(stores)

    def hours(self, hours: int, faults: list[Fault]) -> Iterator[Minutes]:
        for hour in range(hours):
            at_ms = self.start_ms + hour * HOUR_MS
            if hour % 24 == 0:
                self.day = np.exp(self.random.normal(0, CHAIN_DAY) + self.random.normal(0, STORE_DAY, len(self.stores)))
            yield self._hour(
                at_ms, [fault for fault in faults if fault.from_ms < at_ms + HOUR_MS and fault.to_ms > at_ms]
            )

    def _demand(self, at_ms: int) -> Floats:
        """Orders an hour."""
        found = np.empty(len(self.stores))
        for place, store in enumerate(self.stores):
            found[place] = store.demand(at_ms)
        return found * self.size * self.day

    def _weather(self, at_ms: int) -> dict[str, tuple[float, bool]]:
        """By region, how many come as a share of a mild dry day, and whether it rains."""
        found = {}
        for region, mean_c in MEAN_C.items():
            wets = self.random.random() < (0.75 if self.rain[region] else 0.04)
            self.rain[region] = 0.2 + self.random.exponential(2.5) if wets else 0.0
            self.spell[region] = 0.98 * self.spell[region] + self.random.normal(0, 0.6)
            hour = local_ms(at_ms, "Asia/Shanghai") % DAY_MS / HOUR_MS
            warm = mean_c + 5 * np.cos((hour - 15) * np.pi / 12) + self.spell[region]
            wet = self.rain[region] >= WET_MM
            found[region] = (0.5 if wet else float(np.clip(1 + (warm - 23) / 35, 0.8, 1.2)), wet)
        return found

    def _hour(self, at_ms: int, faults: list[Fault]) -> Minutes:
        random, stores = self.random, len(self.stores)
        weather = self._weather(at_ms)
        come = np.array([weather[region][0] for region in self.regions])
        wet = np.array([weather[region][1] for region in self.regions])
        shares = np.array(list(CHANNELS.values()))[:, None] * np.ones(stores)
        days = (at_ms - self.start_ms) / DAY_MS
        shares[IN_APP] *= (1 + GROWS) ** days
        shares[2] *= np.where(wet, 2.0, 1.0)
        shares[0] *= come
        crowd = np.repeat(random.gamma(1 / CROWD, CROWD, (4, stores)), 15, axis=0)
        rate = (shares * self._demand(at_ms) / 60)[:, None, :] * crowd  # channels x minutes x stores
        pushed: Push = push(at_ms, faults, self.stores, list(CHANNELS))
        orders = random.poisson(rate * pushed.orders)
        return Minutes(at_ms, *self._counts(rate, orders, pushed, wet))

    def _counts(self, rate: Floats, orders: Ints, pushed: Push, wet: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        random = self.random
        found = np.zeros((*orders.shape, len(COUNTERS)), np.int64)
        redeemed = random.binomial(orders, np.minimum(0.95, REDEEMS * pushed.redeems))
        discount = redeemed * FACE_CENTS
        mean = AMOUNT_CENTS * pushed.price
        noise = random.normal(0, 1, orders.shape) * np.sqrt(orders) * AMOUNT_SD * mean
        found[..., 0], found[..., 3], found[..., 7] = orders, redeemed, discount
        found[..., 1] = np.maximum(orders * 100, orders * mean + noise - discount)
        door = random.poisson(DOOR * rate[0].reshape(-1, 5, rate.shape[-1]).sum(axis=1))
        found[0, 4::5, :, 2] = door
        found[1, :, :, 2] = random.poisson(OPENS * rate[IN_APP].sum(axis=0) * pushed.opens[1])
        found[..., 4] = random.poisson(rate * JOINS * pushed.orders)
        found[..., 5] = random.binomial(orders, np.minimum(0.9, REFUNDS * pushed.refunds))
        found[..., 6] = random.poisson(rate * COMPLAINTS * pushed.complains)
        found[..., 8] = np.where(wet, orders, 0)
        found *= pushed.heard[None, :, :, None].astype(np.int64)
        return found.sum(axis=0), found


def opening(start_ms: int, tz: str) -> str:
    """The weekday's name in the order of DAYS; for people who read plots."""
    return ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[weekday(start_ms, tz)]


__all__ = ["COUNTERS", "DAYS", "HOURS", "Minutes", "Town"]
