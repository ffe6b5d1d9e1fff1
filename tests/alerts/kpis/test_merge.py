"""How partial minutes of several partitions become closed minutes and corrections, and what the judge is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerts.kpis.book import Judging
from alerts.kpis.closing import OF_ONE, Closing, Ways, decode_closing, encode_closing
from alerts.kpis.hour import CLOSING_MS, closes_ms
from alerts.kpis.judge import Judge
from alerts.kpis.kpi import COLUMN, COUNTERS, ClockMark, Partial, Partials, Row, encode_partial
from alerts.kpis.ledger import Topics
from alerts.kpis.load import RETIRED_DAYS, Watch, decode_watch, encode_watch
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.panel import unpack
from alerts.kpis.seasons import Seasons
from features.job import Batch
from features.loop import Store, batches, run
from tests.oracle_kpis import SHIPPED

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON_MS = 490_008 * HOUR_MS
WAYS = Ways(SHIPPED.names, ["p0", "p1"], 1)
JOB = MergedMinutes(
    Topics("kpi.minutes", "kpi.closings", "dead-letters"), retention_hours=2, ways=WAYS, catalog=SHIPPED
)

Said = Partial | ClockMark | bytes


def partial(dim: str = "channel:app", minute: int = 0, source: int = 0, version: int = 1, **counters: int) -> Partial:
    row = [counters.get(name, 0) for name in COUNTERS]
    return Partial(source, dim, NOON_MS + minute * MINUTE_MS, row, version)


def clock(minute: int, sources: tuple[int, ...] = (0, 1), of: int = 2) -> list[ClockMark]:
    return [ClockMark(source, of, NOON_MS + minute * MINUTE_MS) for source in sources]


def closed(minute: int) -> list[ClockMark]:
    """Late enough for all dimensions to have closed what ended by then."""
    return [ClockMark(source, 2, NOON_MS + minute * MINUTE_MS + CLOSING_MS) for source in (0, 1)]


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
        return [json.loads(message.value) for message in self.store.sent[before:] if message.topic == "kpi.minutes"]

    def closings(self, key: str = "p0") -> list[Closing]:
        """All that the judge was told so far."""
        sent = [message for message in self.store.sent if message.topic == "kpi.closings" and message.key == key]
        return [decode_closing(message.value) for message in sent]

    @property
    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.store.position.counts.items() if name != "closings"}


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
    assert feed.counts == {"repeats": 2, "kpi_minutes": 1}


def test_a_late_partial_corrects_its_closed_minute(feed):
    (first,) = feed(partial(orders=1), *clock(30))
    (second,) = feed(partial(orders=2, version=5))
    assert second["data"]["orders"] == 2
    assert second["data"]["revision"] > first["data"]["revision"]
    assert feed.counts == {"kpi_minutes": 1, "corrections": 1}


def test_a_minute_first_heard_of_after_its_end_closes_at_once(feed):
    feed(*clock(30))
    (minute,) = feed(partial(minute=3, orders=1))
    assert minute["data"]["minute_ms"] == NOON_MS + 3 * MINUTE_MS
    assert [m["data"]["orders"] for m in feed(partial(minute=40, orders=6), *clock(41))] == [6]


def test_a_minute_stays_open_until_its_own_end(feed):
    said = [partial(minute=minute, orders=1, version=minute + 1) for minute in (0, 1, 2)]
    closed = [[m["data"]["minute_ms"] - NOON_MS for m in feed(*said, *clock(minute))] for minute in (1, 2, 3)]
    assert closed == [[0], [MINUTE_MS], [2 * MINUTE_MS]]


def test_minutes_of_stores_close_one_after_the_other_and_the_judge_hears_of_them_when_all_have(feed):
    dims, minute = [f"store:{number}" for number in range(60)], NOON_MS // MINUTE_MS
    feed(*[partial(dim, orders=1) for dim in (*dims, "region:north")])
    told = {}
    for second in range(60, 60 + CLOSING_MS // 1_000 + 1):
        found = feed(*[ClockMark(source, 2, NOON_MS + second * 1_000) for source in (0, 1)])
        told |= {event["data"]["dim"]: second for event in found}
        heard_ms = max(closing.at_ms for closing in feed.closings())
        assert (heard_ms == NOON_MS + MINUTE_MS) == (second == 80)
    assert told == {dim: -((NOON_MS - closes_ms(dim, minute)) // 1_000) for dim in (*dims, "region:north")}
    assert told["region:north"] == 60
    assert len({*told.values()}) > 10


def test_minutes_close_in_their_order_though_the_clock_leaps(feed):
    feed(*[partial(minute=minute, orders=1, version=10 - minute) for minute in (3, 0, 2)])
    assert [m["data"]["minute_ms"] - NOON_MS for m in feed(*clock(200))] == [0, 2 * MINUTE_MS, 3 * MINUTE_MS]


def test_a_partial_of_a_forgotten_hour_is_counted_and_changes_nothing(feed):
    feed(partial(orders=1), *clock(180))
    assert feed(partial(orders=2, version=5)) == []
    assert feed.counts == {"kpi_minutes": 1, "too_late": 1}
    feed(*clock(241))
    feed(*clock(242))
    assert {name.partition("|")[0] for name in feed.store.records} == {"five", "hours"}
    assert feed.store.timers.keys() == feed.store.records.keys()


def test_what_cannot_be_read_becomes_a_dead_letter(feed):
    (minute,) = feed(b"{", b'{"type":"partial","source":0}', partial(orders=1), *clock(1))
    assert minute["data"]["orders"] == 1
    assert feed.counts == {"dead_lettered": 2, "dead_lettered:malformed": 2, "kpi_minutes": 1}
    letters = [message for message in feed.store.sent if message.topic == "dead-letters"]
    assert [message.headers["source_offset"] for message in letters] == ["0", "1"]


def test_the_judge_is_told_each_minute_once_with_the_clock_and_corrections_at_once(feed):
    feed(partial("store:a", orders=2), partial("daypart:x", orders=2), *closed(1))
    feed(partial("store:a", orders=3, version=5))
    first, second = feed.closings()
    minute = NOON_MS // MINUTE_MS
    assert (first.dims, first.minutes, first.at_ms) == (["store:a"], [minute], NOON_MS + MINUTE_MS)
    assert (second.dims, second.minutes, second.at_ms) == (["store:a"], [minute], 0)
    assert [closing.rows()[0, 0] for closing in (first, second)] == [2, 3]
    assert (first.number >> OF_ONE, second.number >> OF_ONE) == (3, 4)  # offsets: of the later mark, of the correction
    (other,) = feed.closings("p1")
    assert (other.dims, other.at_ms) == ([], NOON_MS + MINUTE_MS)


def test_what_the_judge_is_told_is_the_same_however_the_stream_is_cut():
    said = [
        each
        for minute in range(50)
        for each in [
            partial("store:a", minute, orders=minute, version=minute + 1),
            partial("chain:*", minute - 3 if minute > 3 else 0, orders=9, version=100 + minute),
            *clock(minute),
        ]
    ]
    told = []
    for step in (1, 7, len(said)):
        feed = Feed()
        for start in range(0, len(said), step):
            feed(*said[start : start + step])
        told.append([(c.number, c.at_ms, c.dims, c.minutes, c.counters) for c in feed.closings()])
    assert told[0] == told[1] == told[2]
    numbers = [number for number, *_ in told[0]]
    assert numbers == sorted({*numbers})


def test_a_merge_that_begins_anew_repeats_what_it_told_and_the_judge_takes_what_is_new():
    said = [
        each
        for minute in range(30)
        for each in [partial("store:a", minute, orders=minute, version=minute + 1), *closed(minute)]
    ]
    feed, anew = Feed(), Feed()
    for start in range(0, len(said), 4):
        feed(*said[start : start + 4])
    anew(*said)
    assert [encode_closing(each) for each in anew.closings()] == [encode_closing(each) for each in feed.closings()]
    again = len(anew.closings())
    anew(partial("store:a", 28, orders=99, version=200), partial("store:a", 29, orders=7, version=201), *closed(31))
    judge = Judge("alerts", "dead-letters", Judging(), {}, Seasons())
    log = [encode_closing(each) for each in (*feed.closings(), *anew.closings())]
    store = run(judge, batches("kpi.closings", 0, log, [40]))[0]
    assert store.position.counts["repeats"] == sum(bool(each.dims) for each in feed.closings())
    assert [each.dims for each in anew.closings()[again:]] == [["store:a"], ["store:a"]]
    kept = [unpack(store.records[f"ring|stores|{(NOON_MS // MINUTE_MS + m) % 60}"])["counts"] for m in (28, 29)]
    assert [counts[0].tolist() for counts in kept] == [[99], [7]]


def test_corrections_of_one_record_are_one_message_for_the_judge(feed):
    feed(partial("store:a", orders=1), partial("store:b", orders=1), *closed(1))
    counted = {COLUMN["orders"]: 2}
    rows = [Row(f"store:{name}", NOON_MS, counted, 9) for name in "ab"]
    feed(encode_partial(Partials(0, rows)))
    *_, last = feed.closings()
    assert (len(feed.closings()), last.dims, last.at_ms) == (2, ["store:a", "store:b"], 0)
    assert last.rows()[:, 0].tolist() == [2, 2]


def test_what_no_longer_exists_is_no_longer_watched():
    feed = Feed()
    feed(partial("store:0012", orders=1), *clock(24 * 60))
    assert "watch|store:0012" in feed.store.records
    for hour in range(24, 24 * (RETIRED_DAYS + 2)):
        feed(*clock(hour * 60))
    assert {name.partition("|")[0] for name in feed.store.records} == {"hours"}  # those of five minutes are gone too


def test_a_minute_is_looked_at_with_its_counts_though_the_timer_of_its_hour_was_not_loaded():
    feed = Feed()
    feed(partial("store:0012", orders=1), *closed(1))
    feed(partial("store:0012", minute=70, orders=6, version=2))
    batch = Batch("kpi.partials", 0, 9, [10, 11], [encode_partial(each) for each in clock(90)], [0, 0])
    plan = JOB.plan(batch, feed.store.position)
    state = feed.store.load(JOB, plan)
    state.due = [(due_ms, timer) for due_ms, timer in state.due if timer == "watch|store:0012"]
    changes = JOB.apply(plan, state)
    assert changes.counts == {"kpi_minutes": 1, "closings": 1}
    assert decode_watch(changes.puts["watch|store:0012"]).load.sum == 6


def test_hours_leapt_over_are_looked_at_batch_by_batch():
    feed = Feed()
    feed(partial("store:0012", orders=1), *clock(1))
    judged = []
    for minute in range(100 * 60, 100 * 60 + 4):
        feed(*clock(minute))
        judged.append(feed.store.timers["watch|store:0012"])
    assert judged == sorted(judged)
    assert judged[-1] == closes_ms("store:0012", NOON_MS // MINUTE_MS + 100 * 60 + 2)


def test_a_watch_of_a_region_that_was_stored_once_is_dropped_in_silence(feed):
    feed(partial("region:east", orders=1), *clock(1))
    minute = NOON_MS // MINUTE_MS
    feed.store.records["watch|region:east"] = encode_watch(Watch(minute, minute, minute, minute))
    feed.store.timers["watch|region:east"] = NOON_MS + 2 * MINUTE_MS
    assert feed(*clock(9)) == []
    assert not [name for name in (*feed.store.records, *feed.store.timers) if name.startswith("watch")]


def test_every_counter_has_its_column():
    assert [COLUMN[name] for name in COUNTERS] == list(range(len(COUNTERS)))


def test_the_last_closed_minute_of_the_chain_and_of_regions_is_a_metric():
    said = [partial(dim, orders=3, visits=4) for dim in ("chain:*", "region:north", "store:0012", "channel:app")]
    marks, job = clock(1), JOB
    values = [encode_partial(each) for each in (*said, *marks)]
    batch = Batch("kpi.partials", 0, -1, list(range(len(values))), values, [0] * len(values))
    plan = job.plan(batch, Store().position)
    levels = job.apply(plan, Store().load(job, plan)).levels
    assert {name.split(":", 2)[2] for name in levels if name != "closed"} == {"chain:*", "region:north"}
    assert (levels["kpi:orders:region:north"], levels["kpi:conversion:chain:*"]) == (3, 0.75)
    assert levels["kpi:aov_cents:chain:*"] == 0
    assert levels["kpi:rating_mean:chain:*"] != levels["kpi:rating_mean:chain:*"], "not a number: there were none"
    assert levels["closed"] * 1000 == plan.clock.now_ms > 0
