"""Real people's purchases as labelled feature rows: who stays away, and who redeems a campaign's coupons.

A row is what the core knows as of a moment; its label becomes known later, and only then may be learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from hashlib import sha256
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.mailed import OFFER, Mailings
from brewline.histories.history import History, local_time_ms
from features import events as e
from features.catalog import Catalog
from features.customer import Core
from features.job import Batch, Clock
from features.times import DAY_MS, local_day

ACTIVE_DAYS = 90  # who bought within so many days may churn
HORIZON_DAYS = 60  # who then does not buy within so many days has
CHUNK = 20_000
TIMEZONE = "America/New_York"

FEATURES = [  # of every task: what churn_risk sees, and what tells who uses coupons
    *("days_since_order", "gap_over_rhythm", "rhythm_days", "age_days"),
    *("orders_7d", "orders_30d", "orders_90d", "orders_lifetime"),
    *("spend_cents_30d", "spend_cents_90d", "aov_cents_90d", "items_per_order_90d"),
    *("discount_share_90d", "redeem_rate_90d", "orders_trend_7d_30d", "orders_trend_30d_90d"),
    *("app_opens_7d", "views_7d", "refunds_90d", "complaints_open"),
    *("orders_decayed", "rhythm_spread_days", "spend_cents_lifetime", "items_lifetime"),
    *("redeems_lifetime", "redeems_90d", "days_since_redeem", "coupon_use_90d", "coupons_issued_90d"),
    *("discount_cents_90d", "discount_cents_lifetime"),
    *("coupons_used_90d", "coupons_used_lifetime"),
]
TESTED_CAMPAIGNS = ("14", "16", "17", "18", "19")

Matrix = npt.NDArray[np.float64]


class Task(msgspec.Struct):
    """Rows in the order of their moments. `known_ms`: when the label could be known."""

    name: str
    features: list[str]
    customers: list[str]
    moments_ms: npt.NDArray[np.int64]
    known_ms: npt.NDArray[np.int64]
    rows: Matrix
    labels: Matrix
    groups: list[str]  # by row: the month or campaign
    tested: list[str]  # of them: those to be scored


class Asked(msgspec.Struct):
    """Whose rows are wanted as of when; those of `until_ms` come before that moment's own events."""

    moment_ms: int
    customers: list[str]


def part_of(customer: str) -> int:
    """0 to 99: below 60 a customer may be looked at while tuning. A number counts without its leading zeros."""
    number = str(int(customer)) if customer.isdecimal() else customer
    return int(sha256(number.encode()).hexdigest()[:8], 16) % 100


def clean_events(history: History) -> Iterator[e.Event]:
    """The events of a history in time order, as ingest would hand them on; customers keep the ids of the data."""
    for record in history.events():
        event = e.decode_sent(record.value)
        event.customer = record.key.split("-", 1)[1]
        event.at_ms, event.day = record.at_ms, local_day(record.at_ms, history.timezone)
        event.who, event.time = None, 0
        yield event


def rows_as_of(catalog: Catalog, events: Iterable[e.Event], asked: list[Asked]) -> Matrix:
    """One row after another of those asked for, in their order. `asked` and `events` are in time order."""
    core, clock, records = Core(catalog, wanted=set()), Clock(), dict[str, bytes]()
    rest, found, offset = iter(events), [], 0
    ahead: list[e.Event] = []
    for one in asked:
        while True:
            ahead = ahead or list(islice(rest, CHUNK))
            now = [event for event in ahead if event.at_ms < one.moment_ms]
            if now:
                batch = Batch("events", 0, offset - 1, [*range(offset, offset + len(now))], [*map(e.encode, now)])
                batch.stamps_ms = [event.at_ms for event in now]
                columns = core.columns(batch, clock)
                applied = core.apply(columns, [], records)
                records.update(applied.records)
                offset += len(now)
            if not ahead or len(now) < len(ahead):
                ahead = ahead[len(now) :]
                break
            ahead = []
        found.append(core.rows({name: records.get(name, b"") for name in one.customers}, one.moment_ms))
    return np.concatenate(found)


def churn(name: str, catalog: Catalog, events: list[e.Event], timezone: str = TIMEZONE) -> Task:
    """At each month's start: who bought in the 90 days before, and buys nothing in the 60 days after."""
    orders = [(event.customer, event.at_ms) for event in events if isinstance(event, e.Order)]
    bought = pl.DataFrame(orders, schema=["customer", "at_ms"], orient="row")
    months = _month_starts(bought["at_ms"].min(), bought["at_ms"].max(), timezone)
    asked, labels, groups, known = [], [], [], []
    for month in months:
        moment_ms = local_time_ms(month, time(), timezone)
        ends_ms = local_time_ms(date.fromordinal(month.toordinal() + HORIZON_DAYS), time(), timezone)
        before_ms = local_time_ms(date.fromordinal(month.toordinal() - ACTIVE_DAYS), time(), timezone)
        at_ms = pl.col("at_ms")
        active = sorted(bought.filter((at_ms >= before_ms) & (at_ms < moment_ms))["customer"].unique())
        back = set(bought.filter((at_ms >= moment_ms) & (at_ms < ends_ms))["customer"])
        asked.append(Asked(moment_ms, active))
        labels += [customer not in back for customer in active]
        groups += [str(month)] * len(active)
        known += [ends_ms] * len(active)
    return _task(name, catalog, events, asked, labels, groups, known, [str(month) for month in months[-3:]])


def coupons(catalog: Catalog, events: list[e.Event], folder: Path | None = None) -> Task:
    """At the start of each campaign: who of those who are mailed redeems one of its coupons before it ends."""
    mailings = Mailings(events, folder)
    first_ms = min(event.at_ms for event in events if isinstance(event, e.Order))
    last_ms = max(event.at_ms for event in events)
    asked, labels, groups, known, offers = [], [], [], [], list[list[float]]()
    for campaign in mailings.campaigns:
        name, ends_ms = campaign.name, local_time_ms(date.fromordinal(campaign.end.toordinal() + 1), time(), TIMEZONE)
        if mailings.starts_ms[name] < first_ms or ends_ms > last_ms + DAY_MS:
            continue  # nothing is known of before it, or of its end
        households = sorted(mailings.households[name])
        asked.append(Asked(mailings.starts_ms[name], households))
        labels += [(name, household) in mailings.used_ms for household in households]
        groups += [name] * len(households)
        known += [ends_ms] * len(households)
        offers += mailings.offers(campaign, households)
    task = _task("coupon", catalog, events, asked, labels, groups, known, list(TESTED_CAMPAIGNS))
    task.features += OFFER
    task.rows = np.column_stack([task.rows, np.array(offers, dtype=np.float64)])
    return task


def purchases(file: Path) -> list[e.Event]:
    """Another shop's: a row per purchase with customer, date, cents and items, as CSV or Parquet."""
    read = pl.read_parquet if file.suffix == ".parquet" else pl.read_csv
    rows = read(file).select(
        pl.col("customer").cast(pl.String),
        day=pl.col("date").cast(pl.String).str.slice(0, 10).str.to_date(),
        cents=pl.col("cents").cast(pl.Int64),
        items=pl.col("items").cast(pl.Int64).clip(1, 10_000),
    )
    return [
        e.Order(
            id=f"{number}",
            customer=customer,
            at_ms=local_time_ms(day, time(12), TIMEZONE),
            day=day.toordinal(),
            tz=TIMEZONE,
            store="shop",
            channel="pos",
            lines=[e.Line("item", items, max(0, cents) // items)],
            total_cents=max(0, cents),
        )
        for number, (customer, day, cents, items) in enumerate(rows.sort("day", "customer").iter_rows())
    ]


def _task(
    name: str,
    catalog: Catalog,
    events: list[e.Event],
    asked: list[Asked],
    labels: list[bool],
    groups: list[str],
    known: list[int],
    tested: list[str],
) -> Task:
    places = [catalog.index(feature) for feature in FEATURES]
    return Task(
        name=name,
        features=list(FEATURES),
        customers=[customer for one in asked for customer in one.customers],
        moments_ms=np.array([one.moment_ms for one in asked for _ in one.customers]),
        known_ms=np.array(known),
        rows=rows_as_of(catalog, events, asked)[:, places],
        labels=np.array(labels, dtype=np.float64),
        groups=groups,
        tested=tested,
    )


def _month_starts(first_ms: int, last_ms: int, timezone: str) -> list[date]:
    """Those with a purchase before, and with 60 days of data after."""
    first, last = (datetime.fromtimestamp(ms / 1000, ZoneInfo(timezone)).date() for ms in (first_ms, last_ms))
    starts = [date(first.year + n // 12, n % 12 + 1, 1) for n in range(first.month, first.month + 600)]
    return [month for month in starts if month.toordinal() + HORIZON_DAYS - 1 <= last.toordinal()]
