"""Bytes in, findings out: exactly once, whatever the cuts, the order and the repeats."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.baseline import RULE
from alerts.security.job import SecurityJob
from alerts.security.sigma import load
from features import events as ev
from features.job import Batch
from features.loop import Store, batches, run
from features.stores import Stores
from tests.alerts.security.watched import (
    HOUR_MS,
    LIMITS,
    LOG,
    MINUTE_MS,
    RETENTION_HOURS,
    RULES,
    START_MS,
    after,
    alerts,
    encoded,
    export,
    fired,
    job,
    tick,
    view,
)
from tests.oracle_security import Count, House

IDS = {name: f"00000000-0000-4000-8000-00000000000{n}" for name, n in [("rows", 4), ("objects", 5), ("busy", 6)]}


COUNTS = [
    Count(IDS["rows"], "value_sum", HOUR_MS, 100, {"export"}, "rows"),
    Count(IDS["objects"], "value_count", 10 * MINUTE_MS, 3, {"view"}, "object"),
    Count(IDS["busy"], "event_count", 30 * MINUTE_MS, 4, {"view", "export"}, group_by=("store", "actor")),
]


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Event]:
    """Few actors, stores and objects, and times on a grid that the timespans share, so that they meet at the edges."""
    now_ms, log = START_MS, []
    for n in range(draw(st.integers(0, 50))):
        now_ms += draw(st.sampled_from([0, 0, 0, 10, 10, 20, 60])) * MINUTE_MS
        at_ms = now_ms + draw(st.sampled_from([0, 0, 0, -10, -20, -30, -60, -110, -120, -130, -400, 10])) * MINUTE_MS
        common = {
            "id": draw(st.sampled_from([f"e{n}", f"e{n}", "twin"])),
            "at_ms": at_ms,
            "actor": draw(st.sampled_from(["ann", "ann", "bob"])),
            "store": draw(st.sampled_from(["", "s1"])),
        }
        what = draw(st.sampled_from(["export", "export", "view", "view", "tick"]))
        if what == "tick":
            log.append(tick(now_ms))
        elif what == "export":
            log.append(export(rows=draw(st.sampled_from([0, 20, 45, 60])), **common))
        else:
            log.append(view(object=draw(st.sampled_from(["", "c1", "c2", "c3"])), **common))
    return log


@settings(max_examples=150, deadline=None)
@given(logs(), st.lists(st.integers(1, 40), max_size=6))
def test_findings_equal_the_naive_twin_for_any_order_and_any_cuts(log: list[ev.Event], cuts: list[int]) -> None:
    twin = House(COUNTS, RETENTION_HOURS)
    twin.judge(log)
    store = after(log, cuts)
    named = [
        (a["data"]["rule_id"], tuple(a["data"]["group"].values()), a["data"]["evidence"][-1], a["data"]["observed"])
        for a in alerts(store)
    ]
    assert named == twin.found
    fates = {name: store.position.counts.get(name, 0) for name in twin.fates}
    assert fates == twin.fates


def lasting(store: Store) -> dict[str, bytes]:
    """All but where groups are listed: one that comes and ends within a batch is on no page."""
    return {name: raw for name, raw in store.records.items() if name.split("|")[0] not in ("roster", "actors")}


@settings(max_examples=100, deadline=None)
@given(logs(), st.lists(st.integers(1, 40), max_size=6))
def test_state_and_messages_do_not_depend_on_the_cuts(log: list[ev.Event], cuts: list[int]) -> None:
    whole, cut = after(log), after(log, cuts)
    assert sorted(m.value for m in whole.sent) == sorted(m.value for m in cut.sent)
    assert (lasting(whole), whole.seen, whole.timers) == (lasting(cut), cut.seen, cut.timers)
    assert whole.position == cut.position


@settings(deadline=None)
@given(logs())
def test_a_replay_of_the_log_finds_nothing_twice(log: list[ev.Event]) -> None:
    log = [event for event in log if not isinstance(event, ev.Tick)]
    once, twice = after(log), after([*log, *log])
    assert [m.value for m in once.sent] == [m.value for m in twice.sent]
    assert twice.position.counts.get("duplicates", 0) >= len(log)


def test_one_large_export_is_one_alert() -> None:
    (alert,) = alerts(
        after([export("e1", rows=6000, store="s1", object="customer 4711", client_ip="10.0.0.4", device="pc-7")])
    )[:1]
    assert alert["type"] == "brewline.alert.security"
    assert alert["subject"] == "ann"
    assert alert["data"] == {
        "rule": "big",
        "rule_id": "00000000-0000-4000-8000-000000000003",
        "title": "Big export",
        "level": "high",
        "tags": ["attack.t1567"],
        "actor": "ann",
        "store": "s1",
        "client_ip": "10.0.0.4",
        "device": "pc-7",
        "group": {"actor": "ann"},
        "observed": 6000,
        "threshold": 5000,
        "why": "ann did export with rows 6000, the limit is 5000",
        "evidence": ["e1"],
        "started_ms": START_MS,
        "event_at_ms": START_MS,
        "trigger_stamp_ms": 0,
        "case": alert["data"]["case"],
        "score": 85.0,  # of two findings
    }


def test_an_alert_names_the_kafka_time_that_triggered_it() -> None:
    raw = encoded(export("e1", rows=6000))
    (store,) = run(job(), [Batch("audit.events", 0, -1, [0], [raw], [START_MS + 300])]).values()
    assert {alert["data"]["trigger_stamp_ms"] for alert in alerts(store)} == {START_MS + 300}


def test_causes_stand_beside_the_alerts_they_caused() -> None:
    batch = Batch("audit.events", 0, -1, [0], [encoded(export("e1", rows=6000))], [START_MS])
    one = job()
    plan = one.plan(batch, Store().position)
    changes = one.apply(plan, Store().load(one, plan))
    assert changes.causes_ms == [START_MS, START_MS]  # "big" and "rows"


def test_no_alert_names_a_customer() -> None:
    log = [view(f"e{n}", object=f"customer {n}") for n in range(5)]
    store = after(log)
    assert fired(store) == [("objects", "e2"), ("busy", "e3")]
    assert not any(b"customer" in message.value for message in store.sent)


def test_a_correlation_fires_once_per_timespan() -> None:
    log = [export(f"e{n}", START_MS + n * 10 * MINUTE_MS, rows=60) for n in range(14)]
    assert [id for rule, id in fired(after(log)) if rule == "rows"] == ["e1", "e7", "e13"]


def test_a_late_event_completes_the_window_it_belongs_to() -> None:
    log = [export("e1", START_MS, rows=60), export("late", START_MS - 59 * MINUTE_MS, rows=60)]
    (alert,) = alerts(after(log))
    assert alert["data"]["evidence"] == ["e1", "late"]
    assert alert["data"]["started_ms"] == START_MS - 59 * MINUTE_MS


def test_a_wrong_clock_of_one_event_does_not_blind_the_group() -> None:
    log = [export("odd", START_MS + 20 * HOUR_MS, rows=1), export("e1", rows=60), export("e2", rows=60)]
    assert fired(after(log)) == [("rows", "e2")]


def test_evidence_is_short_and_holds_the_deciding_event() -> None:
    log = [export(f"e{n}", START_MS + n, rows=4, store=f"s{n}") for n in range(30)]
    (alert,) = alerts(after(log))
    assert alert["data"]["evidence"] == [f"e{n}" for n in range(5, 25)]
    assert alert["data"]["why"] == "ann within 1h: rows of 25 events add up to 100, the limit is 100"


def test_what_the_clock_has_passed_is_forgotten() -> None:
    log = [export("e1", rows=60), view("e2", object="c1"), tick(START_MS + 91 * 24 * HOUR_MS)]
    store = after(log)
    assert (store.records, store.seen, store.timers) == ({}, {}, {})


@pytest.mark.parametrize("cuts", [[], [12]])
def test_a_past_of_long_ago_is_no_yardstick(cuts: list[int]) -> None:
    regular = [export(f"e{n}", START_MS + n, rows=1, store=f"s{n}") for n in range(12)]
    back_ms = START_MS + 91 * 24 * HOUR_MS
    store = after([*regular, export("big", START_MS + 2 * HOUR_MS, rows=4000)], cuts)
    assert [rule for rule, _ in fired(store)] == ["rows", RULE.name]
    store = after([*regular, tick(back_ms), export("big", back_ms, rows=4000)], cuts)
    assert [rule for rule, _ in fired(store)] == ["rows"]


def test_an_event_whose_twins_are_forgotten_is_a_dead_letter() -> None:
    late = export("e1", START_MS - (RETENTION_HOURS + 1) * HOUR_MS, rows=60)
    store = after([tick(START_MS), late])
    assert store.position.counts == {"dead_lettered": 1, "dead_lettered:too_late": 1}
    assert store.sent[0].value == encoded(late)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"type": "audit_export"', "malformed"),
        (b"\xff", "malformed"),
        (b'{"type": "order"}', "unknown_type"),
        (b'{"type": "audit_export", "id": "1", "time": 1, "rows": 1}', "missing_id"),
        (b'{"type": "audit_export", "id": "1", "actor": "a"}', "missing_time"),
        (b'{"type": "audit_export", "id": "1", "actor": "a", "time": 1}', "absurd_time"),
        (b'{"type": "audit_export", "id": "1", "actor": "a", "time": 1, "rows": -1}', "out_of_range"),
        (b'{"type": "tick", "id": "1"}', "missing_time"),
        (b'"' + b"x" * 10_000 + b'"', "too_large"),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_with_its_reason(raw: bytes, reason: str) -> None:
    good = encoded(export("e1"))
    (store,) = run(job(), batches("audit.events", 0, [good, raw, good])).values()
    (letter,) = store.sent
    assert (letter.topic, letter.value, letter.headers["reason"]) == ("dead-letters", raw, reason)
    assert letter.headers["source_offset"] == "1"
    counts = {"applied": 1, "duplicates": 1, "dead_lettered": 1, f"dead_lettered:{reason}": 1}
    assert store.position.counts == counts


def test_unknown_fields_are_counted() -> None:
    raw = json.dumps({"type": "audit_export", "id": "e", "actor": "a", "time": START_MS, "x": 1, "y": 2}).encode()
    (store,) = run(job(), batches("audit.events", 0, [raw])).values()
    assert store.position.counts == {"applied": 1, "unknown_fields": 2}


def test_hours_are_those_of_the_store() -> None:
    text = f"title: Night\n{LOG}\ndetection: {{a: {{hour|lt: 7}}, condition: a}}\n"
    rules, _ = load([("n.yml", text)])
    stores = Stores("Asia/Shanghai", {"far": ("west", "Asia/Urumqi")})
    night = SecurityJob(rules, stores, LIMITS, RETENTION_HOURS)
    at_ms = START_MS - START_MS % (24 * HOUR_MS) + 8 * HOUR_MS - 24 * HOUR_MS  # 16:00 in Shanghai
    log = [view("day", at_ms), view("night", at_ms + 15 * HOUR_MS + 30 * MINUTE_MS, store="far")]
    (store,) = run(night, batches("audit.events", 0, [encoded(event) for event in log])).values()
    assert fired(store) == [("Night", "night")]


@settings(max_examples=100, deadline=None)
@given(logs(), st.lists(st.integers(1, 40), max_size=6))
def test_what_is_remembered_of_actors_does_not_depend_on_the_cuts(log: list[ev.Event], cuts: list[int]) -> None:
    whole, cut = after(log), after(log, cuts)
    assert (lasting(whole), whole.timers) == (lasting(cut), cut.timers)
    assert alerts(whole) == alerts(cut)


def test_findings_of_an_actor_share_a_case_and_those_of_another_do_not() -> None:
    ann = [export("a1", rows=6000), export("a2", START_MS + HOUR_MS, rows=6000)]
    bob = [export("b1", rows=6000, actor="bob")]
    told = [(alert["data"]["actor"], alert["data"]["case"]) for alert in alerts(after(ann + bob, [1]))]
    assert len(set(told)) == 2
    assert len({case for _, case in told}) == 2


BY_KEY = """
title: Busy for one purpose with one key
name: keyed
id: 00000000-0000-4000-8000-00000000000a
correlation:
  {type: event_count, rules: [exports], group-by: [actor, key, purpose], timespan: 1h, condition: {gte: 2}}
"""


def test_no_phone_number_or_key_gets_into_a_finding() -> None:
    rules, refused = load([("rules.yml", RULES), ("keyed.yml", BY_KEY)])
    assert refused == []
    one = SecurityJob(rules, Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS)
    secret = {"key": "sk-live-4711", "purpose": "call 13800138000", "object": "Li Lei"}
    days = [export(f"d{n}", START_MS + n * 24 * HOUR_MS, rows=300) for n in range(8)]
    late_ms = START_MS + 8 * 24 * HOUR_MS
    stolen = [export(f"s{n}", late_ms + n, rows=9_000, **secret) for n in range(3)]
    (store,) = run(one, batches("audit.events", 0, [encoded(event) for event in [*days, *stolen]])).values()
    told = b"".join(message.value for message in store.sent) + b"".join(store.records.values())
    (keyed,) = [alert["data"]["group"] for alert in alerts(store) if alert["data"]["rule"] == "keyed"]
    assert keyed["actor"] == "ann"
    assert len({*keyed.values()}) == 3
    assert b"purpose, for the first time" in told
    for part in (b"4711", b"13800138000", b"Li Lei"):
        assert part not in told
