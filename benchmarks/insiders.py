"""Thirty insiders hidden in a month of honest work: how many are found, what is raised for nothing, and how soon.

python -m benchmarks.insiders [--seed 1] [--seconds 120] [--loop] [--json FILE]

The records of `sim.insiders` go through the flow `security` as it runs, under the shipped rules, on a mock Kafka and a
Redis of its own. A scheme is found when one of its rules fires for its actor while it goes on; any other case is
false. Time to alert is from when the deciding event was handed to Kafka to when the alert was: how long an event is on
its way to Kafka is the sender's matter. A month in two minutes makes six hours of each second a busy machine takes,
which they are not live: after each half day of the month the sender waits until the flow has read all of it. `--loop`
judges the same records in this process, and knows no time to alert.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct
from redis import Redis
from rich.console import Console
from rich.table import Table

from alerts.security.groups import GroupsJob
from alerts.security.job import SecurityJob
from alerts.security.leaks import LeaksJob, RedemptionsJob
from alerts.security.ways import Ways
from brewline.account import percentile
from brewline.results import write_json
from brewline.sender import send
from config.settings import Settings, load
from features.job import Batch, Job
from features.loop import Store, run
from features.partitions import partition_keys, partition_of
from features.stores import read_stores
from features.times import DAY_MS, MINUTE_MS
from flows.files import load_limits
from flows.guards import load_security_rules, security_texts
from flows.topics import TOPICS
from operators.kafka import ensure_topics, producer
from operators.servers import mock_kafka, redis_server
from operators.store import PartitionStore
from operators.topic import bounds_of, read_to_end
from sim.agenda import Record
from sim.chain import START_MS
from sim.insiders import CLEAN, Insiders, Scheme

out = Console(stderr=True)
PARTITIONS = 4
ALERTS, LETTERS, AUDIT = "alerts", "dead-letters", "audit.events"
GRACE_MS = MINUTE_MS  # a line is slower than the deed
QUIET_S = 5.0
LATEST_S = 120.0
STAGES = {
    "security": AUDIT,
    "security-groups": "audit.matches",
    "security-redemptions": CLEAN,
    "security-leaks": "exposures",
}
Waiting = dict[tuple[str, int], list[bytes]]  # by topic and partition


class Verdict(Struct):
    found: dict[int, str]  # number of the scheme: the rule that found it first
    missed: list[Scheme]
    false: dict[str, list[dict[str, Any]]]  # case: its findings
    days: int

    @property
    def figures(self) -> dict[str, Any]:
        return {
            "scenarios": len(self.found) + len(self.missed),
            "found": len(self.found),
            "false_cases_per_day": round(len(self.false) / self.days, 2),
        }


def judged(house: Insiders, findings: Iterable[dict[str, Any]]) -> Verdict:
    """What findings, as `data` of alerts, have to do with the schemes."""
    found: dict[int, str] = {}
    cases: dict[str, list[dict[str, Any]]] = {}
    guilty: set[str] = set()
    for finding in findings:
        cases.setdefault(finding["case"], []).append(finding)
        for number, scheme in enumerate(house.schemes):
            at_ms = finding["event_at_ms"]
            if scheme.actor == finding["actor"] and scheme.from_ms <= at_ms <= scheme.to_ms + GRACE_MS:
                guilty.add(finding["case"])
                if finding["rule"] in scheme.rules:
                    found.setdefault(number, finding["rule"])
    missed = [scheme for number, scheme in enumerate(house.schemes) if number not in found]
    return Verdict(found, missed, {case: its for case, its in cases.items() if case not in guilty}, house.days)


def in_a_loop(house: Insiders, minutes: int = 1) -> list[dict[str, Any]]:
    """The findings of the flow's jobs in this process; what they tell each other comes before the next minutes."""
    settings, keys = load(environ={}), tuple(partition_keys(PARTITIONS))
    stores = read_stores(house.stores_csv().splitlines(), "Asia/Shanghai", "stores")
    rules, ways = load_security_rules(security_texts(settings)), Ways(audit_keys=keys, matches_keys=keys)
    jobs: dict[str, Job] = {
        AUDIT: SecurityJob(rules, stores, load_limits(settings), 48, ways),
        ways.matches: GroupsJob(rules, 48, ways),
        CLEAN: RedemptionsJob(ways.exposures),
        ways.exposures: LeaksJob(AUDIT, LETTERS),
    }
    kept = {topic: {partition: Store() for partition in range(PARTITIONS)} for topic in jobs}
    findings: list[dict[str, Any]] = []
    for waiting in _batches(house, minutes):
        while waiting:
            for (topic, partition), values in waiting.items():
                after = kept[topic][partition].position.offset
                offsets, stamps = [*range(after + 1, after + 1 + len(values))], [10**13] * len(values)
                run(jobs[topic], [Batch(topic, partition, after, offsets, values, stamps)], kept[topic])
            waiting = _sent(kept, findings)
    return findings


def _batches(house: Insiders, minutes: int) -> Iterator[Waiting]:
    values: Waiting = {}
    ticks = 0
    for record in house.records():
        for partition in range(PARTITIONS) if record.tick else [partition_of(record.key, PARTITIONS)]:
            values.setdefault((record.topic, partition), []).append(record.value)
        ticks += record.tick
        if record.tick and ticks % minutes == 0:
            yield values
            values = {}
    yield values


def _sent(kept: dict[str, dict[int, Store]], findings: list[dict[str, Any]]) -> Waiting:
    """Takes what the jobs have sent: findings to their list, and what they tell each other."""
    told: Waiting = {}
    for store in (store for stores in kept.values() for store in stores.values()):
        for message in store.sent:
            if message.topic == ALERTS:
                findings.append(orjson.loads(message.value)["data"])
            elif message.topic in kept:
                told.setdefault((message.topic, partition_of(message.key, PARTITIONS)), []).append(message.value)
        store.sent.clear()
    return told


def live(house: Insiders, seconds: float) -> tuple[list[dict[str, Any]], list[int]]:
    """The findings of the flow as it runs, and of each how long after its deciding event it stood in Kafka, in ms."""
    with tempfile.TemporaryDirectory() as name, mock_kafka() as kafka, redis_server(Path(name)) as redis:
        folder = Path(name)
        (folder / "stores.csv").write_text(house.stores_csv())
        environ = {
            "BREWLINE_KAFKA__BROKERS": kafka.brokers,
            "BREWLINE_REDIS__URL": redis.url,
            "BREWLINE_STORES__FILE": str(folder / "stores.csv"),
            "BREWLINE_TIME__CLOCK": "event",
            "BREWLINE_METRICS__SECURITY": "0",
            "BREWLINE_LOG__LEVEL": "warning",
        }
        settings = load(environ=environ)
        ensure_topics(settings.kafka.librdkafka(), list(TOPICS), PARTITIONS, 1, {})
        command = [sys.executable, "-m", "bytewax.run", "flows.security:flow"]
        with subprocess.Popen(command, stdout=sys.stderr, env=os.environ | environ) as flow:
            try:
                speed, sender = house.days * DAY_MS / 1000 / seconds, producer(settings.kafka.librdkafka())
                for _, records in groupby(_seldom_ticks(house), key=lambda record: record.at_ms // (DAY_MS // 2)):
                    send(records, sender, "", speed)
                    _level(settings, Redis.from_url(redis.url))
                return _heard(settings)
            finally:
                flow.terminate()


def _seldom_ticks(house: Insiders) -> Iterator[Record]:
    """One of ten: a mock Kafka holds few messages."""
    for record in house.records():
        if not record.tick or not record.at_ms // MINUTE_MS % 10:
            yield record


def _level(settings: Settings, redis: Redis) -> None:
    """Waits until the flow has read what there is, and has sent what comes of it. Raises TimeoutError."""
    stores = {topic: PartitionStore(redis, settings.redis.prefix, stage) for stage, topic in STAGES.items()}
    client, until = settings.kafka.librdkafka(), time.monotonic() + LATEST_S
    while not all(_is_level(client, topic, store) for topic, store in stores.items()):
        if time.monotonic() > until:
            raise TimeoutError(f"the flow has not come to the end of its topics within {LATEST_S:.0f} s")
        time.sleep(0.05)


def _is_level(client: dict[str, str | int | bool], topic: str, store: PartitionStore) -> bool:
    if any(store.redis.xlen(store.key(partition, "outbox")) for partition in range(PARTITIONS)):
        return False
    ends = bounds_of(client, topic, "insiders")
    return all(store.position(partition).offset >= end - 1 for partition, (_, end) in ends.items() if end)


def _heard(settings: Settings) -> tuple[list[dict[str, Any]], list[int]]:
    """What stands on `alerts` once nothing has come for a while."""
    client, ends = settings.kafka.librdkafka(), dict[int, tuple[int, int]]()
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_S:
        now = bounds_of(client, ALERTS, "insiders")
        if now != ends:
            quiet_since, ends = time.monotonic(), now
        time.sleep(0.5)
    findings, waits = list[dict[str, Any]](), list[int]()
    for message in (message for part in read_to_end(client, ALERTS, "insiders", ends) for message in part):
        data = orjson.loads(message.value() or b"")["data"]
        findings.append(data)
        waits.append(message.timestamp()[1] - data["trigger_stamp_ms"])
    return findings, waits


def show(verdict: Verdict, house: Insiders) -> None:
    table = Table("scheme", "found by")
    for number, scheme in enumerate(house.schemes):
        table.add_row(scheme.kind, verdict.found.get(number, "[red]missed[/]"))
    out.print(table)
    for case, findings in verdict.false.items():
        out.print(f"false: {case}: {'; '.join(finding['why'] for finding in findings[:3])}", highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same month")
    parser.add_argument("--seconds", type=float, default=120, help="that the month takes")
    parser.add_argument("--loop", action="store_true", help="in this process, without Kafka")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    figures = measured(asked.seed, None if asked.loop else asked.seconds)
    write_json(asked.json, figures)
    print(figures)


def measured(seed: int, seconds: float | None) -> dict[str, Any]:
    """The figures; without `seconds` in this process, which knows no time to alert."""
    house = Insiders(seed, START_MS)
    findings, waits = live(house, seconds) if seconds else (in_a_loop(house), [])
    verdict, middle = judged(house, findings), percentile(waits, 0.5)
    show(verdict, house)
    return verdict.figures | {"alert_p50_s": None if middle is None else round(middle / 1000, 3)}


if __name__ == "__main__":
    main()
