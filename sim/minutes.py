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
from sim.outages import CAMPAIGNS, CATEGORIES, CHANNELS, TAKES_ANOTHER, Outage, Push, push
from sim.stores import Store, open_stores
from sim.weather import MEAN_C, WET_MM

COUNTERS = (
    "orders",
    "revenue_cents",
    "visits",
    "redemptions",
    "new_members",
    "refunds",
    "complaints",
    "discount_cents",
    "wet_orders",
    "promised",
    "late_deliveries",
    "heartbeats",
    "eligible_orders",
)
COLUMN = {name: place for place, name in enumerate(COUNTERS)}
POS, APP, DELIVERY = 0, 1, 2
IN_APP = [APP, DELIVERY]
SHARES = (0.6, 0.2, 0.12, 0.08)  # of the channels, on a mild dry day
AMOUNT_CENTS, AMOUNT_SD = 1_900, 0.55  # of an order, log-normal
OF_CAMPAIGNS = (0.45, 0.3, 0.15, 0.1)  # shares of coupons that are redeemed
MEMBERS, REDEEMS, FACE_CENTS = 0.6, 0.25, 500  # shares of orders: by members, of these with a coupon
REFUNDS, COMPLAINTS, JOINS = 0.012, 0.004, 0.015
LATE, BEATS = 0.06, 0.98  # of deliveries; of a till's heartbeats, one a minute while it is open
DOOR, OPENS = 1.6, 2.5  # visitors at the door an order at the till; openings of the app an order in it
GROWS = 0.01  # a day: orders in the app
CHAIN_DAY, STORE_DAY, CROWD = 0.03, 0.06, 0.02  # spread of good and bad days; of quarters of an hour, squared
LINE_DAY, MORNING, BEFORE_H = 0.05, {"coffee": 1.5, "fruit_tea": 0.8}, 4  # of categories: spread by day; until noon
SPELL, RAINS, GOES_ON, RAIN_MM = 0.6, 0.04, 0.75, 2.5

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Minutes(NamedTuple):
    """An hour: [minutes, stores, counters], by channel in [channels, minutes, stores, counters], of orders with a
    coupon by campaign in [campaigns, minutes, counters], and of orders by category in [categories, minutes, regions,
    counters], regions in the order of their names."""

    at_ms: int
    counts: Ints
    channels: Ints
    campaigns: Ints
    categories: Ints


class Town:
    """`orders_a_day`: of a middling store."""

    def __init__(self, seed: int, stores: int, orders_a_day: float, start_ms: int) -> None:
        self.stores: list[Store] = open_stores(Random(seed), stores)
        self.regions = np.array([store.region for store in self.stores])
        self.size = np.array([store.walk_ins_a_day for store in self.stores]) / 105 * orders_a_day
        self.random, self.start_ms = np.random.default_rng(seed), start_ms
        self.coupons, self.carts = (np.random.default_rng([seed, stream]) for stream in (1, 2))
        self.rain = dict.fromkeys(MEAN_C, 0.0)
        self.spell = dict.fromkeys(MEAN_C, 0.0)
        self.day = np.ones(stores)
        self.within = (self.regions == np.unique(self.regions)[:, None]).astype(np.int64)  # regions x stores
        self.line_day = np.ones((len(CATEGORIES), len(self.within)))

    def hours(self, hours: int, outages: list[Outage]) -> Iterator[Minutes]:
        for hour in range(hours):
            if hour % 24 == 0:
                self.day = np.exp(self.random.normal(0, CHAIN_DAY) + self.random.normal(0, STORE_DAY, len(self.stores)))
                self.line_day = np.exp(self.carts.normal(0, LINE_DAY, self.line_day.shape))
            yield self._hour(self.start_ms + hour * HOUR_MS, outages)

    def _weather(self, at_ms: int) -> dict[str, tuple[float, bool]]:
        """By region, how many come as a share of a mild dry day, and whether it rains."""
        found = {}
        for region, mean_c in MEAN_C.items():
            wets = self.random.random() < (GOES_ON if self.rain[region] else RAINS)
            self.rain[region] = 0.2 + self.random.exponential(RAIN_MM) if wets else 0.0
            self.spell[region] = 0.98 * self.spell[region] + self.random.normal(0, SPELL)
            hour = local_ms(at_ms, "Asia/Shanghai") % DAY_MS / HOUR_MS
            warm = mean_c + 5 * np.cos((hour - 15) * np.pi / 12) + self.spell[region]
            wet = self.rain[region] >= WET_MM
            found[region] = (0.5 if wet else float(np.clip(1 + (warm - 23) / 35, 0.8, 1.2)), wet)
        return found

    def _hour(self, at_ms: int, outages: list[Outage]) -> Minutes:
        weather = self._weather(at_ms)
        come = np.array([weather[region][0] for region in self.regions])
        wet = np.array([weather[region][1] for region in self.regions])
        shares = np.array(SHARES)[:, None] * np.ones(len(self.stores))
        shares[IN_APP] *= (1 + GROWS) ** ((at_ms - self.start_ms) / DAY_MS)
        shares[DELIVERY] *= np.where(wet, 2.0, 1.0)
        shares[POS] *= come
        crowd = np.repeat(self.random.gamma(1 / CROWD, CROWD, (len(CHANNELS), 4, len(self.stores))), 15, axis=1)
        demand = np.array([store.demand(at_ms) for store in self.stores]) * self.size * self.day
        rate = (shares * demand / 60)[:, None, :] * crowd  # channels x minutes x stores
        return Minutes(at_ms, *self._counts(at_ms, rate, push(at_ms, outages, self.stores), wet))

    def _counts(self, at_ms: int, rate: Floats, pushed: Push, wet: Flags) -> tuple[Ints, Ints, Ints, Ints]:
        random, orders = self.random, self.random.poisson(rate * pushed.orders)
        eligible = random.binomial(orders, MEMBERS)
        redeemed = random.binomial(eligible, np.minimum(0.95, REDEEMS * pushed.redeems))
        mean = AMOUNT_CENTS * pushed.price
        strayed = random.normal(0, 1, orders.shape) * np.sqrt(orders) * AMOUNT_SD * mean
        put = {
            "orders": orders,
            "eligible_orders": eligible,
            "redemptions": redeemed,
            "discount_cents": redeemed * FACE_CENTS,
            "revenue_cents": np.maximum(orders * 100, orders * mean + strayed - redeemed * FACE_CENTS),
            "new_members": random.poisson(rate * JOINS * pushed.orders),
            "refunds": random.binomial(orders, np.minimum(0.9, REFUNDS * pushed.refunds)),
            "complaints": random.poisson(rate * COMPLAINTS * pushed.complains),
            "wet_orders": np.where(wet, orders, 0),
        }
        found = np.zeros((*orders.shape, len(COUNTERS)), np.int64)
        for name, values in put.items():
            found[..., COLUMN[name]] = values
        door = random.poisson(DOOR * rate[POS].reshape(-1, 5, rate.shape[-1]).sum(axis=1))
        found[POS, 4::5, :, COLUMN["visits"]] = door
        found[APP, ..., COLUMN["visits"]] = random.poisson(OPENS * rate[IN_APP].sum(axis=0) * pushed.opens[APP])
        found[DELIVERY, ..., COLUMN["promised"]] = orders[DELIVERY]
        late = random.binomial(orders[DELIVERY], np.minimum(0.9, LATE * pushed.late[DELIVERY]))
        found[DELIVERY, ..., COLUMN["late_deliveries"]] = late
        opened = np.array([store.is_open(at_ms) for store in self.stores])
        found[POS, ..., COLUMN["heartbeats"]] = (random.random(rate.shape[1:]) < BEATS) & opened
        found *= pushed.heard[None, :, :, None]
        redeemed = found[..., COLUMN["redemptions"]].sum(axis=0)
        whole = found.sum(axis=0)
        return whole, found, self._campaigns(redeemed, pushed), self._categories(at_ms, whole, pushed)

    def _campaigns(self, redeemed: Ints, pushed: Push) -> Ints:
        """By campaign and minute, from what is redeemed by [minutes, stores]."""
        factor = pushed.redeems[POS]
        usual = self.coupons.binomial(redeemed, 1 / factor)
        counts = self.coupons.multinomial(usual.sum(axis=1), OF_CAMPAIGNS).T
        for campaign, there in pushed.abused.items():
            counts[CAMPAIGNS.index(campaign)] += ((redeemed - usual) * there).sum(axis=1)
        found = np.zeros((*counts.shape, len(COUNTERS)), np.int64)
        for name, worth in (("redemptions", 1), ("orders", 1), ("eligible_orders", 1), ("discount_cents", FACE_CENTS)):
            found[..., COLUMN[name]] = counts * worth
        return found

    def _categories(self, at_ms: int, whole: Ints, pushed: Push) -> Ints:
        """By category, minute and region, from all orders by [minutes, stores, counters]: one may have several."""
        orders, wet, eligible = (
            whole[..., COLUMN[name]] @ self.within.T for name in ("orders", "wet_orders", "eligible_orders")
        )
        early = at_ms % DAY_MS // HOUR_MS < BEFORE_H
        of_day = [MORNING.get(name, 1.0) if early else 1.0 for name in CATEGORIES]
        shares = np.array([*CATEGORIES.values()])[:, None] * np.array(of_day)[:, None] * self.line_day
        shares = np.repeat(shares[:, None], len(orders), axis=1)  # categories x minutes x regions
        for category, there in pushed.missing.items():
            without = (there @ self.within.T > 0)[None] & np.ones(shares.shape, bool)
            place, own = [*CATEGORIES].index(category), CATEGORIES[category]
            another = 1 + TAKES_ANOTHER * own / (1 - (1 - TAKES_ANOTHER) * own) / (sum(CATEGORIES.values()) - own)
            shares = np.where(without, shares * another, shares)
            shares[place] = np.where(without[place], 0.0, shares[place])
        found = np.zeros((*shares.shape, len(COUNTERS)), np.int64)
        counts = found[..., COLUMN["orders"]] = self.carts.binomial(orders, np.minimum(0.98, shares))
        for name, of in (("wet_orders", wet), ("eligible_orders", eligible)):
            found[..., COLUMN[name]] = counts * of // np.maximum(1, orders)
        return found
