"""What flows tell while a chain lives through them answers every panel and feeds every rule; traces follow an event."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rich.console import Console

from board.access.person import Person
from brewline.cli import THREADED
from brewline.demo import PROCESSES, Demo
from brewline.entrance import entrance
from config.gateways import variable
from config.settings import HERE, Settings, load
from features.times import HOUR_MS
from operators.servers import RedisServer, die_with_parent, free_port, mock_kafka
from sim.chain import START_MS, Chain
from tests.flowprocess import COUPON_KEY, IDENTITY_KEY, Flow, until
from tests.receiver import SECRET, Receiver, receiver

BOARDS = sorted((HERE / "grafana/dashboards").glob("*.json"))
BEGIN_MS = START_MS + 9 * HOUR_MS
STORES, MEMBERS = 8, 1_000
DAYS = 34 / 24  # until the second evening: labels of an hour are told a day later
SECONDS = 5.0  # in which they pass
TOGETHER = tuple(name for names in PROCESSES for name in names)  # in one process, to start fewer
SCRAPED = (TOGETHER[0], *THREADED, "board")
NEVER = {  # however slow the machine is, and though days pass in seconds
    *("FlowRestarting", "EventRaised", "GatewayAway", "CouponsGivenUp", "SinkAway", "NoticesGivenUp"),
    *("ModelRefused", "CampaignNearlySpent", "LeasesHeld", "CampaignOverspent", "FilesRefused"),
}
SELECTOR = re.compile(r"(?<![\w:])(?:(?:flow:)?brewline_[\w:]+|up\b|process_\w+)(?:\{[^}]*\})?")
ONLY_IN_TROUBLE = {'brewline_dead_letters_total{reason="internal_error"}'}
SKEW_NS = 1_000_000  # between two looks at two clocks
ARMS = """
id = "any-order"
name = "A coupon for whoever orders, so that arms are chosen in one afternoon"
on = ["order"]
when = "orders_lifetime >= 1"
cooldown = "1d"

[then]
valid = "3650d"
campaign = "winback"
arms = [{ name = "less", coupon = "A", face_value_cents = 1 }, { name = "more", coupon = "B", face_value_cents = 9 }]

[[test]]
name = "an order"
events = [{ type = "order", at = "+12h" }]
fires_at = ["+12h"]

[[test]]
name = "no order"
events = [{ type = "app_open", at = "+12h" }]
"""


def settings_file(folder: Path, chain: Chain) -> Path:
    """The shipped settings, with models whose labels come within the chain's days, and one rule."""
    (folder / "stores.csv").write_text(chain.stores_csv())
    (folder / "models.toml").write_text(re.sub(r'"\d+d"', '"1h"', (HERE / "models.toml").read_text()))
    (folder / "rules").mkdir()
    (folder / "rules/any-order.toml").write_text(ARMS)
    file = folder / "brewline.toml"
    file.write_text(f'models = "{folder}/models.toml"\nsinks = "{folder}/sinks.toml"\nfolder = "{HERE}"\n')
    return file


def environment(folder: Path, chain: Chain, kafka: str, redis: str) -> dict[str, str]:
    return {
        "BREWLINE_SETTINGS": str(settings_file(folder, chain)),
        "BREWLINE_KAFKA__BROKERS": kafka,
        "BREWLINE_KAFKA__FETCH_WAIT_MS": "5",
        "BREWLINE_REDIS__URL": redis,
        "BREWLINE_REDIS__PREFIX": folder.name,
        "BREWLINE_STORES__FILE": f"{folder}/stores.csv",
        "BREWLINE_COUPONS__RULES": f"{folder}/rules",
        "BREWLINE_COUPONS__CAMPAIGNS": str(HERE / "campaigns"),
        "BREWLINE_TIME__CLOCK": "event",
        "BREWLINE_LEARNING__PUBLISH_EVERY": "20",
        "BREWLINE_LEARNING__WINDOW_LABELS": "20",
        "BREWLINE_BOARD__PORT": str(free_port()),
        "BREWLINE_IDENTITY_KEY": IDENTITY_KEY,
        "BREWLINE_COUPON_KEY": COUPON_KEY,
        **{f"BREWLINE_METRICS__{flow.upper()}": str(free_port()) for flow in SCRAPED},
    }


def receivers(folder: Path, push: str, siem: str, traces: str) -> dict[str, str]:
    """A gateway, a sink and a collector of traces."""
    (folder / "sinks.toml").write_text(f'[sinks.own]\nkind = "webhook"\nurl = "{siem}"\n')
    return {
        "BREWLINE_DISPATCH__GATEWAYS": json.dumps({"push": {"url": push}}),
        variable("push"): SECRET,
        "BREWLINE_SINK_SECRET_OWN": SECRET,
        "BREWLINE_TRACES__ENDPOINT": traces.rpartition("/")[0],
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """The url of one that runs under the shipped files, but for its targets and how often it asks them."""
    config = yaml.safe_load((HERE / "prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"flow": flow}} for flow, port in targets.items()
    ]
    config |= {"global": {"scrape_interval": "3s", "evaluation_interval": "1s"}, "alerting": {}}
    config["rule_files"] = [str(HERE / name) for name in config["rule_files"]]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    flags = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", *flags, f"--web.listen-address={address}"],
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(),
        )
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.kill()
        process.wait()


@contextmanager
def watching(settings: Settings) -> Iterator[None]:
    """Somebody is signed in to the board, and has called its API."""
    viewer = build_opener(HTTPCookieProcessor())
    viewer.open(entrance(settings, Person("viewer", frozenset({"engineer"}))), timeout=20).read()
    ended = Event()

    def ask_again() -> None:
        while not ended.wait(0.5):
            viewer.open(f"{settings.board.address}/api/v1/me", timeout=20).read()

    with viewer.open(f"{settings.board.address}/api/v1/live?feeds=engine", timeout=20):
        asking = Thread(target=ask_again, daemon=True)
        asking.start()
        try:
            yield
        finally:
            ended.set()
            asking.join()


def ask(url: str, **query: str) -> Any:
    with urlopen(f"{url}?{urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def panels() -> dict[str, list[str]]:
    """What each panel asks, as Grafana would send it."""
    boards = [json.loads(path.read_text("utf-8")) for path in BOARDS]
    return {
        f"{board['title']}: {panel['title']}": [
            target["expr"].replace("$__rate_interval", "5m").replace("$flow", ".*") for target in panel["targets"]
        ]
        for board in boards
        for panel in board["panels"]
        if panel["type"] != "row"
    }


def unanswered(url: str, since_s: float) -> list[tuple[str, str]]:
    """(panel, what it asks) of those that have shown no number at any moment, as a graph of that time would."""
    span = {"start": f"{since_s:.0f}", "end": f"{time.time():.0f}", "step": "3"}
    return [
        (panel, expression)
        for panel, expressions in panels().items()
        for expression in expressions
        if not any(
            math.isfinite(float(value))
            for series in ask(f"{url}/query_range", query=expression, **span)["result"]
            for _, value in series["values"]
        )
    ]


def unfed(url: str) -> list[str]:
    """What alerts ask for and no flow tells."""
    groups = yaml.safe_load((HERE / "alerts.rules.yml").read_text("utf-8"))["groups"]
    asked = {one for group in groups for rule in group["rules"] for one in SELECTOR.findall(rule["expr"])}
    return sorted(one for one in asked - ONLY_IN_TROUBLE if not ask(f"{url}/query", query=f"count({one})")["result"])


def spans_of(collector: Receiver) -> list[Span]:
    exports = [ExportTraceServiceRequest.FromString(request.body) for request in collector.requests]
    return [span for export in exports for one in export.resource_spans for sc in one.scope_spans for span in sc.spans]


def linked(spans: list[Span], name: str, to: str) -> bool:
    """Whether a span of one name links to one of another."""
    there = {span.span_id for span in spans if span.name == to}
    return any(link.span_id in there for span in spans if span.name == name for link in span.links)


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(300)
def test_a_chain_that_lives_answers_every_panel_feeds_every_rule_and_leaves_traces(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not on PATH")
    began_s = time.time()
    chain = Chain(seed=1, stores=STORES, customers=MEMBERS, days=DAYS, start_ms=BEGIN_MS)
    with ExitStack() as stack:
        kafka = stack.enter_context(mock_kafka())
        (_, push), (_, siem), (collector, traces) = (
            stack.enter_context(receiver(signed=signed)) for signed in (True, True, False)
        )
        told = environment(tmp_path, chain, kafka.brokers, redis.url)
        told |= receivers(tmp_path, push, siem, traces)
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("brewline.demo.READY_S", 120.0)  # three processes start at once, perhaps on one core
        monkeypatch.setattr("brewline.demo.PROCESSES", (TOGETHER,))
        settings = load()
        url = stack.enter_context(prometheus(tmp_path, {flow: getattr(settings.metrics, flow) for flow in SCRAPED}))
        demo = Demo(settings, chain, DAYS * 86_400 / SECONDS, tmp_path, [], Console(file=StringIO()))
        stack.callback(demo.watch.close)
        stack.callback(Flow("dispatch", settings, tmp_path / "dispatch.log", **told).kill)
        with demo.flows() as flows:
            demo.await_flows(flows)
            with watching(settings):
                demo.live(flows)
                until(lambda: not unanswered(url, began_s), because=lambda: str(unanswered(url, began_s)))
                until(lambda: not unfed(url), because=lambda: str(unfed(url)))
                rules = [rule for group in ask(f"{url}/rules")["groups"] for rule in group["rules"]]
                assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
                assert {rule["name"] for rule in rules if rule.get("state") == "firing"}.isdisjoint(NEVER)
    follow_traces(spans_of(collector))


def follow_traces(spans: list[Span]) -> None:
    """From a delivery back to the batch that read the order; and stages within their batch."""
    assert linked(spans, "customers batch", to="ingest batch")
    assert linked(spans, "dispatch delivery", to="customers batch")
    batches = {span.span_id: span for span in spans if span.name == "customers batch"}
    stages = [span for span in spans if span.parent_span_id in batches]
    assert {stage.name for stage in stages} == {"plan", "load", "apply", "commit"}
    for stage in stages:
        batch = batches[stage.parent_span_id]
        assert batch.start_time_unix_nano <= stage.start_time_unix_nano + SKEW_NS
        assert stage.end_time_unix_nano <= batch.end_time_unix_nano + SKEW_NS
