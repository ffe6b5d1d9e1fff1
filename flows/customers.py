"""customers: clean events → windows → feature row → scores → rules → coupons, decisions, examples."""

from __future__ import annotations

from functools import partial

from bytewax.dataflow import Dataflow

from flows.house import House
from flows.opening import open_house
from flows.ruled import Ruled
from operators.leases import Leases
from operators.tombstones import withhold


def add(flow: Dataflow, house: House) -> None:
    ruled = Ruled(house)
    lend = partial(Leases, campaigns=ruled.campaigns, partitions=house.partitions["events"])
    house.stage(flow, "customers", "events", ruled.job, ruled.refresh, withhold(ruled.forgotten), lend)


def flow() -> Dataflow:
    return open_house("customers", add)
