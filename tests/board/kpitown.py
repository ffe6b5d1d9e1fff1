"""Days of a small chain's KPIs in Redis as the KPI flow keeps them, without Kafka: minutes, and what is usual."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import redis as redis_py

from alerts.kpis.book import Judging
from alerts.kpis.closing import Ways
from alerts.kpis.judge import Judge
from alerts.kpis.kpi import ClockMark, Partials, Row, encode_partial
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.seasons import Seasons
from config.settings import Settings
from features.job import Batch, Job
from features.times import HOUR_MS, MINUTE_MS
from operators.kpis import FLOW, JUDGE, TOPIC
from operators.layout import check_layout
from operators.store import PartitionStore
from sim.minutes import COUNTERS, Minutes, Town
from sim.outages import Outage
from sim.stores import stores_csv
from tests.oracle_kpis import SHIPPED

CAMPAIGN = "boba-week"  # in the region east
COLUMNS = [SHIPPED.names.index(name) for name in COUNTERS]
ALSO = {name: SHIPPED.names.index(name) for name in ("eligible_orders", "rung_orders", "mixed_orders")}


class KpiTown:
    """One partition of each kind; `live` goes on by hours."""

    def __init__(self, settings: Settings, stores: int, orders_a_day: float, start_ms: int, seed: int = 1) -> None:
        self.settings, self.prefix, self.next_ms = settings, settings.redis.prefix, start_ms
        self.redis = redis_py.Redis.from_url(settings.redis.url)
        self.town = Town(seed, stores, orders_a_day, start_ms)
        check_layout(self.redis, self.prefix, {f"partitions of {TOPIC}": 1})
        ways = Ways(SHIPPED.names, ["p0"], 1)
        self.merge = MergedMinutes(Topics("minutes", "closings", "letters"), 48, ways, SHIPPED)
        regions = {store.id: store.region for store in self.town.stores}
        self.judge = Judge("alerts", "letters", Judging(), regions, Seasons())
        self.kept = {flow: PartitionStore(self.redis, self.prefix, flow) for flow in (FLOW, JUDGE)}
        for store in self.kept.values():
            store.claim(0)
        self.offsets: dict[str, int] = defaultdict(int)

    def stores_csv(self) -> str:
        return stores_csv(self.town.stores)

    def live(self, hours: int, outages: list[Outage] | None = None) -> None:
        self.town.start_ms = self.next_ms
        for hour in self.town.hours(hours, outages or []):
            self.minutes(hour, 0, 60)
            self.next_ms += HOUR_MS

    def minutes(self, hour: Minutes, first: int, end: int) -> None:
        """Some minutes of an hour, through both jobs."""
        said = []
        for minute in range(first, end):
            at_ms = hour.at_ms + minute * MINUTE_MS
            rows = self._rows(hour, minute, at_ms)
            said += [encode_partial(Partials(0, rows)), encode_partial(ClockMark(0, 1, at_ms + MINUTE_MS))]
        closings = self._apply(FLOW, self.merge, "kpi.partials", said)
        self._apply(JUDGE, self.judge, "kpi.closings", closings)

    def _rows(self, hour: Minutes, minute: int, at_ms: int) -> list[Row]:
        counts, regions = hour.counts[minute], self.town.regions
        dims = {f"store:{store.id}": row for store, row in zip(self.town.stores, counts, strict=True)}
        for region in sorted(set(regions)):
            dims[f"region:{region}"] = counts[regions == region].sum(axis=0)
        dims["chain:*"] = counts.sum(axis=0)
        dims["campaign:boba-week"] = dims["region+campaign:east+boba-week"] = dims["region:east"] // 4
        version = (at_ms // MINUTE_MS) + 1
        return [Row(dim, at_ms, _counters(row), version) for dim, row in dims.items() if row.any()]

    def _apply(self, flow: str, job: Job, topic: str, values: list[bytes]) -> list[bytes]:
        if not values:
            return []
        first, store = self.offsets[flow], self.kept[flow]
        self.offsets[flow] += len(values)
        offsets = [*range(first, first + len(values))]
        batch = Batch(topic, 0, first - 1, offsets, values, [0] * len(values))
        plan = job.plan(batch, store.position(0))
        changes = job.apply(plan, store.load(0, plan, job.timer_records))
        store.commit(0, changes)
        return [message.value for message in changes.messages if message.topic == "closings"]


def _counters(row: np.ndarray) -> dict[int, int]:
    """With what the simulation does not draw: six of ten orders are known, three of ten mixed."""
    found = {column: int(count) for column, count in zip(COLUMNS, row, strict=True) if count}
    orders = int(row[COUNTERS.index("orders")])
    more = {"eligible_orders": orders * 6 // 10, "rung_orders": orders, "mixed_orders": orders * 3 // 10}
    return found | {ALSO[name]: count for name, count in more.items() if count}
