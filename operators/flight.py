"""A commit on its way to Redis, and what is told of it once it has arrived."""

from __future__ import annotations

import time

from msgspec import Struct

from features.job import Batch, Changes
from operators import traces
from operators.health import BATCH, FENCE, LATENCY, STAGE, count, show


class Flight(Struct):
    """A commit that Redis has been sent and not yet confirmed."""

    batch: Batch
    changes: Changes
    took_s: dict[str, float]  # by stage, until it was sent
    began_s: float  # by time.perf_counter, as is `loaded_s`
    loaded_s: float

    def trace(self, flow: str, spans: traces.Spans) -> str:
        """The context that the batch's messages bear."""
        took_s, loaded_s, now_s = self.took_s, self.loaded_s, time.perf_counter()
        applied_s = loaded_s + took_s["apply"]
        stages = [
            ("plan", self.began_s, self.began_s + took_s["plan"]),
            ("load", loaded_s - took_s["load"], loaded_s),
            ("apply", loaded_s, applied_s),
            ("commit", applied_s, now_s),
        ]
        return spans.end(spans.begin(flow, self.batch, self.began_s), stages)

    def measure(self, flow: str) -> None:
        now_ms, changes = time.time() * 1000, self.changes
        BATCH.labels(flow).observe(len(self.batch.offsets))
        for name, took_s in self.took_s.items():
            STAGE.labels(flow, name).observe(took_s)
        FENCE.labels(flow, str(self.batch.partition)).set(now_ms / 1000)
        count(flow, changes.counts)
        show(self.batch.partition, changes.levels)
        for cause_ms in changes.causes_ms:
            LATENCY.labels(flow).observe(max(0.0, now_ms - cause_ms) / 1000)
