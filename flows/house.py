"""What all flows share in one process: settings, clients, health and an orderly stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import Event

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from redis import Redis

from config.settings import Settings
from features.job import Job
from flows.topics import CACHE_MB, COMPACTED, GATHER_MS, KEYED, TOPICS, WRITTEN
from operators.alignment import AT_END_S, Alignment, event_time, kafka_time
from operators.health import Pulse
from operators.kafka import ensure_topics, require_kafka, require_room
from operators.layout import check_layout
from operators.leases import Leases
from operators.partition import PartitionStep
from operators.redis_link import answered, connect_redis
from operators.relay import Relay
from operators.source import Fence, KafkaBatches
from operators.store import PartitionStore, Sent
from operators.tombstones import Tombstones

Hook = Callable[[], None] | None
Cut = Callable[[list[Sent]], list[Sent]] | None
Lend = Callable[[PartitionStore], Leases] | None


class House:
    """One process's share of Brewline. `stop` ends every source; what is in flight is committed first."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.client = settings, settings.kafka.librdkafka()
        require_kafka(self.client, settings.kafka.start_timeout_s)
        self.answered = partial(answered, settings.redis.url, settings.redis.start_timeout_s)  # while flows are set up
        self.redis: Redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
        names, compacted = ([settings.topic(topic) for topic in topics] for topics in (TOPICS, COMPACTED))
        kafka, size = settings.kafka, {"max.message.bytes": str(settings.kafka.max_message_bytes)}
        made = ensure_topics(self.client, names, kafka.partitions, kafka.replication, size, compacted)
        self.partitions = {name.removeprefix(kafka.topic_prefix): count for name, count in made.items()}
        require_room(self.client, [settings.topic(topic) for topic in WRITTEN], kafka.max_message_bytes)
        self.require_layout({f"partitions of {topic}": self.partitions[topic] for topic in KEYED})
        self.tombstones = Tombstones(self.redis, settings.redis.prefix, self.client, self.topic("forgotten"))
        self.stop, self.pulse = Event(), Pulse(settings.metrics.stall_s)
        self.widest = 0  # the most partitions of a topic that is read

    def require_layout(self, layout: Mapping[str, str | int]) -> None:
        """Refuses state that was laid out in another way. Raises WrongLayout, Unreachable."""
        self.answered(lambda: check_layout(self.redis, self.settings.redis.prefix, layout))

    def topic(self, name: str) -> str:
        return self.settings.topic(name)

    def store(self, flow: str) -> PartitionStore:
        redis, most_mb = self.settings.redis, CACHE_MB.get(flow, self.settings.redis.cache_mb)
        return PartitionStore(self.redis, redis.prefix, flow, min(redis.cache_mb, most_mb) * 2**20)

    def batches(self, flow: str, topics: tuple[str, ...], fence: Fence, raw: bool = False) -> KafkaBatches:
        """`raw`: these are events as they were sent, whose own time counts where time comes with the input."""
        counts, kafka = {self.topic(topic): self.partitions[topic] for topic in topics}, self.settings.kafka
        pace = (kafka.batch_events, kafka.poll_ms, kafka.fetch_wait_ms, GATHER_MS.get(flow, 0), kafka.shared)
        times = (event_time, AT_END_S) if raw and self.settings.time.clock == "event" else (kafka_time, 0.0)
        self.widest = max(self.widest, *counts.values())
        step = Alignment(kafka.align_s * 1000, *times)
        return KafkaBatches(flow, self.client, counts, fence, self.pulse, self.stop, *pace, step)

    def stage(
        self, flow: Dataflow, name: str, topic: str, job: Job, refresh: Hook = None, only: Cut = None, lend: Lend = None
    ) -> None:
        """A topic through a job: read, apply and commit, relay; `only` withholds messages, `lend` shares budgets."""
        store = self.store(name)
        leases = None if lend is None else self.answered(lambda: lend(store))
        step = PartitionStep(job, store, self.topic("dead-letters"), self.pulse, self.stop, refresh, leases)
        sent = op.map(f"{name}-apply", op.input(f"{name}-read", flow, self.batches(name, (topic,), step)), step)
        sent = sent if only is None else op.map(f"{name}-withhold", sent, only)
        op.output(f"{name}-relay", sent, Relay(self.client, store, self.stop))
