"""How partial minutes of several partitions become closed minutes, corrections and alerts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from alerts.kpis.detector import RETIRED_DAYS, Judging

from alerts.kpis import detector
from alerts.kpis.kpi import COLUMN, COUNTERS, ClockMark, Partial, encode_partial
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from features.job import Batch
from features.loop import Store, run

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON_MS = 490_008 * HOUR_MS
JOB = MergedMinutes(Topics("kpi.minutes", "alerts", "dead-letters"), retention_hours=2, judging=Judging())

Said = Partial | ClockMark | bytes


def partial(dim: str = "channel:app", minute: int = 0, source: int = 0, version: int = 1, **counters: int) -> Partial:
    row = [counters.get(name, 0) for name in COUNTERS]
    return Partial(source, dim, NOON_MS + minute * MINUTE_MS, row, version)


def clock(minute: int, sources: tuple[int, ...] = (0, 1), of: int = 2) -> list[ClockMark]:
    return [ClockMark(source, of, NOON_MS + minute * MINUTE_MS) for source in sources]


class Feed:
    """One partition of the merging job, batch by batch."""

    def __init__(self, job: MergedMinutes = JOB) -> None:
        self.job, self.store, self.next = job, Store(), 0

    def __call__(self, *said: Said) -> list[dict[str, Any]]:
        """Feeds one batch; returns the events it sends."""
        values = [each if isinstance(each, bytes) else encode_partial(each) for each in said]
        offsets = list(range(self.next, self.next + len(values)))
        batch = Batch("kpi.partials", 0, self.next - 1, offsets, values, [7_000 + offset for offset in offsets])
        self.next += len(values)
        before = len(self.store.sent)
        run(self.job, [batch], {0: self.store})
        return [json.loads(message.value) for message in self.store.sent[before:] if message.topic != "dead-letters"]


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_a_minute_is_the_sum_of_its_sources_once_all_have_passed_it(feed):
    assert feed(partial(orders=2, source=0), partial(orders=3, source=1, version=9)) == []
    assert feed(*clock(1, sources=(0,))) == []
    (minute,) = feed(*clock(1, sources=(1,)))
    assert minute["type"] == "brewline.kpi.minute"
    assert minute["id"] == f"channel:app|{NOON_MS}|12"
    assert minute["subject"] == minute["data"]["dim"] == "channel:app"
    assert minute["data"]["orders"] == 5
    assert minute["data"]["revision"] == 12


def test_ratios_are_null_where_there_is_nothing_to_divide_by(feed):
    (minute,) = feed(partial(orders=4, revenue_cents=1000, visits=8, ratings=2, stars_x10=90), *clock(1))
    data = minute["data"]
    assert (data["aov_cents"], data["conversion"], data["rating_mean"]) == (250, 0.5, 4.5)
    assert data["redemption_rate"] is None


def test_a_newer_partial_replaces_an_older_one_and_never_the_other_way(feed):
    (minute,) = feed(
        partial(orders=5, version=8), partial(orders=4, version=3), partial(orders=5, version=8), *clock(1)
    )
    assert minute["data"]["orders"] == 5
    assert feed.store.position.counts == {"repeats": 2, "kpi_minutes": 1}


def test_a_late_partial_corrects_its_closed_minute(feed):
    (first,) = feed(partial(orders=1), *clock(30))
    (second,) = feed(partial(orders=2, version=5))
    assert second["data"]["orders"] == 2
    assert second["data"]["revision"] > first["data"]["revision"]
    assert feed.store.position.counts == {"kpi_minutes": 1, "corrections": 1}


def test_a_minute_first_heard_of_after_its_end_closes_at_once(feed):
    feed(*clock(30))
    (minute,) = feed(partial(minute=3, orders=1))
    assert minute["data"]["minute_ms"] == NOON_MS + 3 * MINUTE_MS
    assert [m["data"]["orders"] for m in feed(partial(minute=40, orders=6), *clock(41))] == [6]


def test_a_minute_stays_open_until_its_own_end(feed):
    said = [partial(minute=minute, orders=1, version=minute + 1) for minute in (0, 1, 2)]
    closed = [[m["data"]["minute_ms"] - NOON_MS for m in feed(*said, *clock(minute))] for minute in (1, 2, 3)]
    assert closed == [[0], [MINUTE_MS], [2 * MINUTE_MS]]


def test_minutes_close_in_their_order_though_the_clock_leaps(feed):
    feed(*[partial(minute=minute, orders=1, version=10 - minute) for minute in (3, 0, 2)])
    assert [m["data"]["minute_ms"] - NOON_MS for m in feed(*clock(200))] == [0, 2 * MINUTE_MS, 3 * MINUTE_MS]


def test_a_partial_of_a_forgotten_hour_is_counted_and_changes_nothing(feed):
    feed(partial(orders=1), *clock(180))
    assert feed(partial(orders=2, version=5)) == []
    assert feed.store.position.counts == {"kpi_minutes": 1, "too_late": 1}
    assert (feed.store.records, feed.store.timers) == ({}, {})


def test_what_cannot_be_read_becomes_a_dead_letter(feed):
    (minute,) = feed(b"{", b'{"type":"partial","source":0}', partial(orders=1), *clock(1))
    assert minute["data"]["orders"] == 1
    assert feed.store.position.counts == {"dead_lettered": 2, "dead_lettered:malformed": 2, "kpi_minutes": 1}
    letters = [message for message in feed.store.sent if message.topic == "dead-letters"]
    assert [message.headers["source_offset"] for message in letters] == ["0", "1"]


def ordinary(days: int, dark: range = range(0)) -> list[dict[str, int]]:
    """Counts by minute of a store with a daily season; nothing at all in the minutes `dark`."""
    minutes = np.arange(days * 1440)
    rate = 3 * (1 + 0.6 * np.sin(minutes / 1440 * 2 * np.pi))
    orders = np.random.default_rng(5).poisson(rate)
    orders[list(dark)] = 0
    return [{"orders": int(n), "revenue_cents": int(n) * 900} for n in orders]


def replay(feed: Feed, counts: list[dict[str, int]], step: int = 7, dim: str = "store:0012") -> list[dict[str, Any]]:
    """Alerts of a stream in which silent minutes send nothing; `step` minutes a batch."""
    alerts: list[dict[str, Any]] = []
    for start in range(0, len(counts), step):
        rows = list(enumerate(counts[start : start + step], start))
        said = [partial(dim, minute, version=minute + 1, **row) for minute, row in rows if row["orders"]]
        alerts += [event for event in feed(*said, *clock(rows[-1][0] + 1)) if event["type"] == "brewline.alert.kpi"]
    return alerts


DARK = range(2 * 1440 + 300, 2 * 1440 + 420)


def test_a_store_that_falls_silent_is_told_and_its_return_too():
    feed = Feed()
    alerts = [alert for alert in replay(feed, ordinary(3, DARK)) if alert["data"]["series"] == "orders"]
    assert [alert["data"]["state"] for alert in alerts] == ["firing", "resolved"]
    firing, resolved = alerts
    assert firing["data"]["direction"] == "low"
    assert firing["subject"] == "store:0012"
    assert firing["id"] == f"{firing['data']['incident']}|firing"
    assert resolved["data"]["incident"] == firing["data"]["incident"]
    started = (firing["data"]["started_ms"] - NOON_MS) / MINUTE_MS
    assert DARK.start < started < DARK.start + 30
    assert "orders down to" in firing["data"]["why"]
    assert feed.store.position.counts["kpi_alerts"] == 2  # orders and revenue


def test_alerts_are_the_same_however_the_stream_is_cut():
    counts = ordinary(3, DARK)
    assert replay(Feed(), counts, step=7) == replay(Feed(), counts, step=61)


def test_a_store_still_closed_in_the_night_is_no_news():
    night = [range(day * 1440 + 720, day * 1440 + 1260) for day in range(4)]
    counts = [row for day in range(4) for row in ordinary(1)]
    for minutes in night:
        for minute in minutes:
            counts[minute] = {"orders": 0, "revenue_cents": 0}
    assert replay(Feed(), counts) == []


def test_what_no_longer_exists_is_no_longer_watched():
    feed = Feed()
    replay(feed, ordinary(1))
    assert "watch|store:0012" in feed.store.records
    for hour in range(24, 24 * (RETIRED_DAYS + 2)):
        feed(*clock(hour * 60))
    assert (feed.store.records, feed.store.timers) == ({}, {})


def test_silence_is_judged_though_the_clock_leaps_over_it():
    feed = Feed()
    counts = ordinary(3, DARK)[: DARK.start]
    assert replay(feed, counts) == []
    alerts = feed(*clock(DARK.start + 90))
    assert {alert["data"]["series"] for alert in alerts} == {"orders", "revenue_cents"}


def test_a_late_partial_is_in_the_window_that_is_judged_next():
    feed = Feed()
    feed(partial("store:0012", orders=1), *clock(5))
    feed(partial("store:0012", orders=8, version=2))
    watch = detector.decode_watch(feed.store.records["watch|store:0012"], JOB.judging)
    assert sum(watch.series[0].window) == 8


def test_a_minute_is_judged_with_its_counts_though_the_timer_of_its_hour_was_not_loaded():
    feed = Feed()
    feed(partial("store:0012", orders=1), *clock(1))
    feed(partial("store:0012", minute=70, orders=6, version=2))
    batch = Batch("kpi.partials", 0, 9, [10, 11], [encode_partial(each) for each in clock(90)], [0, 0])
    plan = JOB.plan(batch, feed.store.position)
    state = feed.store.load(JOB, plan)
    state.due = [(due_ms, timer) for due_ms, timer in state.due if timer == "watch|store:0012"]
    changes = JOB.apply(plan, state)
    assert changes.counts == {"kpi_minutes": 1}
    watch = detector.decode_watch(changes.puts["watch|store:0012"], JOB.judging)
    assert sum(watch.series[0].window) == 6


def test_hours_leapt_over_are_judged_batch_by_batch():
    feed = Feed()
    feed(partial("store:0012", orders=1), *clock(1))
    judged = []
    for minute in (100 * 60, 100 * 60 + 1, 100 * 60 + 2):
        feed(*clock(minute))
        judged.append(feed.store.timers["watch|store:0012"])
    assert judged == sorted(judged)
    assert judged[-1] == NOON_MS + (100 * 60 + 3) * MINUTE_MS


def test_an_alert_names_the_record_that_caused_it():
    feed = Feed()
    replay(feed, ordinary(3, DARK)[: DARK.start])
    job, store = feed.job, feed.store
    mark = clock(DARK.start + 90)
    values = [encode_partial(each) for each in mark]
    batch = Batch("kpi.partials", 0, feed.next - 1, [feed.next, feed.next + 1], values, [111, 222])
    plan = job.plan(batch, store.position)
    changes = job.apply(plan, store.load(job, plan))
    assert changes.causes_ms == [222] * changes.counts["kpi_alerts"]


def test_every_counter_has_its_column():
    assert [COLUMN[name] for name in COUNTERS] == list(range(len(COUNTERS)))
