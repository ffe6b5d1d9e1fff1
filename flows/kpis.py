"""kpis: clean events → partial minutes per partition → merged minutes per store, region, channel, campaign → alerts."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.kpis.detector import Judging
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from alerts.kpis.rollup import Kept
from features.partitions import partition_keys
from flows import brake
from flows.files import load_kpis
from flows.house import House
from flows.opening import open_house
from operators.store import renew_layout


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
    merged = MergedMinutes(
        Topics(house.topic("kpi.minutes"), house.topic("alerts"), letters, house.topic("store.load")),
        settings.retention_hours,
        Judging(settings.window_minutes, settings.learn_days, settings.hold_minutes),
        catalog,
        Kept(settings.five_minutes_days, settings.hours_days),
    )
    house.stage(flow, "kpis", "events", partials)
    house.stage(flow, "kpis-merge", "kpi.partials", merged)
    brake.add(flow, house)


def flow() -> Dataflow:
    return open_house("kpis", add)
