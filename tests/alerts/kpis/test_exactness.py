"""Whatever comes late, twice, in pieces or again after a crash: the merged minutes equal a plain count."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.kpis.closing import Ways
from alerts.kpis.kpi import ClockMark, encode_partial
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from features import events as ev
from features.job import Message, Position
from features.loop import Store, batches, run
from features.partitions import partition_keys, partition_of
from tests.oracle_kpis import SHIPPED, Chain

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
START_MS = 490_000 * HOUR_MS
END_MS = START_MS + 50 * HOUR_MS  # later than any log comes
RETENTION_HOURS = 2
SOURCES = TARGETS = 2
WAYS = Ways(SHIPPED.names, ["p0"], TARGETS)
TOPICS = Topics("kpi.minutes", "kpi.closings", "dead-letters")


lines = st.builds(
    ev.Line,
    sku=st.just("tea"),
    qty=st.integers(1, 3),
    price_cents=st.integers(0, 500),
    category=st.sampled_from(["", "tea", "snack"]),
)


@st.composite
def events(draw: st.DrawFn, now_ms: int) -> ev.Event:
    """Any event, early or late; few ids, stores and campaigns, so that they meet."""
    at_ms = now_ms + draw(st.sampled_from([-200, -125, -65, -9, -5, 0, 0, 0, 1, 61])) * MINUTE_MS
    common = {
        "id": draw(st.sampled_from("abcdef")),
        "at_ms": at_ms,
        "customer": draw(st.sampled_from(["", "c1"])),
        "store": draw(st.sampled_from(["", "0001", "a|b"])),
        "region": draw(st.sampled_from(["", "north"])),
        "channel": draw(st.sampled_from(["", "app", "a+b%"])),
        "staff": draw(st.sampled_from(["", "ann"])),
        "tz": draw(st.sampled_from(["", "Asia/Shanghai", "Asia/Kathmandu"])),
    }
    number = draw(st.integers(0, 50))
    campaign = draw(st.sampled_from(["", "summer"]))
    return draw(
        st.sampled_from(
            [
                ev.Order(
                    **common,
                    lines=draw(st.lists(lines, min_size=1, max_size=4)),
                    total_cents=number,
                    discount_cents=number // 2,
                    campaign=campaign,
                    rain_mm=draw(st.sampled_from([0.0, 0.1, 12.5])),
                ),
                ev.Void(
                    **common,
                    order=draw(st.sampled_from("nop")),
                    ordered_time=0,
                    amount_cents=number,
                    items=2,
                    ordered_ms=at_ms - number * MINUTE_MS,
                ),
                ev.Refund(**common, order="o", ordered_time=0, amount_cents=number, ordered_ms=at_ms - HOUR_MS),
                ev.AppOpen(**common),
                ev.View(**common),
                ev.Footfall(**common, visitors=number),
                ev.CouponRedeemed(**common, coupon="x", campaign=campaign),
                ev.CouponIssued(**common, coupon="x", campaign=campaign),
                ev.CouponDelivered(**common, coupon="x", campaign=campaign),
                ev.CouponDelivered(
                    **{**common, "id": f"{number % 3}/delivered"},
                    coupon="x",
                    campaign=campaign,
                    issued=1,
                    issued_ms=at_ms - number * MINUTE_MS,
                ),
                ev.Bind(**common),
                ev.Rating(**common, stars=number / 10),
                ev.Complaint(**common, case="x"),
                ev.DeliveryPromised(**common, order="o", promised_time=0),
                ev.DeliveryLate(**common, order="o", day=739_000),
                ev.Heartbeat(**common),
            ]
        )
    )


STEPS = ["event"] * 9 + ["both"] * 4 + ["hour", "p", "q"]


@st.composite
def log_of_a_partition(draw: st.DrawFn) -> list[ev.Event]:
    """Events while time passes, as two sources of the clean topic tell it; ends with all minutes past."""
    log: list[ev.Event] = []
    now_ms = START_MS
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=draw(st.sampled_from([0, 30])), max_size=45)):
        now_ms += {"both": 4 * MINUTE_MS, "hour": HOUR_MS}.get(step, 0)
        if step == "event":
            log.append(draw(events(now_ms)))
        else:
            log += [tick(source, now_ms) for source in ("pq" if step in ("both", "hour") else step)]
    return log + [tick(source, END_MS) for source in "pq"]


def tick(source: str, at_ms: int) -> ev.Tick:
    return ev.Tick(id="t", at_ms=at_ms, source=source, of=2)


logs = st.lists(log_of_a_partition(), min_size=SOURCES, max_size=SOURCES)
cuts = st.lists(st.integers(1, 80), max_size=30)


def partials_of(partition: int, log: list[ev.Event], cuts: list[int]) -> Store:
    job = PartialMinutes("kpi.partials", "dead-letters", partition_keys(TARGETS), SOURCES, RETENTION_HOURS, SHIPPED)
    return run(job, batches("events", partition, [ev.encode(event) for event in log], cuts))[partition]


def repeated(draw: st.DrawFn, sent: list[Message]) -> list[Message]:
    """Now and then some messages come again, long after newer ones, as when a relay dies before it has noted them."""
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(sent)))
        start = draw(st.integers(0, place))
        stop = draw(st.integers(start, place))
        sent = sent[:place] + sent[start:stop] + sent[place:]
    return sent


def interleaved(draw: st.DrawFn, streams: list[list[Message]]) -> list[Message]:
    """One order in which several relays may reach the broker."""
    turns = [number for number, stream in enumerate(streams) for _ in stream]
    draw(st.randoms(use_true_random=False)).shuffle(turns)
    each = [iter(stream) for stream in streams]
    return [next(each[turn]) for turn in turns]


def merged(messages: list[Message], cuts: list[int]) -> dict[int, Store]:
    job = MergedMinutes(TOPICS, RETENTION_HOURS, WAYS, SHIPPED)
    stores: dict[int, Store] = {}
    for target in range(TARGETS):
        values = [message.value for message in messages if partition_of(message.key, TARGETS) == target]
        run(job, batches("kpi.partials", target, values, cuts), stores)
    return stores


def minutes(store: Store) -> list[dict[str, Any]]:
    told = [json.loads(message.value) for message in store.sent if message.topic == "kpi.minutes"]
    return [event["data"] | {"id": event["id"]} for event in told if event["type"] == "brewline.kpi.minute"]


def latest(stores: dict[int, Store]) -> dict[tuple[str, int], dict[str, int]]:
    """The highest revision of each minute, without zeros."""
    found: dict[tuple[str, int], tuple[int, dict[str, int]]] = {}
    for store in stores.values():
        for data in minutes(store):
            key = (data["dim"], data["minute_ms"])
            if data["revision"] > found.get(key, (0, {}))[0]:
                found[key] = (data["revision"], {name: data[name] for name in SHIPPED.names if data[name]})
    return {key: counters for key, (_, counters) in found.items()}


def total(stores: list[Store]) -> Counter[str]:
    return sum((Counter(store.position.counts) for store in stores), Counter())


@given(logs, cuts, cuts, st.data())
@settings(max_examples=50, deadline=None)
def test_merged_minutes_equal_a_plain_count(logs, cuts_before, cuts_after, data):
    chain = Chain(RETENTION_HOURS)
    for log in logs:
        chain.count(log)
    sources = [partials_of(number, log, cuts_before) for number, log in enumerate(logs)]
    messages = interleaved(data.draw, [repeated(data.draw, store.sent) for store in sources])

    found = latest(merged(messages, cuts_after))

    expected = {key: {name: n for name, n in counts.items() if n} for key, counts in chain.minutes.items()}
    assert {key: found.get(key) for key in expected} == expected
    assert found.keys() == expected.keys()
    counts = total(sources)
    assert counts["applied"] == chain.fates["counted anonymous"]
    assert counts["kpi_events"] == chain.fates["counted customer"]
    assert counts["duplicates"] == chain.fates["duplicate anonymous"]
    assert counts["kpi_duplicates"] == chain.fates["duplicate customer"]
    own = sum(number for fate, number in chain.fates.items() if fate.endswith("own"))
    assert counts["kpi_own"] == own
    assert counts["too_late"] == chain.fates["too_late anonymous"]
    assert counts["kpi_too_late"] == chain.fates["too_late customer"]


@given(logs, cuts, cuts, st.data())
@settings(max_examples=20, deadline=None)
def test_it_does_not_matter_where_batches_end(logs, some, others, data):
    sources = [partials_of(number, log, some) for number, log in enumerate(logs)]
    messages = interleaved(data.draw, [store.sent for store in sources])

    one, other = merged(messages, some), merged(messages, others)

    assert one.keys() == other.keys()
    for target in one:
        for topic in (TOPICS.minutes, TOPICS.closings):
            some_sent, others_sent = ([m.value for m in s[target].sent if m.topic == topic] for s in (one, other))
            assert some_sent == others_sent
        assert one[target].position == other[target].position


@given(logs, cuts, st.data())
@settings(max_examples=20, deadline=None)
def test_a_minute_is_sent_again_only_with_a_higher_revision(logs, cuts, data):
    sources = [partials_of(number, log, cuts) for number, log in enumerate(logs)]
    streams = [repeated(data.draw, store.sent) for store in sources]
    for store in merged(interleaved(data.draw, streams), cuts).values():
        sent = minutes(store)
        revisions: dict[str, int] = {}
        for minute in sent:
            name, _, revision = minute["id"].rpartition("|")
            assert int(revision) == minute["revision"] > revisions.get(name, 0)
            revisions[name] = int(revision)
        assert store.position.counts.get("kpi_minutes", 0) == len(revisions)
        assert store.position.counts.get("corrections", 0) == len(sent) - len(revisions)


@given(logs, cuts)
@settings(max_examples=20, deadline=None)
def test_nothing_is_kept_once_the_clock_has_passed_retention(logs, cuts):
    gone = [tick(source, END_MS + 90 * HOUR_MS) for source in "pq"]
    sources = [partials_of(number, log + gone, cuts) for number, log in enumerate(logs)]
    for store in sources:
        assert (store.records, store.seen, store.timers) == ({}, {}, {})
    messages = [message for store in sources for message in store.sent]
    stores = merged(messages, cuts)
    later = [encode_partial(ClockMark(source, SOURCES, END_MS + 92 * HOUR_MS)) for source in range(SOURCES)]
    for target, store in stores.items():  # an outage that is leapt over in one batch ends with the next one
        more = batches("kpi.partials", target, later, first=store.position.offset + 1)
        run(MergedMinutes(TOPICS, RETENTION_HOURS, WAYS, SHIPPED), more, stores)
        assert {name.partition("|")[0] for name in store.records} <= {"watch", "five", "hours", "life"}
        assert store.timers.keys() == store.records.keys()
        assert store.position != Position()
