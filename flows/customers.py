"""customers: clean events → windows → feature row → scores → rules → coupons, decisions, examples."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from flows.house import House
from flows.opening import open_house
from flows.ruled import Ruled
from operators.tombstones import withhold


def add(flow: Dataflow, house: House) -> None:
    ruled = Ruled(house)
    house.stage(flow, "customers", "events", ruled.job, ruled.refresh, withhold(ruled.forgotten), ruled.lend)


def flow() -> Dataflow:
    return open_house("customers", add)
