"""Health: green while all is well, red with the reason when not, and counts that can be scraped."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import structlog
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from operators.health import Pulse, configure_logs, count, serve_health, show, warn_seldom
from operators.servers import free_port

TIMEOUT_S = 10


class Watch:
    """A clock one can set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def pulse(watch: Watch) -> Pulse:
    return Pulse(stall_s=15, clock=watch)


@pytest.fixture
def url(pulse: Pulse) -> Iterator[str]:
    port = free_port()
    server = serve_health("127.0.0.1", port, pulse)
    assert server is not None
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()


def get(url: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def scraped(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) → value of all that /metrics shows."""
    families = text_string_to_metric_families(get(f"{url}/metrics")[1])
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_a_flow_without_complaints_is_healthy(url: str, pulse: Pulse) -> None:
    pulse.beat("customers events/0")
    assert get(f"{url}/healthz") == (200, "ok\n")


def test_a_trouble_turns_health_red_until_it_is_well_again(url: str, pulse: Pulse) -> None:
    pulse.trouble("redis", "ConnectionError: refused")
    pulse.trouble("kafka", "all brokers are down")
    assert get(f"{url}/healthz") == (503, "redis: ConnectionError: refused\nkafka: all brokers are down\n")
    pulse.well("redis")
    assert get(f"{url}/healthz") == (503, "kafka: all brokers are down\n")
    pulse.well("kafka")
    assert get(f"{url}/healthz") == (200, "ok\n")


def test_a_partition_that_stands_still_turns_health_red_until_it_turns_again(
    url: str, pulse: Pulse, watch: Watch
) -> None:
    pulse.beat("customers events/0")
    pulse.beat("customers events/1")
    watch.now_s = 15.0
    assert get(f"{url}/healthz")[0] == 200
    pulse.beat("customers events/0")
    watch.now_s = 16.0
    assert get(f"{url}/healthz") == (503, "customers events/1: no turn for 16 s\n")
    pulse.beat("customers events/1")
    assert get(f"{url}/healthz") == (200, "ok\n")


def test_a_thread_that_turns_no_partition_is_one_complaint(url: str, pulse: Pulse, watch: Watch) -> None:
    for number in range(36):
        pulse.beat(f"customers events/{number}")
        watch.now_s += 0.1
    watch.now_s += 16.0
    assert get(f"{url}/healthz") == (503, "every partition: no turn for 16 s\n")


def test_a_call_that_nobody_answers_turns_health_red_while_it_lasts(url: str, pulse: Pulse, watch: Watch) -> None:
    with pulse.waiting("kafka, writing"):
        assert get(url + "/healthz")[0] == 200
        watch.now_s += 3
        assert get(url + "/healthz") == (503, "kafka, writing: no answer for 3 s\n")
    assert get(url + "/healthz")[0] == 200


def test_complaints_are_counted_by_what_they_are_about(url: str, pulse: Pulse, watch: Watch) -> None:
    def about() -> tuple[float, ...]:
        shown = scraped(url)
        return tuple(shown["brewline_complaints", frozenset({("about", name)})] for name in ("kafka", "redis", "flow"))

    assert about() == (0, 0, 0)
    pulse.trouble("redis", "ConnectionError: refused")
    pulse.trouble("kafka", "all brokers are down")
    pulse.trouble("kafka, reading customers events/0", "the broker has said nothing for 9 s")
    pulse.trouble("sink siem", "KafkaException: it starts anew")
    pulse.beat("customers events/0")
    watch.now_s = 16.0
    assert about() == (2, 1, 2)
    pulse.well("redis")
    pulse.beat("customers events/0")
    assert about() == (2, 0, 1)


def test_up_to_when_kpis_are_closed_is_shown_by_partition(url: str) -> None:
    show(2, {"closed": 1_700_000_000.0, "kpi:orders:chain:*": 3.0})
    shown = scraped(url)
    assert shown["brewline_kpi_closed_timestamp_seconds", frozenset({("partition", "2")})] == 1_700_000_000
    assert shown["brewline_kpi", frozenset({("kpi", "orders"), ("dim", "chain:*"), ("partition", "2")})] == 3


def test_a_warning_that_an_outage_repeats_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    try:
        for kind in ("down", "down", "down", "away"):
            warn_seldom("test of outages", kind, error=kind)
    finally:
        structlog.reset_defaults()
    assert [json.loads(line)["error"] for line in capsys.readouterr().err.splitlines()] == ["down", "away"]


def test_metrics_show_what_was_counted_by_outcome_reason_and_rule(url: str) -> None:
    counts = {"applied": 3, "dead_lettered": 2, "dead_lettered:malformed": 2, "decision:v1:welcome:issued": 4}
    count("tested", counts)
    count("tested", {"applied": 1})
    shown = scraped(url)
    assert shown["brewline_events_total", frozenset({("flow", "tested"), ("outcome", "applied")})] == 4
    assert shown["brewline_events_total", frozenset({("flow", "tested"), ("outcome", "dead_lettered")})] == 2
    assert shown["brewline_dead_letters_total", frozenset({("flow", "tested"), ("reason", "malformed")})] == 2
    assert shown["brewline_decisions_total", frozenset({("rule", "v1:welcome"), ("outcome", "issued")})] == 4


def test_a_client_that_says_nothing_does_not_keep_others_from_being_answered(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert get(f"{url}/healthz") == (200, "ok\n")


def test_port_0_serves_nothing(pulse: Pulse) -> None:
    assert serve_health("127.0.0.1", 0, pulse) is None


def test_a_log_line_is_one_json_object_with_level_and_utc_time(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        configure_logs("info", "json")
        log = structlog.get_logger()
        log.debug("not shown")
        log.warning("redis is away", flow="customers", retry_s=0.1)
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {"event": "redis is away", "level": "warning", "flow": "customers", "retry_s": 0.1}


def test_levels_are_shown_under_the_names_they_tell() -> None:
    levels = {"open:food-safety": 2.0, "quality:churn:champion:log_loss": 0.25, "wrong:churn:inputs": 3.0}
    levels["kpi:orders:chain:*"] = 41.0
    show(7, levels)
    sample = REGISTRY.get_sample_value
    of = {"model": "churn", "partition": "7"}
    assert sample("brewline_tickets_open", {"priority": "food-safety", "partition": "7"}) == 2.0
    assert sample("brewline_model_quality", {**of, "of": "champion", "figure": "log_loss"}) == 0.25
    assert sample("brewline_model_wrong", {**of, "what": "inputs"}) == 3.0
    assert sample("brewline_kpi", {"kpi": "orders", "dim": "chain:*", "partition": "7"}) == 41.0
