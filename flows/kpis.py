"""kpis: clean events → partial minutes per partition → merged minutes per dimension → all judged together → alerts."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.kpis.book import Judging
from alerts.kpis.closing import Ways
from alerts.kpis.judge import Judge
from alerts.kpis.kpi import COUNTERS
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from features.partitions import partition_keys
from flows.files import load_stores
from flows.house import House
from flows.opening import open_house
from flows.seasons import load_seasons


def add(flow: Dataflow, house: House) -> None:
    settings, letters = house.settings.kpis, house.topic("dead-letters")
    partials = PartialMinutes(
        house.topic("kpi.partials"),
        letters,
        partition_keys(house.partitions["kpi.partials"]),
        house.partitions["events"],
        settings.retention_hours,
    )
    ways = Ways(COUNTERS, partition_keys(house.partitions["kpi.closings"]), house.partitions["kpi.partials"])
    closings = house.topic("kpi.closings")
    topics = Topics(house.topic("kpi.minutes"), closings, letters, house.topic("store.load"))
    merged = MergedMinutes(topics, settings.retention_hours, ways)
    regions = {store: region for store, (region, _) in load_stores(house.settings).places.items()}
    judging = Judging(settings.window_minutes, settings.learn_days, settings.hold_minutes)
    judge = Judge(house.topic("alerts"), letters, judging, regions, load_seasons(house.settings))
    house.stage(flow, "kpis", "events", partials)
    house.stage(flow, "kpis-merge", "kpi.partials", merged)
    house.stage(flow, "kpis-judge", "kpi.closings", judge)


def flow() -> Dataflow:
    return open_house("kpis", add)
