"""What flows tell of themselves, read as Prometheus reads it: /metrics and /healthz of a process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from http.client import HTTPConnection, HTTPException

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 1.0
MOST_BYTES = 8_000_000
MOST_KEYS = 50_000
WANTED = (  # the rest is not parsed: that is what takes time
    "brewline_batch_events",
    "brewline_stage_seconds",
    "brewline_event_to_decision_seconds",
    "brewline_consumer_lag",
    "brewline_fence_timestamp_seconds",
    "brewline_outbox_depth",
    "brewline_dead_letters_total",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
)
Key = tuple[str, tuple[tuple[str, str], ...]]  # name and labels


class Silent(Exception):
    """A process that did not answer, or in another language."""


class Scraped(Struct, frozen=True):
    """`complaints`: what /healthz says is wrong."""

    values: dict[Key, float]
    complaints: list[str]


def scrape(host: str, port: int) -> Scraped:
    """Raises Silent."""
    try:
        metrics, health = _get(host, port, "/metrics"), _get(host, port, "/healthz")
        return Scraped(dict(_values(metrics)), [line for line in health.splitlines() if line != "ok"])
    except (OSError, HTTPException, ValueError) as error:
        raise Silent(f"{host}:{port} does not answer: {error or type(error).__name__}") from error


def _get(host: str, port: int, path: str) -> str:
    link = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        link.request("GET", path)
        return link.getresponse().read(MOST_BYTES).decode()
    finally:
        link.close()


def _values(text: str) -> Iterator[tuple[Key, float]]:
    for line in text.splitlines():
        if line.startswith(WANTED):
            named, _, value = line.rpartition(" ")
            yield _key(named), float(value)


@lru_cache(MOST_KEYS)  # the same ones every second
def _key(named: str) -> Key:
    """Raises ValueError."""
    for family in text_string_to_metric_families(f"{named} 0\n"):
        for sample in family.samples:
            return sample.name, tuple(sorted(sample.labels.items()))
    raise ValueError(f"found {named!r}, expected a metric and its labels")
