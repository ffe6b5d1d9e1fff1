"""kpis: clean events → partial minutes per partition → merged minutes per dimension → all judged together → alerts."""

from __future__ import annotations

import time
from collections.abc import Callable

from bytewax.dataflow import Dataflow

from alerts.kpis.book import Judging
from alerts.kpis.closing import Ways
from alerts.kpis.judge import Judge
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from alerts.kpis.rollup import Kept
from config.settings import Settings
from features.partitions import partition_keys
from flows import brake
from flows.files import load_kpis, load_regions
from flows.followed import Followed
from flows.house import House
from flows.opening import open_house
from flows.seasons import load_seasons
from operators.layout import renew_layout


def add(flow: Dataflow, house: House) -> None:
    settings, letters = house.settings.kpis, house.topic("dead-letters")
    catalog = load_kpis(house.settings)
    layout, former = catalog.layout
    house.answered(lambda: renew_layout(house.redis, house.settings.redis.prefix, "counters of KPIs", layout, former))
    house.require_layout({"counters of KPIs": layout})
    partials = PartialMinutes(
        house.topic("kpi.partials"),
        letters,
        partition_keys(house.partitions["kpi.partials"]),
        house.partitions["events"],
        settings.retention_hours,
        catalog,
    )
    ways = Ways(catalog.names, partition_keys(house.partitions["kpi.closings"]), house.partitions["kpi.partials"])
    closings = house.topic("kpi.closings")
    topics = Topics(house.topic("kpi.minutes"), closings, letters, house.topic("store.load"))
    kept = Kept(settings.five_minutes_days, settings.hours_days)
    merged = MergedMinutes(topics, settings.retention_hours, ways, catalog, kept)
    judging = Judging(settings.window_minutes, settings.learn_days, settings.hold_minutes)
    judge = Judge(house.topic("alerts"), letters, judging, load_regions(house.settings), load_seasons(house.settings))
    house.stage(flow, "kpis", "events", partials)
    house.stage(flow, "kpis-merge", "kpi.partials", merged)
    house.stage(flow, "kpis-judge", "kpi.closings", judge, follow_files(house.settings, judge))
    brake.add(flow, house)


def follow_files(settings: Settings, judge: Judge, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Lets the judge know of campaigns, holidays and regions as their files change."""
    named = (settings.coupons.campaigns, settings.coupons.calendars, settings.stores.file)
    followed = Followed("seasons and regions", [settings.path(name) for name in named if name], clock)

    def reread() -> int:
        judge.regions, judge.seasons = load_regions(settings), load_seasons(settings)
        return len(judge.regions)

    return lambda: followed.follow(reread)


def flow() -> Dataflow:
    return open_house("kpis", add)
