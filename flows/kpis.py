"""kpis: clean events → partial minutes per partition → merged minutes per store, region, channel, campaign → alerts."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.kpis.detector import Judging
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from features.partitions import partition_keys
from flows import brake
from flows.house import House
from flows.opening import open_house


def add(flow: Dataflow, house: House) -> None:
    settings, letters = house.settings.kpis, house.topic("dead-letters")
    partials = PartialMinutes(
        house.topic("kpi.partials"),
        letters,
        partition_keys(house.partitions["kpi.partials"]),
        house.partitions["events"],
        settings.retention_hours,
    )
    merged = MergedMinutes(
        Topics(house.topic("kpi.minutes"), house.topic("alerts"), letters, house.topic("store.load")),
        settings.retention_hours,
        Judging(settings.window_minutes, settings.learn_days, settings.hold_minutes),
    )
    house.stage(flow, "kpis", "events", partials)
    house.stage(flow, "kpis-merge", "kpi.partials", merged)
    brake.add(flow, house)


def flow() -> Dataflow:
    return open_house("kpis", add)
