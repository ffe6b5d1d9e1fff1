"""The phones of the simulated chain's members: each coupon that leaves comes to the member whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import convert
from redis import Redis

from config.settings import Settings
from features.outgoing import IssuedCoupon
from flows.keys import load_pseudonyms
from operators.customers import find_customers
from sim.chain import Chain


class Phones:
    """Knows members by customer id, as ingest's table does; coupons of others come to nobody."""

    def __init__(self, settings: Settings, redis: Redis, chain: Chain) -> None:
        self.redis, self.prefix, self.chain = redis, settings.redis.prefix, chain
        self.pseudonyms = load_pseudonyms(settings)
        self.app_ids: dict[str, str] = {}  # by customer

    def bring(self, told: Iterable[dict[str, Any]]) -> None:
        """`told`: the data of what leaves; what is no coupon is passed over."""
        coupons = [convert(data, IssuedCoupon) for data in told if data["coupon"]]
        if any(coupon.customer not in self.app_ids for coupon in coupons):
            self._meet()
        for coupon in coupons:
            if app_id := self.app_ids.get(coupon.customer):
                self.chain.give(app_id, coupon)

    def _meet(self) -> None:
        """Who is known by now."""
        asked = [f"app_id:{app_id}" for app_id in self.chain.app_ids]
        found = find_customers(self.redis, self.prefix, self.pseudonyms, asked)
        self.app_ids |= {customer: name.partition(":")[2] for name, customer in found.items()}
