"""The account: what came in is what became of it, to the unit."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import redis as redis_py

from alerts.kpis.partials import PartialMinutes
from brewline.account import balance
from config.settings import Settings
from features import events as e
from features.job import encode_position
from features.loop import batches, run
from features.times import HOUR_MS
from operators.store import PartitionStore


def test_an_event_of_nobody_that_comes_too_late_is_accounted_for(settings: Settings) -> None:
    redis: Any = redis_py.Redis.from_url(settings.redis.url)
    day_ms = 490_000 * HOUR_MS
    log = [e.AppOpen(id="a", at_ms=day_ms), e.Tick(at_ms=day_ms + 4 * HOUR_MS, id="t", source="s", of=1)]
    log += [e.AppOpen(id=id, at_ms=at_ms) for id, at_ms in [("b", day_ms), ("c", log[1].at_ms), ("c", log[1].at_ms)]]
    job = PartialMinutes("partials", "dead-letters", ["p0"], sources=1, retention_hours=2)
    ended = run(job, batches("events", 0, [e.encode(event) for event in log], cuts=(1, 2, 3, 4)))[0]
    store = PartitionStore(redis, settings.redis.prefix, "kpis")
    redis.set(store.key(0, "fence"), encode_position(ended.position))
    watch: Any = SimpleNamespace(dead_letters=Counter(malformed=3))
    account = balance(redis, settings, 1, watch, Counter(), sent=7)
    assert (account.applied, account.duplicates, account.too_late, account.dead_lettered) == (2, 1, 1, 3)
    assert account.settled
