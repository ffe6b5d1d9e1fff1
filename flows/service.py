"""service: clean events about cases → tickets with clocks → what was promised and kept, warned of or broken."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.service.cases import Cases
from alerts.service.desk import Desk
from alerts.service.telling import Topics
from features.forgotten import Forgotten
from features.partitions import partition_keys
from flows.files import load_promises
from flows.house import House
from flows.opening import open_house
from operators.tombstones import withhold


def add(flow: Dataflow, house: House) -> None:
    promises, letters = load_promises(house.settings), house.topic("dead-letters")
    forgotten = Forgotten(house.tombstones.told())
    cases = Cases(
        house.topic("service.cases"),
        letters,
        partition_keys(house.partitions["service.cases"]),
        house.partitions["events"],
        promises,
        forgotten,
    )
    desk = Desk(
        Topics(house.topic("tickets"), house.topic("alerts"), house.topic("events"), letters), promises, forgotten
    )
    house.stage(flow, "service", "events", cases)
    house.stage(flow, "service-desk", "service.cases", desk, only=withhold(forgotten))


def flow() -> Dataflow:
    return open_house("service", add)
