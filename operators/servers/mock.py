"""librdkafka's mock cluster inside this process: for a machine without Java.

Topics appear on first sight with 4 partitions and creating them times out; a partition keeps about
100k messages or 5 MB. Transactions commit, but offsets sent with them are lost and aborted records show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Producer, libversion


@dataclass(frozen=True)
class MockKafka:
    name: str
    brokers: str
    real = False

    @property
    def address(self) -> str:
        return self.brokers


@contextmanager
def mock_kafka(brokers: int = 1) -> Iterator[MockKafka]:
    """A mock cluster that lives as long as this context."""
    host = Producer({"test.mock.num.brokers": brokers, "log_level": 0, "error_cb": lambda _: None})
    found = host.list_topics(timeout=10).brokers.values()
    try:
        yield MockKafka(
            name=f"librdkafka {libversion()[0]} mock cluster",
            brokers=",".join(f"{broker.host}:{broker.port}" for broker in found),
        )
    finally:
        del host  # its end ends the cluster
