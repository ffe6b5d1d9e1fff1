"""What a running flow tells of itself: metrics, /healthz and log lines."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, make_wsgi_app

EVENTS = Counter("brewline_events_total", "Events by what became of them", ["flow", "outcome"])
DEAD_LETTERS = Counter("brewline_dead_letters_total", "Dead letters by reason", ["flow", "reason"])
DECISIONS = Counter("brewline_decisions_total", "Trigger decisions by rule and outcome", ["rule", "outcome"])
CHOICES = Counter("brewline_arm_choices_total", "Arms chosen for customers by rule", ["rule", "arm"])
BATCH = Histogram("brewline_batch_events", "Events in a batch", ["flow"], buckets=[1, 10, 50, 200, 1000, 4000])
STAGE = Histogram(
    "brewline_stage_seconds",
    "Seconds a batch spends in a stage",
    ["flow", "stage"],
    buckets=[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
)
LATENCY = Histogram(
    "brewline_event_to_decision_seconds",
    "From the Kafka timestamp of an event to the commit of the decision it caused",
    ["flow"],
    buckets=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
)
LAG = Gauge("brewline_consumer_lag", "Records a partition has not yet read", ["flow", "topic", "partition"])
FENCE = Gauge("brewline_fence_timestamp_seconds", "Time of the last commit", ["flow", "partition"])
OUTBOX = Gauge("brewline_outbox_depth", "Messages committed but not yet confirmed by Kafka", ["flow"])
COMPLAINTS = Gauge("brewline_complaints", "What /healthz complains of, by the server that it is about", ["about"])
RULES = Counter("brewline_rule_changes_total", "Changes of the rule files by what became of them", ["outcome"])
REFUSED = Gauge(
    "brewline_files_refused", "1 while files that a flow follows are wrong and the former ones stay", ["what"]
)
MODEL = Gauge("brewline_model_version", "Version of the model that scores", ["model"])
REFUSALS = Counter("brewline_model_refusals_total", "Versions of models that could not score", ["model", "reason"])
QUALITY = Gauge(
    "brewline_model_quality", "Figures over the latest labels, by who scored", ["model", "of", "figure", "partition"]
)
WRONG = Gauge(
    "brewline_model_wrong",
    "1 while a model is worse than a baseline, or errs more; inputs that have drifted",
    ["model", "what", "partition"],
)
DELIVERIES = Counter(
    "brewline_deliveries_total",
    "Coupons and notices by what became of them at a gateway or sink",
    ["gateway", "outcome"],
)
COUPONS = Counter("brewline_coupon_turns_total", "What became of coupons, and why refused", ["turn", "reason"])
ATTEMPTS = Counter(
    "brewline_delivery_attempts_total", "Attempts at a gateway or sink by how it answered", ["gateway", "answer"]
)
ATTEMPT = Histogram(
    "brewline_delivery_attempt_seconds",
    "Seconds until a gateway or sink has answered, or failed to",
    ["gateway"],
    buckets=[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)
CIRCUIT = Gauge("brewline_delivery_circuit", "Circuit of a gateway or sink: 0 closed, 1 half-open, 2 open", ["gateway"])
UNSETTLED = Gauge(
    "brewline_delivery_unsettled", "Coupons or notices taken from Kafka whose delivery has not ended", ["gateway"]
)
OLDEST = Gauge(
    "brewline_delivery_oldest_seconds", "Age in Kafka of the oldest coupon or notice not settled", ["gateway"]
)
STANDING = Gauge("brewline_alerts_standing", "Alerts that fire; of these, silenced and acknowledged ones", ["state"])

LIMIT = Gauge("brewline_campaign_limit", "Cents of a campaign's budget, or its stock of coupons", ["campaign", "of"])
RESERVED = Gauge(
    "brewline_campaign_reserved", "Of that, what a partition was granted in all", ["campaign", "of", "partition"]
)
SPENT = Gauge("brewline_campaign_spent", "Of that, what a partition has spent in all", ["campaign", "of", "partition"])

TICKETS = Counter("brewline_tickets_total", "Tickets by priority and what became of them", ["priority", "what"])
OPEN_TICKETS = Gauge("brewline_tickets_open", "Tickets on which something is owed", ["priority", "partition"])
OLDEST_TICKET = Gauge(
    "brewline_ticket_oldest_timestamp_seconds", "When the oldest of these was opened", ["priority", "partition"]
)
CASES = Gauge("brewline_review_cases", "Cases of possible abuse that wait for a human", ["signal", "partition"])
HELD = Gauge("brewline_review_customers", "Customers whom these cases hold", ["signal", "partition"])
KPI = Gauge("brewline_kpi", "A KPI of the chain or a region in its last closed minute", ["kpi", "dim", "partition"])
CALLS = Counter("brewline_board_calls_total", "Calls of the board's API by endpoint and status", ["call", "status"])
CALL = Histogram(
    "brewline_board_call_seconds",
    "Seconds until a call of the board's API was answered",
    ["call"],
    buckets=[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
)
VIEWERS = Gauge("brewline_board_viewers", "Pages that watch the board live")
MISSED = Counter("brewline_board_missed_total", "Messages let go because a viewer did not keep up")
KPIS_CLOSED = Gauge("brewline_kpi_closed_timestamp_seconds", "Up to when minutes of KPIs are closed", ["partition"])
LEVELS = {
    "kpi": KPI,
    "closed": KPIS_CLOSED,
    "open": OPEN_TICKETS,
    "oldest": OLDEST_TICKET,
    "cases": CASES,
    "customers": HELD,
    "quality": QUALITY,
    "wrong": WRONG,
}

ABOUT = ("kafka", "redis", "flow")  # what complaints are about
ANSWER_S = 2.0
SELDOM_S = 10.0
log = structlog.get_logger()
_told: dict[tuple[str, ...], tuple[float, int]] = {}  # when a warning was last told, how often it was kept back since


def warn_seldom(event: str, *kind: str, **told: Any) -> None:
    """A warning that an outage repeats thousands of times: one of a kind in SELDOM_S, with how many it stands for."""
    now_s = time.monotonic()
    at_s, kept_back = _told.get((event, *kind), (float("-inf"), 0))
    if now_s < at_s + SELDOM_S:
        _told[(event, *kind)] = (at_s, kept_back + 1)
        return
    _told[(event, *kind)] = (now_s, 0)
    log.warning(event, **told, **({"kept_back": kept_back} if kept_back else {}))


def count(flow: str, counts: dict[str, int]) -> None:
    """Adds a batch's counts to the metrics; names are as follows.

    `outcome`, `dead_lettered:reason`, `decision:rule:outcome`, `coupon:turn:reason`, `arm:rule:arm`,
    `ticket:what:priority`
    """
    for name, number in counts.items():
        kind, _, rest = name.partition(":")
        if kind == "dead_lettered" and rest:
            DEAD_LETTERS.labels(flow, rest).inc(number)
        elif kind == "decision":
            rule, _, outcome = rest.rpartition(":")
            DECISIONS.labels(rule, outcome).inc(number)
        elif kind == "coupon":
            turn, _, reason = rest.partition(":")
            COUPONS.labels(turn, reason).inc(number)
        elif kind == "arm":
            CHOICES.labels(*rest.split(":")).inc(number)
        elif kind == "ticket":
            what, _, priority = rest.partition(":")
            TICKETS.labels(priority, what).inc(number)
        elif not rest:
            EVENTS.labels(flow, name).inc(number)


def show(partition: int, levels: dict[str, float]) -> None:
    """Sets a partition's gauges; names are as follows.

    `open:priority`, `oldest:priority`, `cases:signal`, `customers:signal`, `quality:model:scorer:figure`,
    `wrong:model:what`, `kpi:name:dim`, `closed`
    """
    for name, level in levels.items():
        kind, _, of = name.partition(":")
        if kind == "open":
            TICKETS.labels(of, "breached")  # from the start, so that the first one is a rise
        gauge = LEVELS[kind]
        words = of.split(":", len(gauge._labelnames) - 2) if of else ()
        gauge.labels(*words, str(partition)).set(level)


class Pulse:
    """Remembers when each partition loop last turned, what is wrong and what waits now; /healthz reads it."""

    def __init__(self, stall_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.stall_s = stall_s
        self.clock = clock
        self.beats: dict[str, float] = {}
        self.troubles: dict[str, str] = {}
        self.waits: dict[str, float] = {}

    def beat(self, partition: str) -> None:
        self.beats[partition] = self.clock()

    def trouble(self, what: str, why: str) -> None:
        """Something is down; healthz is red until `well(what)`."""
        self.troubles[what] = why

    def well(self, what: str) -> None:
        self.troubles.pop(what, None)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """While a call lasts that nothing can interrupt: healthz is red when that is longer than ANSWER_S."""
        self.waits[what] = self.clock()
        try:
            yield
        finally:
            del self.waits[what]

    def wrong(self) -> list[tuple[str, str]]:
        """(what, why)"""
        now = self.clock()
        beats, waits, troubles = self.beats.copy(), self.waits.copy(), self.troubles.copy()  # the flow writes on
        stalled = [(p, f"no turn for {now - at:.0f} s") for p, at in beats.items() if now - at > self.stall_s]
        if len(stalled) == len(beats) > 1:  # one thread turns them all
            stalled = [("every partition", f"no turn for {now - max(beats.values()):.0f} s")]
        troubles |= {what: f"no answer for {now - at:.0f} s" for what, at in waits.items() if now - at > ANSWER_S}
        return [*troubles.items(), *stalled]

    def complaints(self) -> list[str]:
        return [f"{what}: {why}" for what, why in self.wrong()]

    def number(self, about: str) -> int:
        """Complaints about Kafka, about Redis, or about neither: the flow itself."""
        servers = [what.partition(",")[0] for what, _ in self.wrong()]
        return sum((server if server in ABOUT else "flow") == about for server in servers)


class HealthServer(ThreadingMixIn, WSGIServer):
    """A thread for each request, so that a client that says nothing keeps nobody waiting."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a log line."""


def serve_health(host: str, port: int, pulse: Pulse) -> WSGIServer | None:
    """Serves /metrics and /healthz in a thread of its own; port 0 serves nothing."""
    if not port:
        return None
    for about in ABOUT:
        COMPLAINTS.labels(about).set_function(partial(pulse.number, about))
    metrics = make_wsgi_app(REGISTRY)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthz":
            return metrics(environ, start)
        complaints = pulse.complaints()
        start("503 Service Unavailable" if complaints else "200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return ["\n".join(complaints or ["ok"]).encode() + b"\n"]

    server = make_server(host, port, app, HealthServer, QuietHandler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def configure_logs(level: str, format: str) -> None:
    """structlog to stderr, JSON lines or text."""
    renderer = structlog.processors.JSONRenderer() if format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
