"""A million actors within an hour: what the security flow and Redis take, with the shipped rules and all habits.

python -m benchmarks.actors [--actors 1000000] [--quick] [--json FILE]

Each actor does one thing, at a device, an address and a store: four log in, four look a customer up, one searches, one
exports. The job of the stage `security` works on it in batches of up to 1,000 events over a Redis, in four partitions,
what it tells others included; ticks move the clock every minute.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import psutil
from redis import Redis

from alerts.security.job import SecurityJob
from alerts.security.ways import Ways
from benchmarks.house import progress
from brewline.results import circumstances, write_json
from config.settings import load
from features.events import Tick, encode
from features.job import Batch, Position
from features.partitions import partition_of
from features.stores import Stores
from features.times import HOUR_MS
from flows.files import load_limits
from flows.guards import load_security_rules, security_texts
from flows.topics import CACHE_MB
from operators.servers import redis_server
from operators.store import PartitionStore
from sim.chain import START_MS

PARTITIONS, BATCH, TICKS = 4, 1_000, 60
STAGE = "security"
DONE = ("login",) * 4 + ("view",) * 4 + ("search", "export")
ROLES = ("barista", "store_manager", "analyst")


class Stage:
    """The job over a Redis, batch by batch."""

    ways = Ways()

    def __init__(self, redis: Redis) -> None:
        settings = load(environ={})
        limits = load_limits(settings)
        self.job = SecurityJob(
            load_security_rules(security_texts(settings)), Stores("Asia/Shanghai"), limits, 48, self.ways
        )
        self.store = PartitionStore(redis, settings.redis.prefix, STAGE, CACHE_MB[STAGE] * 2**20)
        self.positions = {partition: self.store.claim(partition) for partition in range(PARTITIONS)}

    def feed(self, partition: int, values: list[bytes]) -> None:
        """What is told to others goes to them at once."""
        told = {partition: values}
        while told:
            partition, values = told.popitem()
            for to, value in self._take(partition, values):
                told.setdefault(to, []).append(value)

    def _take(self, partition: int, values: list[bytes]) -> list[tuple[int, bytes]]:
        position: Position = self.positions[partition]
        offsets = [*range(position.offset + 1, position.offset + 1 + len(values))]
        batch = Batch(self.ways.audit, partition, position.offset, offsets, values, [10**13] * len(values))
        plan = self.job.plan(batch, position)
        changes = self.job.apply(plan, self.store.load(partition, plan, self.job.timer_records))
        for sent in self.store.commit(partition, changes):
            self.store.trim({partition: sent.id})
            self.store.trimmed()
        self.positions[partition] = changes.position
        audit = [message for message in changes.messages if message.topic == self.ways.audit]
        return [(partition_of(message.key, PARTITIONS), message.value) for message in audit]


def events(actors: int) -> Iterator[tuple[str, bytes]]:
    """(actor, event), in order of time."""
    for n in range(actors):
        actor, action = f"actor-{n:07}", DONE[n % len(DONE)]
        told = {"id": f"e-{n:08}", "time": START_MS + n * HOUR_MS // actors, "actor": actor, "role": ROLES[n % 3]}
        told |= {"store": f"s{n % 500:03}", "purpose": "service", "device": f"pc-{n:07}", "result": "ok"}
        told |= {"client_ip": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "object": f"c-{n % 100_000:06}"}
        kind = {"type": "audit_export"} if action == "export" else {"type": "audit_access", "action": action}
        yield actor, orjson.dumps({**told, **kind, "rows": {"login": 0, "view": 1}.get(action, 100)})


def measured(actors: int) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = Redis.from_url(stack.enter_context(redis_server(Path(folder))).url)
        stage, waiting, bar = Stage(redis), dict[int, list[bytes]](), stack.enter_context(progress())
        for n, (actor, value) in enumerate(bar.track(events(actors), actors, description="actors"), 1):
            partition = partition_of(actor, PARTITIONS)
            waiting.setdefault(partition, []).append(value)
            if len(waiting[partition]) == BATCH:
                stage.feed(partition, waiting.pop(partition))
            if n % max(1, actors // TICKS) == 0 or n == actors:
                tick = encode(Tick(id=f"t{n}", time=START_MS + n * HOUR_MS // actors))
                for each in range(PARTITIONS):
                    stage.feed(each, [*waiting.pop(each, []), tick])
        counts: Counter[str] = Counter()
        for position in stage.positions.values():
            counts.update(position.counts)
        memory: Any = redis.info("memory")
        return {
            "actors": actors,
            "events": counts["applied"] + counts["own"],
            "rss_mb": round(psutil.Process().memory_info().rss / 2**20),
            "redis_mb": round(memory["used_memory"] / 2**20),
            "groups_evicted": counts["groups_evicted"],
            "actor_records_evicted": counts["actor_records_evicted"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="20,000 actors")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    figures = measured(20_000 if asked.quick else asked.actors)
    for name, value in {**figures, **circumstances()}.items():
        print(f"{name:>22}  {value}")
    write_json(asked.json, figures)


if __name__ == "__main__":
    main()
