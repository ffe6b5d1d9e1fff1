"""Brewline watches itself: what it reads and takes out is noted first, in a chain, and its own rules see it."""

from __future__ import annotations

import getpass
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace
from rich.console import Console

from alerts.security.job import SecurityJob
from brewline.histories.export import export_history
from brewline.trail import AS, PURPOSE, about, note, note_export, open_trail, person, verify_trail
from config import settings as conf
from features import events as e
from features.check import Limits
from features.loop import batches, run
from features.stores import Stores
from flows.guards import load_security_rules, security_texts
from operators.kafka import Unreachable, ensure_topics, time_kept_ms
from operators.servers import MockKafka, RedisServer, free_port, mock_kafka
from tests.brewline.test_cli import brewline

NOON_MS = 1_777_867_200_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockKafka]:
    with mock_kafka() as found:
        yield found


@pytest.fixture
def settings(
    cluster: MockKafka, redis: RedisServer, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> conf.Settings:
    monkeypatch.setenv(AS, "anna")
    monkeypatch.setenv(PURPOSE, "reporting")
    kafka = conf.Kafka(brokers=cluster.address, topic_prefix=topic_prefix, start_timeout_s=3)
    found = replace(
        conf.load(environ={}), kafka=kafka, redis=conf.Redis(redis.url, topic_prefix.rstrip("-"), start_timeout_s=0.5)
    )
    ensure_topics(kafka.librdkafka(), [found.topic("audit.events")], 2, 1, {})
    return found


def verified(settings: conf.Settings, noted: str = "") -> tuple[int, str]:
    out = Console(file=io.StringIO(), width=200)
    return verify_trail(settings, noted, out), out.file.getvalue()  # type: ignore[attr-defined]


def log_of(settings: conf.Settings) -> list[e.AuditAccess | e.AuditExport]:
    return sorted((written.entry for written in open_trail(settings).read(NOON_MS)[0]), key=lambda entry: entry.trail)


def history(file: Path, customers: int) -> str:
    orders = [
        e.Order(id=f"o{n}", time=NOON_MS + n, who=e.Who(card=f"{n}"), lines=[e.Line(sku="x")], total_cents=1)
        for n in range(customers)
    ]
    file.write_bytes(b"\n".join(e.encode(order) for order in orders))
    return str(file)


def test_what_is_noted_says_who_what_for_and_how_much_and_the_chain_is_whole(settings: conf.Settings) -> None:
    assert verified(settings)[0] == 0
    note(settings, "view", about(settings, "c1f0"), 1)
    note(settings, "model_promotion", "churn_risk 7", by="eve")
    note_export(settings, "history")(120, ["customer", "total_cents"])
    view, promotion, export = log_of(settings)
    assert (view.actor, view.purpose, view.object, view.rows) == ("anna", "reporting", "customer c1f0", 1)
    assert (promotion.actor, getattr(promotion, "action", "")) == ("eve", "model_promotion")
    assert (export.rows, export.fields) == (120, ["customer", "total_cents"])
    code, told = verified(settings)
    assert code == 0
    assert "entries 1 to 3" in told
    noted = told.split("--noted ")[1].strip()
    assert verified(settings, noted)[0] == 0
    assert verified(settings, f"3:{'0' * 32}")[0] == 1


def test_whoever_exports_customers_with_this_tool_is_caught_by_the_shipped_rules(
    settings: conf.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", "a key of sixteen characters or more")
    file, source = tmp_path / "all.parquet", history(tmp_path / "h.ndjson", 5_200)
    export_history(settings, source, file, None, None, Console(file=io.StringIO()), note_export(settings, "history"))
    assert file.exists()
    values = [e.encode(entry) for entry in log_of(settings)]
    limits = Limits(1_000_000, 0, 10**15)
    job = SecurityJob(load_security_rules(security_texts(settings)), Stores("Asia/Shanghai"), limits, 48)
    (store,) = run(job, batches("audit.events", 0, values)).values()
    findings = [orjson.loads(message.value)["data"] for message in store.sent if message.topic == "alerts"]
    (bulk,) = [finding for finding in findings if finding["rule"] == "bulk_export"]
    assert (bulk["actor"], bulk["observed"]) == ("anna", 5_200)


def test_what_cannot_be_noted_is_not_taken_out(settings: conf.Settings, tmp_path: Path) -> None:
    away = replace(settings, redis=conf.Redis(f"redis://127.0.0.1:{free_port()}/0", start_timeout_s=0.2))
    file, source = tmp_path / "all.parquet", history(tmp_path / "h.ndjson", 3)
    with pytest.raises(Unreachable):
        export_history(away, source, file, None, None, Console(file=io.StringIO()), note_export(away, "history"))
    assert not file.exists()


def test_an_entry_that_kafka_did_not_take_waits_and_goes_out_with_the_next(settings: conf.Settings) -> None:
    kafka = replace(settings.kafka, brokers=f"127.0.0.1:{free_port()}", start_timeout_s=0.2)
    note(replace(settings, kafka=kafka), "view", "customer c1", 1)
    assert log_of(settings) == []
    note(settings, "view", "customer c2", 1)
    assert [entry.object for entry in log_of(settings)] == ["customer c1", "customer c2"]
    assert verified(settings)[0] == 0


def test_many_at_once_write_one_chain(settings: conf.Settings) -> None:
    trails = [open_trail(settings) for _ in range(4)]

    def write(trail: object) -> None:
        for n in range(15):
            trail.append(e.AuditAccess(id="", actor=f"p{n}", action="view", time=NOON_MS))  # type: ignore[attr-defined]
        trail.send()  # type: ignore[attr-defined]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, trails))
    code, told = verified(settings)
    assert (code, "entries 1 to 60" in told) == (0, True)


def test_a_key_that_is_added_to_what_is_published_is_found(settings: conf.Settings) -> None:
    trail = open_trail(settings)
    raw = e.encode(trail.append(e.AuditAccess(id="", actor="anna", action="view", time=NOON_MS)))
    trail.redis.lset(trail.waiting_key, 0, raw.replace(b'"actor":', b'"note":"by order","actor":').decode())
    code, told = verified(settings)
    assert (code, "entry 1 has the key 'note', which was not sealed" in told) == (1, True)


def test_an_entry_that_was_kept_from_kafka_is_missing(settings: conf.Settings) -> None:
    trail = open_trail(settings)
    for n in range(3):
        trail.append(e.AuditAccess(id="", actor="anna", action="view", object=f"c{n}", time=NOON_MS))
    trail.redis.lpop(trail.waiting_key)
    code, told = verified(settings)
    assert (code, "entry 1 is missing" in told) == (1, True)


def test_a_command_notes_the_person_and_never_what_was_typed_of_a_guest(settings: conf.Settings) -> None:
    environ = {
        "BREWLINE_KAFKA__BROKERS": settings.kafka.brokers,
        "BREWLINE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "BREWLINE_REDIS__URL": settings.redis.url,
        "BREWLINE_REDIS__PREFIX": settings.redis.prefix,
        "BREWLINE_IDENTITY_KEY": "a key of sixteen characters or more",
    }
    brewline("--as", "eve", "--purpose", "complaint", "customer", "phone:+8613800138000", **environ)
    (entry,) = log_of(settings)
    assert (entry.actor, entry.purpose, entry.rows) == ("eve", "complaint", 1)
    assert entry.object.startswith("customer phone:")
    assert "13800138000" not in entry.object
    checked = brewline("audit", "verify", **environ)
    assert (checked.returncode, "whole" in checked.stdout) == (0, True)


def test_a_name_that_is_too_long_is_refused_by_its_option_and_the_next_command_works(
    settings: conf.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AS, "a" * 200)
    with pytest.raises(ValueError, match="--as, --by or BREWLINE_AS"):
        note(settings, "view", "customer c1", 1)
    with pytest.raises(ValueError, match="--as, --by or BREWLINE_AS"):
        note_export(settings, "history")(3, ["customer"])
    monkeypatch.setenv(AS, "\udcff")
    with pytest.raises(ValueError, match="cannot be noted"):
        note(settings, "view", "customer c1", 1)
    monkeypatch.setenv(AS, "anna")
    note(settings, "model_promotion", "why " * 200)
    note(settings, "view", "customer c2", 1)
    assert [(entry.trail, len(entry.object)) for entry in log_of(settings)] == [(1, 128), (2, 11)]
    assert verified(settings)[0] == 0


@pytest.mark.parametrize(
    ("policy", "kept_ms", "size", "told"),
    [
        ("delete", "1000", "-1", 1_000),
        ("delete", "-1", "-1", 2**62),
        ("delete", "1000", "5", None),
        ("compact,delete", "1000", "-1", None),
    ],
)
def test_how_long_entries_must_be_there_is_known_where_time_alone_decides(
    policy: str, kept_ms: str, size: str, told: int | None
) -> None:
    assert time_kept_ms({"cleanup.policy": policy, "retention.ms": kept_ms, "retention.bytes": size}) == told


def test_figures_of_customers_over_kafka_are_noted(settings: conf.Settings) -> None:
    environ = {
        "BREWLINE_KAFKA__BROKERS": settings.kafka.brokers,
        "BREWLINE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "BREWLINE_REDIS__URL": settings.redis.url,
        "BREWLINE_REDIS__PREFIX": settings.redis.prefix,
    }
    brewline("cohorts", **environ)
    brewline("attribution", **environ)
    assert [entry.object for entry in log_of(settings)] == ["cohorts of the history", "attribution of the history"]


def test_a_wrong_noted_end_is_refused_in_plain_words(settings: conf.Settings) -> None:
    with pytest.raises(ValueError, match="expected what a former `audit verify` has printed"):
        verified(settings, "twelve")


def test_a_login_without_a_name_is_asked_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.delenv(AS, raising=False)
    with pytest.raises(ValueError, match="--as: the login has no name here"):
        person()
    monkeypatch.setenv(AS, "anna")
    assert person() == "anna"
