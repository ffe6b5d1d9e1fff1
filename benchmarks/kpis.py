"""What KPIs cost for a chain of many stores, and how soon a till's order can be read on the board.

python -m benchmarks.kpis [--stores 40000] [--rate 300] [--seconds 60] [--quick] [--json FILE]

Tills send at a steady rate, spread over all stores, through ingest and kpis as an operator starts them; three in ten
events are heartbeats. A few orders of probe stores are looked for in Redis: lag_p99_s is the wait from the till's send
until the running minute there holds the order. cpu_us_per_event is the CPU of the KPI flow, of both steps with judging,
for each event of its topic; state_mb is what Redis holds of it afterwards, and state_full_mb what the stores come to at
full retention: the series of one are built for two days of minutes, 14 of five minutes and 400 of hours.
categories_full_mb is what the hours of each store's four categories come to, with their keys, as Redis counts them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
import psutil
from redis import Redis

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.hour import Hour, encode_hour
from alerts.kpis.kpi import Row, hour_record
from alerts.kpis.rollup import FIVE, HOURS, Rollup, summed
from benchmarks.house import House, cpu_s, out, progress
from brewline.results import circumstances, write_json
from features import events as e
from features.times import MINUTE_MS
from flows.files import load_kpis
from operators.kafka import producer
from operators.kpis import FLOW, read_kpis
from operators.layout import RECORDS
from operators.servers import die_with_parent, free_port
from operators.store import PartitionStore

WARM_S = 10.0
PROBES_EVERY_S = 0.25
PATIENCE_S = 20.0
ORDERS_A_DAY, OPEN_HOURS = 500, 14  # of a store at full retention
HOURS_KEPT = 400 * 24
CHANNELS = ("counter", "app", "delivery")
CATEGORIES = ("milk_tea", "fruit_tea", "coffee", "snack")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=40_000)
    parser.add_argument("--rate", type=int, default=300, help="events a second of all tills")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="2,000 stores, fifteen seconds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    stores, seconds = (2_000, 15) if asked.quick else (asked.stores, asked.seconds)
    os.environ |= {"BREWLINE_IDENTITY_KEY": "k" * 32, "BREWLINE_METRICS__INGEST": str(free_port())}
    os.environ |= {"BREWLINE_METRICS__KPIS": str(free_port()), "BREWLINE_TIME__TICK_S": "1"}
    with ExitStack() as stack:
        house = House(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        catalog = load_kpis(house.settings)
        ingest, kpis = (stack.enter_context(flow(house, name)) for name in ("ingest", "kpis"))
        house.until(lambda: all(house.redis.exists(store(house).key(p, "owner")) for p in parts(house)), ingest, kpis)
        run = Run(house, stores, asked.rate)
        run.drive(WARM_S, "warming")
        before = Cost.of(house, kpis)
        run.drive(seconds, "measuring", probing=True)
        run.settle()
        cost = Cost.of(house, kpis).since(before)
        per_store = full_retention(catalog)
        categories_bytes = in_redis(house.redis, house.settings.redis.prefix, by_category(catalog))
        figures = {
            **house.names,
            "stores": stores,
            "rate": asked.rate,
            "series": run.dims() * (len(catalog.names) + len(catalog.ratios)),
            "cpu_us_per_event": round(cost.cpu_s / max(1, cost.events) * 1e6, 1),
            "state_mb": round(run.state_mb(), 1),
            "state_full_mb": round(sum(per_store.values()) * stores / 2**20),
            "store_categories_bytes": round(categories_bytes),
            "categories_full_mb": round(categories_bytes * stores / 2**20),
            "lag_p50_s": round(float(np.percentile(run.lags_s, 50)), 3),
            "lag_p99_s": round(float(np.percentile(run.lags_s, 99)), 3),
            "probes": len(run.lags_s),
            **{f"store_{name}_bytes": size for name, size in per_store.items()},
        }
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>24}  {value}", highlight=False)
    write_json(asked.json, figures)


class Cost:
    """CPU that the KPI flow has used, and the events it has had."""

    def __init__(self, cpu_s: float, events: int) -> None:
        self.cpu_s, self.events = cpu_s, events

    @classmethod
    def of(cls, house: House, kpis: psutil.Process) -> Cost:
        own = PartitionStore(house.redis, house.settings.redis.prefix, "kpis")
        counts = [own.position(part).counts for part in parts(house)]
        names = ("applied", "kpi_events", "duplicates", "kpi_duplicates")
        return cls(cpu_s(kpis), sum(each.get(name, 0) for each in counts for name in names))

    def since(self, before: Cost) -> Cost:
        return Cost(self.cpu_s - before.cpu_s, self.events - before.events)


def parts(house: House) -> range:
    return range(house.partitions)


def store(house: House) -> PartitionStore:
    return PartitionStore(house.redis, house.settings.redis.prefix, FLOW)


@contextmanager
def flow(house: House, name: str) -> Iterator[psutil.Process]:
    """A flow as an operator starts it; told to end at the end."""
    command = [sys.executable, "-m", "bytewax.run", f"flows.{name}:flow"]
    with (
        (house.folder / "flow.log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent()) as process,
    ):
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


class Run:
    """Tills at work, and a reader that looks for what some of them have sent."""

    def __init__(self, house: House, stores: int, rate: int) -> None:
        self.house, self.stores, self.rate = house, stores, rate
        self.rng, self.sent, self.probes = Random(7), 0, 0
        self.sender = producer(house.settings.kafka.librdkafka())
        self.topic = house.settings.topic("pos.events")
        self.lags_s: list[float] = []

    def drive(self, seconds: float, said: str, probing: bool = False) -> None:
        count, started = round(self.rate * seconds), time.perf_counter()
        looking: list[Thread] = []
        with progress() as bar:
            for number in bar.track(range(count), count, description=said):
                if number % max(1, self.rate // 50) == 0:
                    self.sender.poll(0)
                    time.sleep(max(0.0, started + number / self.rate - time.perf_counter()))
                if probing and number % max(1, round(self.rate * PROBES_EVERY_S)) == 0:
                    looking.append(Thread(target=self._probe, daemon=True))
                    looking[-1].start()
                self._send(self._event())
        for thread in looking:
            thread.join()
        self.sender.flush()

    def _event(self) -> e.Event:
        number, rng = self.rng.randrange(self.stores), self.rng
        place: dict[str, Any] = {"store": f"s{number:05}", "channel": rng.choice(CHANNELS), "tz": "Asia/Shanghai"}
        place |= {"id": f"e{self.sent}-{os.getpid()}", "time": round(time.time() * 1000)}
        if rng.random() < 0.3:
            return e.Heartbeat(**place)
        lines = [e.Line("x", 1, 1_800, rng.choice(CATEGORIES)) for _ in range(rng.choice((1, 1, 2)))]
        campaign = rng.choice(("", "", "", "summer"))
        staff = f"{place['store']}-{rng.randrange(4)}"
        who = e.Who(card=f"{rng.randrange(100_000)}")
        return e.Order(**place, who=who, staff=staff, campaign=campaign, lines=lines, total_cents=1_800 * len(lines))

    def _send(self, event: e.Event) -> None:
        self.sender.produce(self.topic, e.encode(event), event.store)
        self.sent += 1

    def _probe(self) -> None:
        """Sends an order of a store that nobody else has, and waits until it can be read."""
        redis, name = Redis.from_url(self.house.settings.redis.url), f"probe{time.perf_counter_ns()}"
        started, now_ms = time.perf_counter(), round(time.time() * 1000)
        self.sender.produce(
            self.topic, e.encode(e.Order(id=name, time=now_ms, store=name, lines=[e.Line("x")], total_cents=1)), name
        )
        self.sender.poll(0)
        while time.perf_counter() < started + PATIENCE_S:
            span = (now_ms - MINUTE_MS, now_ms + MINUTE_MS)
            if read_kpis(redis, self.house.settings.redis.prefix, f"store:{name}", 1, *span):
                break
            time.sleep(0.02)
        self.lags_s.append(time.perf_counter() - started)

    def settle(self) -> None:
        """Waits until the flow has had all events, so that its CPU is that of all of them."""
        own = self.house.settings.redis.prefix
        kpis, ended = PartitionStore(self.house.redis, own, "kpis"), time.perf_counter() + PATIENCE_S
        names = ("applied", "kpi_events")
        while time.perf_counter() < ended:
            counts = [kpis.position(part).counts for part in parts(self.house)]
            if sum(each.get(name, 0) for each in counts for name in names) >= self.sent:
                return
            time.sleep(0.1)
        out.print("[yellow]the flow has not had all events in time[/]")

    def _keys(self) -> Iterator[bytes]:
        prefix = self.house.settings.redis.prefix
        for name in ("kpis", FLOW):
            yield from self.house.redis.scan_iter(f"{prefix}:{{{name}.*", count=10_000)

    def state_mb(self) -> float:
        """Of a sample of the keys of both steps, as Redis counts it."""
        keys = list(self._keys())
        sample = Random(1).sample(keys, min(len(keys), 5_000))
        used: Any = [self.house.redis.memory_usage(key) or 0 for key in sample]
        return float(sum(used)) / len(sample) * len(keys) / 2**20

    def dims(self) -> int:
        kept = [key for key in self._keys() if b"kpis-merge" in key and key.endswith(f":{RECORDS}".encode())]
        records = (name.decode() for key in kept for name, _ in self.house.redis.hscan_iter(key, count=10_000))
        names = (name for name in records if not name.startswith(("watch|", "life|")))
        return len({name.rpartition("|")[0] for name in names})


def full_retention(catalog: KpiCatalog) -> dict[str, int]:
    """Bytes that a store's own series take in Redis' values, at so many orders a day."""
    rng = np.random.default_rng(7)
    five, hours, minutes = Rollup(5), Rollup(60), 0
    for number in range(HOURS.hours):
        if number % 24 >= OPEN_HOURS:
            continue
        hour = _hour(catalog, rng, number)
        minutes += len(encode_hour(hour)) if number < 48 else 0
        for rollup in (five, hours) if number < FIVE.hours else (hours,):
            for slot, counts in summed(hour, rollup.minutes).items():
                rollup.add(slot, counts)
    records = HOURS_KEPT / HOURS.hours
    sizes = {"minute": minutes, "five": len(five.packed()) * 14, "hour": len(hours.packed()) * records}
    return {name: round(size) for name, size in sizes.items()}


class Record(NamedTuple):
    """One of so many of its like that are kept at a time."""

    name: str
    raw: bytes
    alike: float


def by_category(catalog: KpiCatalog) -> list[Record]:
    """Of one store's categories: the largest has half its orders, the next half of the rest, and so on."""
    rng, found = np.random.default_rng(7), []
    for place, category in enumerate(CATEGORIES):
        dim, rollup, per_hour = (
            f"store+category:s00012+{category}",
            Rollup(60),
            ORDERS_A_DAY / OPEN_HOURS / 2 ** (place + 1),
        )
        for number in (number for number in range(HOURS.hours) if number % 24 < OPEN_HOURS):
            if orders := int(rng.poisson(per_hour)):
                rollup.add(number, _of_category(catalog, rng, orders))
        found.append(Record(HOURS.record(dim, 0), rollup.packed(), HOURS_KEPT / HOURS.hours))
        hour = Hour()
        for source in range(4):
            if orders := int(rng.poisson(per_hour / 4)):
                hour.take(source, Row(dim, 0, _of_category(catalog, rng, orders), 1))
        hour.open.clear()
        found.append(Record(hour_record(dim, 0), encode_hour(hour), 2.0 * OPEN_HOURS))
    return found


def _of_category(catalog: KpiCatalog, rng: np.random.Generator, orders: int) -> dict[int, int]:
    """What an order adds to one of its categories."""
    pieces = orders + int(rng.poisson(orders * 0.2))
    cents = int(rng.normal(1_600, 300, pieces).sum())
    found = {"orders": orders, "rung_orders": orders, "sold_items": pieces, "sold_cents": cents}
    found |= {"eligible_orders": int(rng.binomial(orders, 0.7)), "mixed_orders": int(rng.binomial(orders, 0.3))}
    return {catalog.names.index(name): count for name, count in found.items() if count}


def in_redis(redis: Redis, prefix: str, records: list[Record]) -> float:
    """Bytes that all of them take with their names, in the hash of a partition."""
    key, used = f"{prefix}:{{{FLOW}.12}}:{RECORDS}", 0.0
    redis.hset(key, mapping={f"other {number}": bytes(100) for number in range(1_000)})
    for record in records:
        without: Any = redis.memory_usage(key, samples=0)
        redis.hset(key, record.name, record.raw)
        used += record.alike * (redis.memory_usage(key, samples=0) - without)  # type: ignore[operator]
        redis.hdel(key, record.name)
    redis.delete(key)
    return used


def _hour(catalog: KpiCatalog, rng: np.random.Generator, number: int) -> Hour:
    hour = Hour()
    for minute in range(number * 60, number * 60 + 60):
        for source in range(4):
            orders = int(rng.poisson(ORDERS_A_DAY / OPEN_HOURS / 60 / 4))
            if orders:
                hour.take(source, Row("store:x", minute * MINUTE_MS, _counts(catalog, rng, orders), minute))
    hour.open.clear()
    return hour


def _counts(catalog: KpiCatalog, rng: np.random.Generator, orders: int) -> dict[int, int]:
    cents = int(rng.normal(2_700, 600, orders).sum())
    found = {"orders": orders, "rung_orders": orders, "revenue_cents": cents, "sold_cents": cents + 300}
    found |= {"items": orders + int(rng.poisson(orders)), "eligible_orders": orders, "visits": int(rng.poisson(orders))}
    found |= {"sold_items": found["items"], "heartbeats": 1, "redemptions": int(rng.poisson(orders * 0.2))}
    found |= {"coupons_issued": int(rng.poisson(orders * 0.2)), "discount_cents": 500 * int(rng.poisson(orders * 0.2))}
    return {catalog.names.index(name): count for name, count in found.items() if count}


if __name__ == "__main__":
    main()
