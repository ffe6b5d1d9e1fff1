"""The account: what came in is what became of it, to the unit."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import redis as redis_py

from alerts.delivery.outcome import Topics, told
from alerts.delivery.parcel import Parcel
from alerts.kpis.partials import PartialMinutes
from brewline.account import balance
from brewline.suppress import Word
from config.settings import Settings
from features import events as e
from features.job import Batch, encode_position
from features.loop import batches, run
from features.times import HOUR_MS
from operators.store import PartitionStore
from tests.alerts.triggers.jobs import customers_job
from tests.oracle_kpis import SHIPPED

AT_MS = 490_000 * HOUR_MS


def test_an_event_of_nobody_that_comes_too_late_is_accounted_for(settings: Settings) -> None:
    redis: Any = redis_py.Redis.from_url(settings.redis.url)
    day_ms = 490_000 * HOUR_MS
    log = [e.AppOpen(id="a", at_ms=day_ms), e.Tick(at_ms=day_ms + 4 * HOUR_MS, id="t", source="s", of=1)]
    log += [e.AppOpen(id=id, at_ms=at_ms) for id, at_ms in [("b", day_ms), ("c", log[1].at_ms), ("c", log[1].at_ms)]]
    job = PartialMinutes("partials", "dead-letters", ["p0"], sources=1, retention_hours=2, catalog=SHIPPED)
    ended = run(job, batches("events", 0, [e.encode(event) for event in log], cuts=(1, 2, 3, 4)))[0]
    store = PartitionStore(redis, settings.redis.prefix, "kpis")
    redis.set(store.key(0, "fence"), encode_position(ended.position))
    watch: Any = SimpleNamespace(dead_letters=Counter(malformed=3))
    account = balance(redis, settings, 1, watch, Counter(), sent=7)
    assert (account.applied, account.duplicates, account.too_late, account.dead_lettered) == (2, 1, 1, 3)
    assert account.settled


def sent() -> list[e.Event]:
    """As ingest passes on what tills, apps and services have sent: each twice, with its day."""
    events = [
        e.AppOpen(id="s1"),
        e.CouponDelivered(id="s2", coupon="d1"),
        e.CouponRevoked(id="s3", coupon="d1"),
        e.Suppress(id="s4", reason="complaint"),
    ]
    for event in events:
        event.customer, event.at_ms, event.day = "ca", AT_MS, 739_000
    return [event for event in events for _ in range(2)]


def own() -> list[e.Event]:
    """What flows, dispatch and commands write into the clean topic, each twice, as after a crash."""
    parcel = Parcel(Batch("coupons", 0, -1, [0], [b""], [AT_MS]), "d2", "push", AT_MS, 0.0, 0.0)
    parcel.customer, parcel.decided_ms, parcel.is_coupon = "ca", AT_MS, True
    delivered = e.decode_event(told(Topics("d", "l", "events"), "push", parcel, "delivered", AT_MS)[1].value)
    words = [
        Word("vip", 0, False).about("ca", AT_MS),
        e.CouponRevoked(id="o2", customer="ca", at_ms=AT_MS, coupon="d1"),
    ]
    thanks = e.FriendOrdered(id="o3", customer="ca", at_ms=AT_MS, friend="cb", day=739_000)
    return [event for event in (delivered, *words, thanks) for _ in range(2)]


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_brewline_itself_writes_is_counted_beside_what_was_sent(forgotten: bool) -> None:
    log = [e.Forget(id="f", customer="ca", at_ms=AT_MS)] * forgotten
    counts = run(customers_job([]), batches("events", 0, [e.encode(one) for one in [*log, *sent(), *own()]]))[0]
    found = counts.position.counts
    fates = ("applied", "duplicates", "own", "forgotten", "dead_lettered")
    expected = (0, 0, 0, len(sent()), 0) if forgotten else (4, 4, 4, 0, 0)
    assert tuple(found.get(fate, 0) for fate in fates) == expected


def test_kpis_count_what_was_sent_alone() -> None:
    job = PartialMinutes("partials", "dead-letters", ["p0"], sources=1, retention_hours=2, catalog=SHIPPED)
    ended = run(job, batches("events", 0, [e.encode(one) for one in [*sent(), *own()]]))[0]
    assert (ended.position.counts["kpi_events"], ended.position.counts["kpi_duplicates"]) == (4, 4)
