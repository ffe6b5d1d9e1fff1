"""Spans hold what was, links lead to where a record comes from, and nothing of it is loaded while nobody asks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from alerts.delivery.parcel import Parcel
from config.settings import Settings, Traces, WrongSettings, load
from features.job import Batch
from flows.showing import show_health
from operators import traces
from operators.health import Pulse

BATCH = Batch("events", 3, 41, [42, 44], [b"", b""], [0, 0])
TOLD = InMemorySpanExporter()
PROVIDER = TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(TOLD))
SPANS = traces.Spans(PROVIDER.get_tracer("tests"))


@pytest.fixture(autouse=True)
def nothing_told() -> Iterator[None]:
    TOLD.clear()
    yield
    traces.spans = None


def told(name: str) -> ReadableSpan:
    (span,) = [span for span in TOLD.get_finished_spans() if span.name == name]
    return span


def test_a_batch_is_a_span_with_its_stages_at_the_times_they_had() -> None:
    began_s = time.perf_counter() - 2.0
    before_ns = time.time_ns()
    span = SPANS.begin("customers", BATCH, began_s)
    SPANS.end(span, [("plan", began_s, began_s + 0.5), ("commit", began_s + 1.0, began_s + 1.75)])
    batch, plan, commit = told("customers batch"), told("plan"), told("commit")
    assert dict(batch.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "events",
        "messaging.destination.partition.id": "3",
        "messaging.batch.message_count": 2,
        "messaging.kafka.offset": 44,
    }
    assert batch.parent is None
    assert batch.start_time is not None
    assert abs(before_ns - 2_000_000_000 - batch.start_time) < 500_000_000
    for stage, after_s, took_s in ((plan, 0.0, 0.5), (commit, 1.0, 0.75)):
        assert stage.parent is not None
        assert stage.parent.span_id == batch.context.span_id
        assert stage.start_time is not None
        assert stage.end_time is not None
        assert abs(stage.start_time - batch.start_time - after_s * 1e9) < 50_000_000
        assert abs(stage.end_time - stage.start_time - took_s * 1e9) < 50_000_000


def test_what_comes_of_a_batch_leads_back_to_it() -> None:
    carried = SPANS.end(SPANS.begin("ingest", BATCH, time.perf_counter()), [])
    SPANS.end(SPANS.begin("customers", replace(BATCH, traced=carried), time.perf_counter()), [])
    (link,) = told("customers batch").links
    assert link.context.span_id == told("ingest batch").context.span_id
    assert link.context.trace_id == told("ingest batch").context.trace_id


T, S = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("traced", "links"),
    [
        (f"00-{T}-{S}-01", 1),
        (f"00-{T}-{S}-00", 1),
        ("", 0),
        ("no context", 0),
        (f"00-{T}-{S}", 0),
        (f"00-{T}-{S}-01-more", 0),
        (f"ff-{T}-{S}-01", 0),
        (f"00-{'0' * 32}-{S}-01", 0),
        (f"00-{T}-{'0' * 16}-01", 0),
        (f"00-{T.upper()}-{S}-01", 0),
        (f"00-{T[:-1]}\u0663-{S}-01", 0),
        (f"00-{T}-{S}-01\n", 0),
    ],
)
def test_whatever_a_record_bears_a_batch_is_told_and_linked_only_to_what_is_a_context(traced: str, links: int) -> None:
    SPANS.end(SPANS.begin("ingest", replace(BATCH, traced=traced), time.perf_counter()), [])
    assert len(told("ingest batch").links) == links


def test_part_of_a_batch_still_knows_where_it_comes_from() -> None:
    whole = replace(BATCH, traced="x")
    assert [half.traced for half in whole.halves()] == ["x", "x"]
    assert whole.since(42).traced == "x"


def test_a_delivery_that_was_given_up_is_an_error_and_bears_nothing_personal() -> None:
    parcel = Parcel(BATCH, "d1", "push", 0, 0.0, 0.0, attempts=3, status=503, customer="c-secret")
    SPANS.delivery("dispatch", "push", parcel, "gateway_unreachable", took_s=1.5)
    SPANS.delivery("notify", "siem", replace(parcel, status=204), "delivered", took_s=0.0)
    given_up, well = told("dispatch delivery"), told("notify delivery")
    assert dict(given_up.attributes or {}) == {
        "brewline.gateway": "push",
        "brewline.outcome": "gateway_unreachable",
        "brewline.attempts": 3,
        "http.response.status_code": 503,
    }
    assert (given_up.status.status_code, well.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert given_up.start_time is not None
    assert given_up.end_time is not None
    assert abs(given_up.end_time - given_up.start_time - 1_500_000_000) < 50_000_000
    assert "secret" not in given_up.to_json()


def test_without_an_endpoint_nothing_that_traces_is_even_loaded() -> None:
    """What redis-py loads of OpenTelemetry for itself, where that is installed, is no SDK of traces."""
    users = "operators.partition, operators.source, operators.transactions, operators.courier"
    code = f"import sys, {users}; from operators import traces; traces.open_traces('', 'kpis')"
    tracing = "('opentelemetry.sdk.trace', 'opentelemetry.exporter')"
    loaded = f"print([name for name in sys.modules if name.startswith({tracing})], traces.spans)"
    done = subprocess.run([sys.executable, "-c", f"{code}; {loaded}"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[] None\n", "")


def test_an_endpoint_without_opentelemetry_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = Settings(traces=Traces("http://127.0.0.1:4318"))
    settings.metrics.kpis = 0
    with pytest.raises(WrongSettings, match=r"\[traces\] endpoint: found 'http://127.0.0.1:4318'.*pip install"):
        show_health(settings, "kpis", Pulse(15.0))


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector", "http://", "http://collector:0"])
def test_an_endpoint_that_is_no_url_is_refused_by_name(endpoint: str) -> None:
    with pytest.raises(WrongSettings, match=r"BREWLINE_TRACES__ENDPOINT: found .*, expected http://host:port"):
        load(environ={"BREWLINE_TRACES__ENDPOINT": endpoint})
