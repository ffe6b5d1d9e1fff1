"""A replay waits for all that it asks of the flows, names what is missing, and sends a history once."""

from __future__ import annotations

import time
from collections import Counter
from io import StringIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import redis as redis_py
import structlog
from confluent_kafka import TopicPartition
from rich.console import Console

from brewline import catch_up, waiting
from brewline.account import Before
from brewline.waiting import Sending, Stand, Waiting
from config import settings as conf
from features.job import Clock, Position, encode_position
from features.times import DAY_MS, MINUTE_MS
from flows.topics import TOPICS
from operators.kafka import consumer, ensure_topics
from operators.layout import check_layout
from operators.servers import KafkaServer, MockKafka, RedisServer, free_port, redis_server
from operators.store import PartitionStore
from tests.brewline.watching import watch_when_there

END_MS = 490_000 * 3_600_000


class Seen:
    """What has come out so far."""

    def __init__(self, coupons: int = 0, dead_letters: int = 0, kafka: str = "") -> None:
        self.coupons, self.alerts = Counter(rule=coupons), Counter[str]()
        self.tickets = Counter[str]()
        self.dead_letters = Counter(malformed=dead_letters)
        self.seen: set[str] = set()
        self.consumer = SimpleNamespace(list_topics=lambda timeout: None)

    def poll(self, timeout_s: float) -> list[Any]:
        time.sleep(0.01)
        return []


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STALLED_S": 0.5, "AWAY_S": 1.0, "SUSPECT_S": 0.1, "LOOK_S": 0.05}.items():
        monkeypatch.setattr(waiting, name, value)
    monkeypatch.setattr(waiting, "unread_by_ingest", lambda settings: 0)


def came(settings: conf.Settings, flow: str, clock_ms: int = END_MS, **counts: int) -> None:
    """A flow of one partition that has come so far."""
    store = PartitionStore(redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix, flow)
    store.redis.set(store.key(0, "owner"), "x")
    found = {name.replace("__", ":"): count for name, count in counts.items()}
    store.redis.set(store.key(0, "fence"), encode_position(Position(9, Clock(clock_ms), found)))


def wait(settings: conf.Settings, seen: Seen, sent: int, out: Console | None = None, **options: Any) -> Stand:
    client = redis_py.Redis.from_url(settings.redis.url)
    sending = Sending(sent, END_MS, options.pop("before", Before()), **options)
    return Waiting(settings, client, 1, seen, sending).wait(out or Console(file=StringIO()))  # type: ignore[arg-type]


def test_when_all_is_applied_all_clocks_have_come_and_all_coupons_are_out_nothing_is_missing(
    settings: conf.Settings,
) -> None:
    came(settings, "customers", applied=8, duplicates=1, coupons=2)
    came(settings, "kpis", kpi_events=8, kpi_duplicates=1)
    came(settings, "kpis-merge")
    came(settings, "kpis-judge", END_MS - MINUTE_MS)  # the last minute closes 20 s after its end
    stand = wait(settings, Seen(coupons=2, dead_letters=1), sent=10)
    assert stand.missing == []
    assert stand.counts["customers"]["coupons"] == 2


@pytest.mark.parametrize(
    ("flow", "clock_ms", "counts", "told"),
    [
        ("customers", END_MS, {"applied": 7}, "what became of 1 events"),
        ("customers", END_MS, {"applied": 8, "coupons": 3}, "3 coupons that customers decided have not come out"),
        ("customers", 0, {"applied": 8}, "customers has not begun"),
        ("kpis", END_MS - DAY_MS, {"kpi_events": 8}, "kpis stands at 2025-11-23T16:00:00.000Z"),
        ("kpis", END_MS, {"kpi_events": 6}, "2 events of customers that kpis has not counted"),
        ("kpis-judge", END_MS - 2 * MINUTE_MS, {}, "kpis-judge stands at 2025-11-24T15:58:00.000Z"),
        ("kpis-judge", END_MS, {"kpi_alerts": 1}, "1 kpi alerts that kpis-judge decided have not come out"),
        ("service-desk", END_MS, {"tickets": 2}, "2 tickets that service-desk decided have not come out"),
        ("service", END_MS - DAY_MS, {}, "service stands at 2025-11-23T16:00:00.000Z"),
        ("security", END_MS, {"security_alerts": 1}, "1 security alerts that security decided have not come out"),
    ],
)
def test_what_is_missing_is_named_when_nothing_moves_any_more(
    settings: conf.Settings, flow: str, clock_ms: int, counts: dict[str, int], told: str
) -> None:
    came(settings, "customers", applied=8)
    came(settings, flow, clock_ms, **counts)
    (missing,) = wait(settings, Seen(), sent=8).missing
    assert missing.startswith(told)


def test_a_flow_that_never_ran_is_not_waited_for(settings: conf.Settings) -> None:
    came(settings, "customers", applied=8)
    assert waiting.started(redis_py.Redis.from_url(settings.redis.url), settings) == ["customers"]
    assert wait(settings, Seen(), sent=8).missing == []


def test_what_was_there_before_does_not_count(settings: conf.Settings) -> None:
    came(settings, "customers", applied=18, coupons=5)
    before = Before(counts={"customers": {"applied": 10, "coupons": 5}})
    stand = wait(settings, Seen(), sent=8, before=before)
    assert (stand.account.applied, stand.counts["customers"]["coupons"], stand.missing) == (8, 0, [])


def test_what_was_decided_before_and_comes_out_now_is_not_missing(settings: conf.Settings) -> None:
    came(settings, "customers", applied=8, coupons=2)
    assert wait(settings, Seen(coupons=3), sent=8).missing == []


def test_what_a_run_that_was_killed_had_sent_twice_is_no_surplus(settings: conf.Settings) -> None:
    came(settings, "customers", applied=8, duplicates=2)
    assert wait(settings, Seen(), sent=8, resumed=True).account.events_in == 10
    assert wait(settings, Seen(), sent=8).missing == ["who else sent: 2 events more than this replay's were applied"]


def test_a_redis_that_is_away_is_named_and_waited_for_and_the_wait_ends_when_it_does_not_come_back(
    settings: conf.Settings,
) -> None:
    settings.redis.url = f"redis://127.0.0.1:{free_port()}/0"
    out = Console(file=StringIO(), width=200)
    (missing,) = wait(settings, Seen(), sent=8, out=out).missing
    assert missing.startswith(f"Redis at {settings.redis.url} is away: ConnectionError")
    assert "the same command goes on waiting" in missing
    assert out.file.getvalue().count("is away") == 1  # type: ignore[attr-defined]


def test_a_redis_that_comes_back_is_waited_for(
    settings: conf.Settings, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AWAY_S", 30.0)
    monkeypatch.setattr(waiting, "STALLED_S", 10.0)
    with redis_server(workdir) as server:
        settings.redis.url = server.url
        server.kill()
        out, stands = Console(file=StringIO(), width=200), list[Stand]()
        thread = Thread(target=lambda: stands.append(wait(settings, Seen(), sent=8, out=out)))
        thread.start()
        time.sleep(0.5)
        server.start()
        came(settings, "customers", applied=8)
        thread.join()
        assert [stand.missing for stand in stands] == [[]]
        assert "it is back" in out.file.getvalue()  # type: ignore[attr-defined]


def test_a_warning_that_repeats_is_shown_once_in_a_while() -> None:
    seldom = catch_up.Seldom()
    assert seldom(None, "warning", {"event": "kafka", "error": "a"})
    assert seldom(None, "warning", {"event": "other"})
    with pytest.raises(structlog.DropEvent):
        seldom(None, "warning", {"event": "kafka", "error": "b"})


ORDER = '{"type":"order","id":"o%d","time":%d,"who":{"card":"c"},"lines":[{"sku":"a"}],"total_cents":1}'
HISTORY = "\n".join(ORDER % (i, END_MS + i) for i in range(5))


def sent_events(settings: conf.Settings) -> int:
    reader = consumer(settings.kafka.librdkafka(), "test")
    places = [TopicPartition(settings.topic("pos.events"), partition) for partition in range(4)]
    total = sum(reader.get_watermark_offsets(place, timeout=10)[1] for place in places)
    reader.close()
    return total


def test_the_same_command_after_a_finished_replay_sends_nothing_and_still_gives_the_account_of_all(
    kafka: KafkaServer | MockKafka,
    redis: RedisServer,
    settings: conf.Settings,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workdir)
    Path("mine.ndjson").write_text(HISTORY)
    ensure_topics(settings.kafka.librdkafka(), [settings.topic(topic) for topic in TOPICS], 4, 1, {})
    watch_when_there(settings).close()
    check_layout(redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix, {"partitions of events": 1})
    out = Console(file=StringIO(), width=200)

    def command(restart: bool = False) -> int:
        return catch_up.replay_history(settings, "mine.ndjson", None, 0, restart, None, out)

    assert command() == 1
    told = out.file.getvalue()  # type: ignore[attr-defined]
    assert (
        "not started: customers, kpis, kpis-merge, kpis-judge, service, service-desk, abuse, abuse-judge, security"
        in told
    )
    assert "missing: what became of 5 events" in told
    sent = sent_events(settings)
    came(settings, "customers", END_MS + 4 + DAY_MS, applied=5, applied__order=5)
    assert command() == 0
    assert sent_events(settings) == sent
    assert "nothing is sent again" in out.file.getvalue()  # type: ignore[attr-defined]
    command(restart=True)
    assert sent_events(settings) == 2 * sent
