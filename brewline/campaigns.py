"""What campaigns may spend, have reserved and have spent: the table of `brewline campaigns`."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Any

from redis import Redis
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.triggers.brake import Brakes
from alerts.triggers.campaign import BUDGET, COUPONS, SINCE, Campaign, Campaigns, Place
from config.settings import Settings
from features.control import Brake
from features.times import DAY_MS, HOUR_MS, local_ms
from flows.rules import load_campaigns, load_rules
from operators.layout import stored_partitions
from operators.leases import read_reserved
from operators.redis_link import connect_redis
from operators.store import PartitionStore

COLUMNS = ("spent", "reserved", "a day", "coupons given")
NAMED = 5  # budgets that ran out


def show_campaigns(settings: Settings, out: Console) -> list[dict[str, Any]]:
    """Prints the table; a row as a dictionary for each campaign with a file, amounts in cents."""
    campaigns = load_campaigns(settings, load_rules(settings))
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    rows = read_campaigns(redis, settings.redis.prefix, campaigns, settings.stores.timezone)
    table = Table("campaign", "state", box=SIMPLE_HEAD)
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for row in rows:
        spent = _of(_money(row["spent_cents"]), _money(row["budget_cents"]))
        given = _of(f"{row['given']:,}", "" if row["coupons"] is None else f"{row['coupons']:,}")
        table.add_row(
            row["campaign"], escape(_told(row)), spent, _money(row["reserved_cents"]), _money(row["burn_cents"]), given
        )
    out.print(table)
    return rows


def _told(row: dict[str, Any]) -> str:
    """The state, where it is paused, and of which region, say, the budget is gone."""
    parts = [f"paused at {place or 'every place'}" for place in row["paused"]]
    parts += [f"no more for {name}" for name in row["ran_out"] if name not in (BUDGET, COUPONS)]
    return "; ".join([row["state"], *parts[:NAMED]] + ["..."] * (len(parts) > NAMED))


def _of(some: str, whole: str) -> str:
    return f"{some} of {whole}" if whole else some


def _money(cents: float | None) -> str:
    """Whole units of the currency; cents stand in the JSON."""
    return "" if cents is None else f"{cents / 100:,.0f}"


def read_campaigns(redis: Redis, prefix: str, campaigns: Campaigns, timezone: str) -> list[dict[str, Any]]:
    """What the partitions' keys and the campaigns' say, as of the latest clock of a partition."""
    store, partitions = PartitionStore(redis, prefix, "customers"), range(stored_partitions(redis, prefix))
    clocks = [store.position(partition).clock.now_ms for partition in partitions]
    now_ms = max(clocks, default=0) or round(time.time() * 1000)
    spent, since = read_spent(redis, prefix)
    now, paused = Place(now_ms, local_ms(now_ms, timezone)), read_paused(redis, prefix)
    rows = []
    for campaign in campaigns.by_id.values():
        reserved = read_reserved(redis, prefix, campaign.id)
        row = _row(campaigns, campaign, spent, reserved, now, since.get(f"{campaign.id}/{SINCE}"))
        rows.append(row | {"paused": paused.get(campaign.id, [])})
    return rows


def read_paused(redis: Redis, prefix: str) -> dict[str, list[str]]:
    """By campaign, where any partition has heard that it is paused; an empty place is everywhere."""
    found = defaultdict[str, list[str]](list)
    for word in read_pauses(redis, prefix):
        found[word.campaign].append(word.place)
    return dict(found)


def read_pauses(redis: Redis, prefix: str) -> list[Brake]:
    """The word on each campaign and place of which any partition has heard that it is paused."""
    store, found = PartitionStore(redis, prefix, "customers"), dict[tuple[str, str], Brake]()
    for partition in range(stored_partitions(redis, prefix)):
        for word in Brakes.of(store.stored_brakes(partition)).paused.values():
            found[word.campaign, word.place] = word
    return [found[key] for key in sorted(found)]


def read_spent(redis: Redis, prefix: str) -> tuple[Counter[str], dict[str, int]]:
    """By pot what all partitions have spent; by campaign's mark, when the first coupon was given."""
    store, spent, since = PartitionStore(redis, prefix, "customers"), Counter[str](), dict[str, int]()
    for partition in range(stored_partitions(redis, prefix)):
        for pot, number in store.stored_spent(partition).items():
            if pot.endswith(f"/{SINCE}"):
                since[pot] = min(number, since.get(pot, number))
            else:
                spent[pot] += number
    return spent, since


def _row(
    campaigns: Campaigns,
    campaign: Campaign,
    spent: Counter[str],
    reserved: dict[str, int],
    now: Place,
    since_ms: int | None,
) -> dict[str, Any]:
    pot = f"{campaign.id}/{BUDGET}"
    mine = [pot for pot in sorted({*spent, *reserved}) if pot.startswith(f"{campaign.id}/")]
    limits = {pot: limit for pot in mine if (limit := campaigns.limit(pot)) is not None}
    ran_out = [pot.partition("/")[2] for pot, limit in limits.items() if limit - spent[pot] < campaigns.unit(pot)]
    days = max(now.at_ms - since_ms, HOUR_MS) / DAY_MS if since_ms else None
    budget = campaign.budget_cents
    return {
        "campaign": campaign.id,
        "state": _state(campaign, now, ran_out),
        "budget_cents": budget,
        "spent_cents": spent[pot],
        "reserved_cents": None if budget is None else reserved.get(pot, 0),
        "remaining_cents": None if budget is None else budget - spent[pot],
        "burn_cents": round(spent[pot] / days) if days else None,
        "coupons": campaign.coupons,
        "given": spent[f"{campaign.id}/{COUPONS}"],
        "ran_out": ran_out,
        "pots": {
            pot.partition("/")[2]: {"limit": limit, "reserved": reserved.get(pot, 0), "spent": spent[pot]}
            for pot, limit in limits.items()
        },
    }


def _state(campaign: Campaign, now: Place, ran_out: list[str]) -> str:
    refusal = campaign.refusal(now, given=0)
    if refusal:
        return refusal.removeprefix("campaign_").replace("_", " ")
    return "budget gone" if BUDGET in ran_out else "no stock" if COUPONS in ran_out else "running"
