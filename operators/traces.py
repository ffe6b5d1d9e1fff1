"""What flows tell an OpenTelemetry collector: a span of each batch with its stages, and of each delivery.

Off, and not even imported, while `[traces] endpoint` is empty. Spans wait in memory: a collector that is away keeps
nobody waiting, and what it does not take in time is dropped. A batch links to the one that its last record comes from.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from confluent_kafka import Message

from alerts.delivery.parcel import Parcel
from features.job import Batch

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

HEADER = "traceparent"  # https://www.w3.org/TR/trace-context/#traceparent-header
TIMEOUT_S = 5.0
Stage = tuple[str, float, float]  # name, begin and end by time.perf_counter
_parts = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch


class Spans:
    """Makes spans of what has been, with the times that it took."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context

        self.tracer, self.api, self.root = tracer, trace, Context()

    def begin(self, flow: str, batch: Batch, began_s: float) -> Span:
        """Of a batch, from when it was begun, by time.perf_counter."""
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": batch.topic,
            "messaging.destination.partition.id": str(batch.partition),
            "messaging.batch.message_count": len(batch.offsets),
            "messaging.kafka.offset": batch.last,
        }
        return self._start(f"{flow} batch", self.api.SpanKind.CONSUMER, attributes, batch, _epoch_ns(began_s))

    def end(self, span: Span, stages: Iterable[Stage]) -> str:
        """What messages that come of the batch bear as HEADER."""
        within = self.api.set_span_in_context(span, self.root)
        for name, began_s, ended_s in stages:
            self.tracer.start_span(name, within, start_time=_epoch_ns(began_s)).end(_epoch_ns(ended_s))
        span.end()
        return carried_by(span)

    def delivery(self, flow: str, gateway: str, parcel: Parcel, outcome: str, took_s: float) -> None:
        """Of a coupon or notice, from when it was taken from Kafka."""
        attributes = {"brewline.gateway": gateway, "brewline.outcome": outcome, "brewline.attempts": parcel.attempts}
        if parcel.status:
            attributes["http.response.status_code"] = parcel.status
        began_ns = time.time_ns() - round(took_s * 1e9)
        span = self._start(f"{flow} delivery", self.api.SpanKind.PRODUCER, attributes, parcel.record, began_ns)
        if outcome != "delivered":
            span.set_status(self.api.StatusCode.ERROR, outcome)
        span.end()

    def _start(self, name: str, kind: Any, attributes: dict[str, Any], batch: Batch, began_ns: int) -> Span:
        links = self._links(batch.traced)
        return self.tracer.start_span(name, self.root, kind, attributes, links, start_time=began_ns)

    def _links(self, traced: str) -> list[Link]:
        """Nothing, where that is no context."""
        if not (parts := _parts(traced)):
            return []
        trace_id, span_id, flags = (int(part, 16) for part in parts.groups())
        context = self.api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=self.api.TraceFlags(flags))
        return [self.api.Link(context)] if context.is_valid else []


spans: Spans | None = None  # of this process, as its metrics are


def open_traces(endpoint: str, flow: str) -> None:
    """Batches and deliveries are told from now on, unless `endpoint` is empty. Raises ImportError without the extra."""
    global spans
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.namespace": "brewline", "service.name": flow}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("brewline"))


def carried(message: Message) -> str:
    """The context that a record bears, empty without one."""
    found = [value for name, value in message.headers() or [] if name == HEADER]
    return str(found[-1], "utf-8", "replace") if found and isinstance(found[-1], bytes) else ""


def carried_by(span: Span) -> str:
    """A span's context as a header's value."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _epoch_ns(counter_s: float) -> int:
    """Of a time by time.perf_counter."""
    return time.time_ns() - round((time.perf_counter() - counter_s) * 1e9)
