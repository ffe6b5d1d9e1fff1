"""What a campaign is to a household is counted from what lies before it, and from nothing later."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.mailed import HAD, USED, Mailings
from features import events as e
from features.times import DAY_MS

NEW_YEAR_MS = 1_483_246_800_000
DAYS = {1: 10, 2: 60, 3: 120, 4: 120}  # when each campaign begins
TYPES = {1: "Type A", 2: "Type A", 3: "Type A", 4: "Type B"}
HOUSEHOLDS = ["7", "8", "9"]
SKUS = {1: ["tea"], 2: ["tea", "cake"], 3: ["cake", "pie"], 4: []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pairs = [(number, sku) for number, skus in SKUS.items() for sku in skus]
    pl.DataFrame(pairs, schema=["campaign_id", "product_id"], orient="row").write_parquet(tmp_path / "coupons.parquet")
    starts = [datetime.fromtimestamp(NEW_YEAR_MS / 1000 + day * 86_400) for day in DAYS.values()]  # noqa: DTZ006
    columns = {"campaign_id": [*DAYS], "campaign_type": [*TYPES.values()], "start_date": starts, "end_date": starts}
    pl.DataFrame(columns).write_parquet(tmp_path / "campaign_descriptions.parquet")
    return tmp_path


def life(seed: int = 3) -> list[e.Event]:
    """Mailings to all but one household, redemptions and orders at random, also after all campaigns."""
    rng, found = np.random.default_rng(seed), list[e.Event]()

    def at(day: float, customer: str) -> dict[str, object]:
        return {"id": str(len(found)), "customer": customer, "at_ms": NEW_YEAR_MS + round(day * DAY_MS), "tz": "UTC"}

    for campaign, day in DAYS.items():
        for who in HOUSEHOLDS[: 3 - (campaign == 1)]:
            found.append(e.CouponIssued(**at(day, who), coupon="c", campaign=str(campaign)))
            if rng.random() < 0.7:
                found.append(e.CouponRedeemed(**at(day + rng.uniform(1, 90), who), coupon="c", campaign=str(campaign)))
    for _ in range(400):
        lines = [e.Line(str(sku)) for sku in rng.choice(["tea", "cake", "pie", "bun"], 3)]
        found.append(e.Order(**at(rng.uniform(0, 200), str(rng.choice(HOUSEHOLDS))), lines=lines, total_cents=1))
    return sorted(found, key=lambda event: event.at_ms)


def test_an_offer_is_that_of_a_count_by_hand(folder: Path) -> None:
    events = life()
    mailings = Mailings(events, folder)
    for campaign in mailings.campaigns:
        number = int(campaign.name)
        now_ms = NEW_YEAR_MS + DAYS[number] * DAY_MS
        for who, row in zip(HOUSEHOLDS, mailings.offers(campaign, HOUSEHOLDS), strict=True):
            mine = [event for event in events if event.customer == who and event.at_ms < now_ms]
            like = {str(n) for n in DAYS if TYPES[n] == TYPES[number] and DAYS[n] < DAYS[number]}
            had = sum(isinstance(event, e.CouponIssued) and event.campaign in like for event in mine)
            used = {event.campaign for event in mine if isinstance(event, e.CouponRedeemed) and event.campaign in like}
            late = [event for event in mine if event.at_ms >= now_ms - 30 * DAY_MS and isinstance(event, e.Order)]
            lines = sum(line.sku in SKUS[number] for order in late for line in order.lines)
            assert row == [TYPES[number] == "Type A", False, 0, (len(used) + USED) / (had + HAD), lines]


def test_what_comes_after_a_campaign_has_begun_changes_nothing(folder: Path) -> None:
    events = life()
    second = NEW_YEAR_MS + DAYS[2] * DAY_MS
    past = [event for event in events if event.at_ms < second or isinstance(event, e.CouponIssued)]
    whole, cut = (Mailings(some, folder) for some in (events, past))
    assert whole.offers(whole.campaigns[1], HOUSEHOLDS) == cut.offers(cut.campaigns[1], HOUSEHOLDS)
    assert whole.offers(whole.campaigns[2], HOUSEHOLDS) != cut.offers(cut.campaigns[2], HOUSEHOLDS)
