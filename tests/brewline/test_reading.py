"""Programs read features as of a time: many customers as exactly as one, and every error says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random

import msgspec
import pytest
import redis as redis_py

from brewline import Features
from brewline.reading import moment_ms
from config import settings as conf
from features import events as e
from features.customer import Core
from features.identity import Pseudonyms
from features.job import Batch, Clock
from features.kernel.effects import code_of
from features.kernel.words import hash_texts
from features.layout import Layout
from features.partitions import partition_of
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from flows.files import load_catalog
from operators.customers import NoState, UnknownCustomer
from operators.kafka import Unreachable
from operators.layout import RECORDS, check_layout, follow_layout
from operators.servers import RedisServer, redis_server
from operators.store import PartitionStore

pytestmark = pytest.mark.servers
NOON_MS = parse_time("2026-05-01T12:00:00+08:00")
KEY = "a key of sixteen characters or more"
PARTITIONS = 4


@pytest.fixture
def settings(redis: RedisServer, topic_prefix: str) -> conf.Settings:
    return conf.Settings(redis=conf.Redis(url=redis.url, prefix=topic_prefix), folder=str(conf.HERE))


def records(settings: conf.Settings, customers: int, seed: int = 5) -> dict[str, bytes]:
    """Customers of several time zones with some orders, views and a complaint."""
    rng, core = Random(seed), Core(load_catalog(settings))
    events: list[e.Event] = []
    for number in range(customers * 9):
        at_ms, customer = NOON_MS - rng.randrange(40 * DAY_MS), f"c{rng.randrange(customers):032x}"
        shared = {"id": f"e{number}", "customer": customer, "at_ms": at_ms}
        zone = rng.choice(["Asia/Shanghai", "Europe/Berlin", "America/New_York"])
        kind = rng.choice(["order", "view", "complaint"])
        if kind == "order":
            events.append(e.Order(**shared, tz=zone, lines=[e.Line("tea")], total_cents=rng.randrange(9_000)))
        elif kind == "view":
            events.append(e.View(**shared, tz=zone))
        else:
            events.append(e.Complaint(**shared, tz=zone, case=f"k{number}"))
    batch = Batch("events", 0, -1, [*range(len(events))], [e.encode(event) for event in events], [0] * len(events))
    applied = core.apply(core.columns(batch, Clock()), [], {})
    return dict(applied.records)


def fill(settings: conf.Settings, found: dict[str, bytes]) -> redis_py.Redis:
    client, prefix = redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix
    check_layout(client, prefix, {"partitions of events": PARTITIONS})
    store = PartitionStore(client, prefix, "customers")
    for partition in range(PARTITIONS):
        client.hset(store.key(partition, "words"), str(code_of(hash_texts(["tea"])[0])), "tea")
    for customer, raw in found.items():
        client.hset(store.key(partition_of(customer, PARTITIONS), RECORDS), customer, raw)
    return client


@pytest.fixture
def filled(settings: conf.Settings) -> tuple[Features, dict[str, bytes]]:
    found = records(settings, 60)
    return Features(settings, fill(settings, found)), found


def plain(row: list[float], texts: dict[str, list[str]]) -> list[float | str | None]:
    """As the reader tells it; the only product is tea."""
    names = load_catalog(conf.load(environ={})).names
    told: list[float | str | None] = [None if value != value else value for value in row]
    for i, name in enumerate(names):
        if name in texts and told[i] is not None:
            told[i] = texts[name][int(row[i]) - 1] if texts[name] else "tea"
    return told


@pytest.mark.parametrize("later_ms", [0, 7 * MINUTE_MS, 30 * HOUR_MS, 50 * DAY_MS])
def test_many_are_read_as_each_alone_in_all_time_zones(
    filled: tuple[Features, dict[str, bytes]], later_ms: int
) -> None:
    features, found = filled
    rows, core = features.read_many(found, NOON_MS + later_ms), Core(features.catalog)
    assert list(rows) == list(found)
    for customer, raw in found.items():
        assert list(rows[customer]) == features.names
        assert list(rows[customer].values()) == plain(core.row(raw, NOON_MS + later_ms), features.catalog.texts)
        assert features.read(customer, NOON_MS + later_ms) == rows[customer]
    assert any(value is None for row in rows.values() for value in row.values())


def test_whoever_is_unknown_is_absent(filled: tuple[Features, dict[str, bytes]]) -> None:
    features, found = filled
    known = next(iter(found))
    assert features.read("c-nobody", NOON_MS) is None
    assert list(features.read_many(["c-nobody", known, known], NOON_MS)) == [known]
    assert features.read_many([], NOON_MS) == {}
    names, matrix = features.matrix(["c-nobody"], NOON_MS)
    assert (names, matrix.shape) == ([], (0, len(features.names)))


def test_an_identifier_reads_its_customer_and_bears_its_own_name(
    filled: tuple[Features, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, found = filled
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", KEY)
    customer = next(iter(found))
    card = Pseudonyms(KEY.encode(), "CN").one("card", "8801")
    features.redis.set(f"{features.settings.redis.prefix}:id:{card}", customer)
    rows = features.read_many(["card:8801", customer, "card:none"], NOON_MS)
    assert rows == {"card:8801": rows[customer], customer: rows[customer]}
    with pytest.raises(UnknownCustomer, match="found 'badge', expected a customer id or one of phone:…"):
        features.read("badge:1", NOON_MS)
    with pytest.raises(UnknownCustomer, match=r"^no customer is known by this phone$"):
        features.read("phone:abc", NOON_MS)


def test_before_the_newest_event_windows_end_there_and_sums_over_the_lifetime_are_those_of_now(
    settings: conf.Settings,
) -> None:
    core = Core(load_catalog(settings))
    orders = [
        e.Order(id=f"o{i}", customer="c1", at_ms=NOON_MS + i * HOUR_MS, lines=[e.Line("tea")], total_cents=1)
        for i in range(3)
    ]
    batch = Batch("events", 0, -1, [0, 1, 2], [e.encode(order) for order in orders], [0] * 3)
    applied = core.apply(core.columns(batch, Clock()), [], {})
    features = Features(settings, fill(settings, dict(applied.records)))
    row = features.read("c1", NOON_MS + HOUR_MS)
    assert row is not None
    assert (row["orders_24h"], row["orders_lifetime"], row["days_since_order"]) == (2, 3, 0)


def test_a_feature_that_was_added_tells_since_when_it_counts(settings: conf.Settings) -> None:
    client, layout = fill(settings, {}), load_catalog(settings).layout
    before = Layout([cell for cell in layout.cells if "view" not in cell], layout.tables, layout.inputs)
    assert follow_layout(client, settings.redis.prefix, before, NOON_MS - DAY_MS) == []
    assert follow_layout(client, settings.redis.prefix, layout, NOON_MS) == [before]
    features = Features(settings, client)
    assert features.since_ms("views_7d") == NOON_MS
    assert features.since_ms("orders_7d") == 0
    assert {known.id for known in follow_layout(client, settings.redis.prefix, layout, NOON_MS + 1)} == {
        before.id,
        layout.id,
    }
    assert Features(settings, client).since_ms("views_7d") == NOON_MS, "a start that changes nothing begins nothing"


def test_a_window_that_was_widened_tells_since_when_it_counts(settings: conf.Settings) -> None:
    client, layout = fill(settings, {}), load_catalog(settings).layout
    before = Layout(layout.cells, layout.tables, layout.inputs, days=31)
    assert before.id == layout.id
    assert follow_layout(client, settings.redis.prefix, before, NOON_MS - DAY_MS) == []
    follow_layout(client, settings.redis.prefix, layout, NOON_MS)
    follow_layout(client, settings.redis.prefix, layout, NOON_MS + DAY_MS)
    features = Features(settings, client)
    assert features.since_ms("orders_90d") == NOON_MS - 31 * DAY_MS
    assert features.since_ms("orders_30d") == 0


def test_a_record_of_other_measures_is_named(filled: tuple[Features, dict[str, bytes]]) -> None:
    features, found = filled
    customer, raw = next(iter(found.items()))
    key = PartitionStore(features.redis, features.settings.redis.prefix, "customers").key(
        partition_of(customer, PARTITIONS), RECORDS
    )
    features.redis.hset(key, customer, raw[:1] + b"\0\0\0\0" + raw[5:])
    with pytest.raises(ValueError, match=f"record of customer {customer} was written under other measures"):
        features.read_many(found, NOON_MS)


def test_where_no_flow_has_run_it_says_so(settings: conf.Settings) -> None:
    with pytest.raises(NoState, match=f"no flow has run under the redis.prefix '{settings.redis.prefix}'"):
        Features(settings, redis_py.Redis.from_url(settings.redis.url))


def test_reading_writes_nothing(filled: tuple[Features, dict[str, bytes]]) -> None:
    features, found = filled
    keys = set(features.redis.keys(f"{features.settings.redis.prefix}:*"))
    Features(features.settings, features.redis).read_many(found, NOON_MS)
    assert set(features.redis.keys(f"{features.settings.redis.prefix}:*")) == keys


@pytest.fixture
def mortal(workdir: Path) -> Iterator[RedisServer]:
    with redis_server(workdir) as server:
        yield server


def test_a_redis_that_is_away_is_named_at_the_start_and_later(mortal: RedisServer, topic_prefix: str) -> None:
    settings = conf.Settings(
        redis=conf.Redis(url=mortal.url, prefix=topic_prefix, start_timeout_s=0.3), folder=str(conf.HERE)
    )
    fill(settings, {})
    told = {"BREWLINE_REDIS__URL": mortal.url, "BREWLINE_REDIS__PREFIX": topic_prefix}
    features = Features.open(environ={**told, "BREWLINE_REDIS__START_TIMEOUT_S": "0.3"})
    mortal.kill()
    with pytest.raises(Unreachable, match=r"Redis at \S+ does not answer .* \[redis\] url"):
        features.read("c1", NOON_MS)
    with pytest.raises(Unreachable, match="does not answer"):
        Features.open(environ={**told, "BREWLINE_REDIS__START_TIMEOUT_S": "0.3"})


def test_the_command_shows_what_programs_read(filled: tuple[Features, dict[str, bytes]]) -> None:
    features, found = filled
    customer = next(iter(found))
    row = features.read(customer, "2026-05-02T12:00:00+08:00")
    assert row is not None
    own = {name: value for name, value in os.environ.items() if not name.startswith("BREWLINE_")}
    redis = msgspec.to_builtins(features.settings.redis)
    named = {f"BREWLINE_REDIS__{key.upper()}": str(value) for key, value in redis.items()}
    named |= {"BREWLINE_KAFKA__BROKERS": "127.0.0.1:1", "BREWLINE_KAFKA__START_TIMEOUT_S": "0.1"}  # none is there

    def shown(*options: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "brewline", "customer", customer, "--at", "2026-05-02T12:00:00+08:00", *options],
            capture_output=True,
            text=True,
            env=own | named | {"COLUMNS": "200"},
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    [age] = [line for line in shown().splitlines() if "age_days" in line]
    assert f"{row['age_days']:,.3f}" in age
    told = json.loads(shown("--json"))
    assert (told["customer"], told["at_ms"]) == (customer, moment_ms("2026-05-02T12:00:00+08:00"))
    assert told["features"] == row


def test_moments_are_texts_with_offset_epoch_ms_or_times_with_a_zone() -> None:
    east = timezone(timedelta(hours=8))
    assert {
        moment_ms("2026-05-01T12:00+08:00"),
        moment_ms("2026-05-01T04:00:00Z"),
        moment_ms(NOON_MS),
        moment_ms(datetime(2026, 5, 1, 12, tzinfo=east)),
    } == {NOON_MS}
    for wrong in ("2026-05-01T12:00", "noon", datetime(2026, 5, 1, 12)):  # noqa: DTZ001 - that is the point
        with pytest.raises(ValueError, match="expected"):
            moment_ms(wrong)
