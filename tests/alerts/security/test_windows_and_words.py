"""Windows that are judged as a whole, and what the job tells accounts and devices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.security.job import SecurityJob
from alerts.security.sigma import load
from alerts.security.told import BARRED
from features import events as ev
from features.loop import batches, run
from features.stores import Stores
from tests.alerts.security.watched import (
    HOUR_MS,
    LIMITS,
    LOADED,
    MINUTE_MS,
    RETENTION_HOURS,
    RULES,
    START_MS,
    after,
    alerts,
    encoded,
    export,
    fired,
    tick,
    told,
    view,
)


def change(id: str, **more: Any) -> ev.AuditAccess:
    common = {"time": START_MS, "at_ms": START_MS, "actor": "admin", "account": "ben"}
    return ev.AuditAccess(id=id, action="permission_change", **common, **more)


def test_whose_account_is_changed_is_told_so_on_the_topic_that_is_read() -> None:
    store = after([change("p1"), change("p1")])
    (message,) = [message for message in store.sent if message.topic == "audit.events"]
    (event,) = told(store)
    assert (message.key, event.actor, event.by, event.action) == ("ben", "ben", "admin", "permission_received")
    assert told(after([change("p1")]))[0].id == event.id
    assert told(after([change("p2", result="denied")])) == []


def test_a_device_is_told_once_a_day_who_has_used_it() -> None:
    day_ms = 24 * HOUR_MS
    log = [view(f"e{n}", START_MS + n * 6 * HOUR_MS, device="pc-1") for n in range(8)]
    store = after(log, [3])
    days = [event.time // day_ms for event in told(store)]
    assert {event.actor for event in told(store)} == {"device:pc-1"}
    assert days == sorted(set(days))
    assert len(days) in (2, 3)


def test_what_it_is_told_is_no_event_of_others_and_no_habit() -> None:
    log: list[ev.Event] = [view("e1", device="pc-1")]
    told_too = told(after(log))
    store = after([*log, *told_too, *told_too])
    counts = store.position.counts
    assert (counts["applied"], counts["own"], "duplicates" in counts) == (1, 1, False)
    assert "habit|device:pc-1" not in store.records
    assert told(store) == told_too


FEW = """
title: Few views
name: few
id: 00000000-0000-4000-8000-000000000007
correlation: {type: event_count, rules: [views], group-by: [actor], timespan: 1h, condition: {lt: 3}}
"""


DAY_MS = 24 * HOUR_MS
deeds = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(["used", "denied", "account_disabled", "account_enabled"])), max_size=9
)


def word(kind: str, day: int) -> ev.Event:
    at_ms = START_MS + day * DAY_MS
    if kind.startswith("account"):
        common = {"id": f"w{day}", "time": at_ms, "at_ms": at_ms, "actor": "ann", "by": "admin"}
        return ev.AuditTold(action=kind, **common)
    return view(f"v{day}", at_ms, result="denied" if kind == "denied" else "ok")


def barred(log: list[ev.Event], cuts: list[int] | None = None) -> list[int]:
    return [(int(each.time) - START_MS) // DAY_MS for each in told(after(log, cuts)) if each.action == BARRED]


@given(deeds, st.lists(st.integers(1, 8), max_size=3))
def test_a_disabled_account_that_is_used_within_a_week_is_told_until_it_is_enabled(
    script: list[tuple[int, str]], cuts: list[int]
) -> None:
    day, log, bar, wanted = 0, list[ev.Event](), -99, list[int]()
    for days, kind in script:
        day += days
        log.append(word(kind, day))
        bar = {"account_disabled": day, "account_enabled": -99}.get(kind, bar)
        wanted += [day] if kind == "used" and day < bar + 7 else []
    assert barred(log, cuts) == wanted


def test_it_does_not_matter_whether_the_use_or_the_word_that_the_account_is_disabled_is_read_first() -> None:
    assert barred([word("used", 2), word("account_disabled", 1)]) == [2]
    assert barred([word("denied", 2), word("account_disabled", 1)]) == []
    assert barred([word("used", 1), word("account_disabled", 2)]) == []
    assert barred([word("account_enabled", 2), word("account_disabled", 1), word("used", 3)]) == []


def few() -> SecurityJob:
    rules, refused = load([("rules.yml", RULES), ("few.yml", FEW)])
    assert refused == []
    return SecurityJob(rules, Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS)


@pytest.mark.parametrize("cuts", [[], [1], [2, 3], [1, 2, 3, 4]])
def test_a_window_that_is_judged_as_a_whole_fires_when_the_clock_has_passed_it(cuts: list[int]) -> None:
    log = [view("e1"), view("e2", START_MS + 50 * MINUTE_MS), tick(START_MS + 59 * MINUTE_MS), tick(START_MS + HOUR_MS)]
    values = [encoded(event) for event in [*log, tick(START_MS + 9 * HOUR_MS)]]
    (store,) = run(few(), batches("audit.events", 0, values, cuts)).values()
    (alert,) = alerts(store)
    assert (alert["data"]["rule"], alert["data"]["evidence"]) == ("few", ["e1", "e2"])
    assert alert["data"]["why"] == "ann within 1h: 2 events, the limits are lt 3"
    assert alert["data"]["event_at_ms"] == START_MS + 50 * MINUTE_MS
    assert alert["data"]["case"]
    assert alert["data"]["score"] == 25.0
    assert store.records.keys() == {"habit|ann", "case|ann", "actors", "actors|1"}


@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [1, 2, 3]])
def test_the_end_of_a_window_joins_the_case_of_whom_it_is_about_and_adds_to_their_risk(cuts: list[int]) -> None:
    log = [
        export("big", rows=6000),
        view("e1", START_MS + MINUTE_MS),
        view("b1", START_MS + 2 * MINUTE_MS, actor="bob"),
    ]
    values = [encoded(event) for event in [*log, tick(START_MS + 2 * HOUR_MS)]]
    (store,) = run(few(), batches("audit.events", 0, values, cuts)).values()
    told = {(a["data"]["rule"], a["data"]["actor"]): a["data"] for a in alerts(store)}
    assert len(told) == 4
    assert told["few", "ann"]["case"] == told["big", "ann"]["case"] != told["few", "bob"]["case"]
    assert told["few", "ann"]["score"] == pytest.approx(told["big", "ann"]["score"] + 25, abs=0.5)
    assert told["few", "bob"]["score"] == 25.0


CHAINED = """
title: Few views of many
name: chain
correlation: {type: event_count, rules: [few], group-by: [actor], timespan: 1d, condition: {gte: 5}}
"""


def test_the_end_of_a_window_that_another_rule_is_to_count_is_no_finding() -> None:
    rules, refused = load([("rules.yml", RULES), ("few.yml", FEW), ("chain.yml", CHAINED)])
    assert [rule.file for rule in refused] == ["chain.yml"]  # and yet `few` is not to alert by itself
    one = SecurityJob(rules, Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS)
    log = [view("e1"), tick(START_MS + 2 * HOUR_MS)]
    (store,) = run(one, batches("audit.events", 0, [encoded(event) for event in log])).values()
    assert alerts(store) == []


@pytest.mark.parametrize("cuts", [[], [3]])
def test_an_event_behind_a_window_that_was_judged_is_late_and_counted(cuts: list[int]) -> None:
    log = [view("e1"), tick(START_MS + HOUR_MS), view("e2", START_MS - MINUTE_MS), view("e3", START_MS + 1)]
    (store,) = run(few(), batches("audit.events", 0, [encoded(event) for event in log], cuts)).values()
    assert store.position.counts["group_events_late"] == 2


def test_new_rules_count_from_the_next_batch_on_and_groups_go_on() -> None:
    one = few()
    stores = run(one, batches("audit.events", 0, [encoded(view("e1", object="c1")), encoded(view("e2", object="c2"))]))
    one.follow(LOADED)
    run(
        one,
        batches("audit.events", 0, [encoded(view("e3", object="c3")), encoded(tick(START_MS + HOUR_MS))], first=2),
        stores,
    )
    assert fired(stores[0]) == [("objects", "e3")]
