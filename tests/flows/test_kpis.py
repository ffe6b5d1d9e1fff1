"""The KPI flow is killed again and again: what it says and what it keeps is what a plain count says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import orjson
import pytest
import redis as redis_py

from features import events as ev
from features.times import HOUR_MS, MINUTE_MS
from flows.topics import TOPICS
from operators.kafka import producer
from operators.kpis import read_kpis
from operators.layout import RECORDS
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from tests.alerts.kpis.test_rollup import brute_force
from tests.flowprocess import Flow, make_topics, read_all, settings_for
from tests.oracle_kpis import SHIPPED, Chain

pytestmark = [pytest.mark.servers, pytest.mark.slow]
START_MS = 490_000 * HOUR_MS
HOURS = 60  # more than minutes are kept for
EVENTS = 1_152  # of a partition


def events_of(partition: int) -> list[ev.Event]:
    """Orders of a few stores and hours, late ones, ones that come twice, voids, heartbeats; a tick a quarter."""
    rng, log = Random(partition), list[ev.Event]()
    for number in range(EVENTS):
        now_ms = START_MS + number * HOURS * HOUR_MS // EVENTS
        at_ms = now_ms - rng.choice((0, 0, 0, 0, 1, 9, 61, 600, 3_000)) * MINUTE_MS
        place = {"store": f"s{rng.randrange(3)}", "region": "north", "channel": rng.choice(("app", "counter"))}
        common = {"id": f"{partition}-{number}", "at_ms": at_ms, "tz": "Asia/Shanghai", **place}
        lines = [
            ev.Line("x", rng.randint(1, 3), 700, rng.choice(("tea", "cake", ""))) for _ in range(rng.randint(1, 3))
        ]
        order = ev.Order(
            **common,
            lines=lines,
            total_cents=rng.randint(500, 5_000),
            rain_mm=rng.choice((0.0, 2.5)),
            campaign=rng.choice(("", "summer")),
        )
        void = ev.Void(**common, order="o", ordered_time=0, amount_cents=900, items=1, ordered_ms=at_ms - HOUR_MS)
        log.append(rng.choice((order, order, order, void, ev.Heartbeat(**common), ev.Footfall(**common, visitors=4))))
        if rng.random() < 0.1:
            log.append(log[-1 - rng.randrange(min(len(log), 20))])
        if number % (EVENTS // HOURS // 4) == 0:
            log.append(tick(now_ms))
    return [*log, tick(END_MS), tick(END_MS + MINUTE_MS)]


END_MS = START_MS + HOURS * HOUR_MS


def tick(at_ms: int) -> ev.Tick:
    return ev.Tick(id="t", at_ms=at_ms, source="p", of=1)


class Town:
    def __init__(self, brokers: str, redis_url: str, folder: Path) -> None:
        self.settings = settings_for(brokers, redis_url, batch_events=80)
        self.redis = redis_py.Redis.from_url(redis_url)
        self.parts = range(self.settings.kafka.partitions)
        self.chain, self.folder, self.struck = Chain(48), folder, 0
        make_topics(self.settings, TOPICS)
        self.logs = [events_of(part) for part in self.parts]
        for log in self.logs:
            self.chain.count(log)

    def feed(self) -> None:
        sender = producer(self.settings.kafka.librdkafka())
        for part, log in enumerate(self.logs):
            for event in log:
                sender.produce(self.settings.topic("events"), ev.encode(event), partition=part)
            sender.poll(0)
        assert sender.flush(60) == 0

    def reached(self, flow: str) -> int:
        store = PartitionStore(self.redis, self.settings.redis.prefix, flow)
        return sum(max(0, store.position(part).offset) for part in self.parts)

    def done(self) -> bool:
        store = PartitionStore(self.redis, self.settings.redis.prefix, "kpis-merge")
        clocks = [store.position(part).clock.now_ms for part in self.parts]
        return min(clocks) == END_MS + MINUTE_MS and not any(store.unsent(part) for part in self.parts)

    def under_fire(self) -> None:
        whole = sum(map(len, self.logs))
        for number, share in enumerate((0.1, 0.3, 0.6)):
            flow = Flow("kpis", self.settings, self.folder / f"{number}.log")
            flow.until(lambda share=share: self.reached("kpis") > share * whole and self.reached("kpis-merge") > 0)
            flow.kill()
            self.struck += self.reached("kpis") < whole - len(self.parts)
        flow = Flow("kpis", self.settings, self.folder / "last.log")
        flow.until(self.done)
        flow.kill()


@pytest.fixture(scope="module")
def town(kafka: KafkaServer | MockKafka, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Town:
    if not isinstance(kafka, KafkaServer):
        pytest.skip("needs real Kafka: the mock cluster holds too few messages")
    town = Town(kafka.brokers, redis.url, tmp_path_factory.mktemp("town"))
    town.feed()
    town.under_fire()
    assert town.struck, "each was through before it could be killed: feed it more"
    return town


def test_the_latest_word_on_every_minute_is_the_plain_count(town: Town) -> None:
    found: dict[tuple[str, int], tuple[int, dict[str, int]]] = {}
    for message in read_all(town.settings, "kpi.minutes"):
        event = orjson.loads(message.value() or b"")
        if event["type"] == "brewline.kpi.minute":
            data = event["data"]
            counted = {name: data[name] for name in SHIPPED.names if data[name]}
            before = found.get((data["dim"], data["minute_ms"]), (0, counted))
            assert before[0] != data["revision"] or before[1] == counted, "one revision, two counts"
            found[data["dim"], data["minute_ms"]] = max(before, (data["revision"], counted), key=lambda each: each[0])
    expected = {key: {name: n for name, n in counts.items() if n} for key, counts in town.chain.minutes.items()}
    assert {key: counts for key, (_, counts) in found.items()} == expected


@pytest.mark.parametrize("minutes", [5, 60])
def test_what_stays_of_minutes_is_the_sum_of_the_plain_count(town: Town, minutes: int) -> None:
    expected = {key: counts for key, counts in brute_force(town.chain, minutes).items() if counts}
    found = {}
    for dim in {dim for dim, _ in expected}:
        read = read_kpis(town.redis, town.settings.redis.prefix, dim, minutes, START_MS - 60 * HOUR_MS, END_MS)
        for at_ms, counts in read.items():
            if any(counts.values()):
                found[dim, at_ms] = {
                    n: counts[c] for n, c in sorted((n, c) for c, n in enumerate(SHIPPED.names) if counts.get(c))
                }
    assert found == expected
    kept = PartitionStore(town.redis, town.settings.redis.prefix, "kpis-merge")
    step = "five|*" if minutes == 5 else "hours|*"
    assert any([*town.redis.hscan_iter(kept.key(part, RECORDS), step)] for part in town.parts), "none yet"
