"""From an event on Kafka to its coupon on Kafka, at a steady rate: the coupon's Kafka timestamp less the event's.

python -m benchmarks.latency [--rate 1500] [--seconds 30] [--customers 1000000] [--processes N] [--quick]
                             [--json FILE]

The flow runs in one process to a core, which share the partitions (as `brewline run customers --share 0/2` does). The
rate is that of all events; every fortieth or so is answered with a coupon, which no cap and no want of consent holds
back. With fewer customers, each comes more often, and more rules fire. The events of five seconds come before, and are
awaited: what gathers while a process starts is not what a customer waits for on any other minute of the day.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.house import CORES, House, out, progress
from benchmarks.load import clean_events
from brewline.results import circumstances, write_json
from operators.kafka import consumer, producer
from operators.servers import free_port

WARM_S = 5.0
RULE = """
id = "latency"
on = ["order"]
when = "store LIKE 's00%'"
then = { coupon = "NOW", face_value_cents = 100 }
cooldown = "0s"
[[test]]
name = "fires"
events = [{ type = "order", store = "s0001" }]
fires_at = ["+0s"]
[[test]]
name = "is quiet"
events = [{ type = "order", store = "s1" }]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1_500, help="events a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=CORES, help=f"of the flow, by default one to a core: {CORES}")
    parser.add_argument("--quick", action="store_true", help="ten seconds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    seconds = 10 if asked.quick else asked.seconds
    os.environ |= {"BREWLINE_COUPONS__REQUIRE_CONSENT": "", "BREWLINE_COUPONS__HOLDOUT_PERCENT": "0"}
    os.environ["BREWLINE_COUPONS__CAP"] = "1000000"
    warm = round(asked.rate * WARM_S)
    events = made(warm + asked.rate * seconds, asked.customers)
    with ExitStack() as stack:
        house = House(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        (house.folder / "config/rules/coupons/latency.toml").write_text(RULE)
        reader = consumer(house.settings.kafka.librdkafka(), "latency")
        reader.assign([TopicPartition(house.settings.topic("coupons"), p, 0) for p in range(house.partitions)])
        shares = [f"{number}/{asked.processes}" for number in range(asked.processes)]
        flows = [stack.enter_context(house.flow(share=share, port=free_port())) for share in shares]
        owners = [house.store.key(partition, "owner") for partition in range(house.partitions)]
        house.until(lambda: house.redis.exists(*owners) == len(owners), *flows)
        sender = producer(house.settings.kafka.librdkafka())
        send(house, sender, asked.rate, events[:warm])
        house.until(lambda: house.applied() >= warm, *flows)
        started = time.time()
        send(house, sender, asked.rate, events[warm:])
        waits_ms = latencies(reader, house.settings.topic("coupons"), started * 1000)
    p50_ms, p99_ms = (round(float(value), 1) for value in np.percentile(waits_ms, [50, 99]))
    figures = {
        **house.names,
        **house.size,
        "processes": asked.processes,
        "rate": asked.rate,
        "coupons": len(waits_ms),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
    }
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>12}  {value}", highlight=False)
    write_json(asked.json, figures)


def made(count: int, customers: int) -> list[tuple[str, bytes]]:
    """The events to be sent; made before, for tills do not run on this machine."""
    with progress() as bar:
        events = bar.track(clean_events(count, customers), count, description="making events")
        return [(key, value) for key, value, tick in events if not tick]


def send(house: House, sender: Producer, rate: int, events: list[tuple[str, bytes]]) -> None:
    """A hundredth of a second's events at a time, each hundredth on time or as soon as possible."""
    share = max(1, rate // 100)
    with progress() as bar:
        task, started = bar.add_task("sending", total=len(events)), time.perf_counter()
        for first in range(0, len(events), share):
            time.sleep(max(0.0, started + first / rate - time.perf_counter()))
            for key, value in events[first : first + share]:
                sender.produce(house.topic, value, key)
            sender.poll(0)
            bar.update(task, completed=first)
    sender.flush()


def latencies(reader: Consumer, topic: str, since_ms: float) -> list[float]:
    """Of the coupons for events since then; ends when no more come for two seconds."""
    found: list[float] = []
    while messages := reader.consume(10_000, timeout=2.0):
        for message in messages:
            caused_ms = orjson.loads(message.value())["data"]["trigger_stamp_ms"]
            if caused_ms >= since_ms:
                found.append(message.timestamp()[1] - caused_ms)
    reader.close()
    if not found:
        raise SystemExit(f"no coupon came on {topic}")
    return found


if __name__ == "__main__":
    main()
