"""Groups that span actors: whole wherever their events come from, in whatever order, and decided once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.groups import GroupsJob
from alerts.security.job import PULSE, SecurityJob
from alerts.security.matches import Mark, decode_match
from alerts.security.sigma import load
from alerts.security.ways import Ways
from alerts.sigma.reading import Rules
from features import events as ev
from features.job import Message
from features.loop import Store, batches, run
from features.partitions import partition_keys, partition_of
from features.stores import Stores
from tests.alerts.security.watched import (
    EXPORTS_AND_VIEWS,
    HOUR_MS,
    LIMITS,
    LOG,
    MINUTE_MS,
    RETENTION_HOURS,
    START_MS,
    encoded,
    export,
    tick,
    view,
)
from tests.oracle_security import Count, House

RULES = f"""{EXPORTS_AND_VIEWS}title: Rows from one address
name: rows
id: 00000000-0000-4000-8000-000000000004
correlation:
  {{type: value_sum, rules: [exports], group-by: [client_ip], timespan: 1h, condition: {{field: rows, gte: 100}}}}
---
title: Many look at one customer
name: crowd
id: 00000000-0000-4000-8000-000000000005
correlation:
  {{type: value_count, rules: [views], group-by: [object], timespan: 10m, condition: {{field: actor, gte: 3}}}}
---
title: Busy everywhere
name: busy
id: 00000000-0000-4000-8000-000000000006
correlation: {{type: event_count, rules: [views, exports], timespan: 30m, condition: {{gt: 3}}}}
"""
IDS = {name: f"00000000-0000-4000-8000-00000000000{n}" for name, n in [("rows", 4), ("crowd", 5), ("busy", 6)]}
COUNTS = [
    Count(IDS["rows"], "value_sum", HOUR_MS, 100, {"export"}, "rows", ("client_ip",)),
    Count(IDS["busy"], "event_count", 30 * MINUTE_MS, 4, {"view", "export"}, group_by=()),
]
ACTORS = ("ann", "bob", "cas", "dee")
SOURCES, TARGETS = 3, 2
WAYS = Ways(audit_keys=tuple(partition_keys(SOURCES)), matches_keys=tuple(partition_keys(TARGETS)))


def loaded(text: str) -> Rules:
    rules, refused = load([("rules.yml", text)])
    assert refused == []
    return rules


def told(rules: Rules, log: list[ev.Event], live: bool = False, cuts: tuple[int, ...] = ()) -> list[list[Message]]:
    """What each partition of audit.events sends of its part of a log; ticks are in all of them."""
    job = SecurityJob(rules, Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS, WAYS, live)
    parts: list[list[bytes]] = [[] for _ in range(SOURCES)]
    for event in log:
        of_all = isinstance(event, ev.Tick)
        for part in parts if of_all else [parts[partition_of(event.actor, SOURCES)]]:  # type: ignore[attr-defined]
            part.append(encoded(event))
    stores = {n: Store() for n in range(SOURCES)}
    for n, values in enumerate(parts):
        run(job, batches("audit.events", n, values, cuts), stores)
    return [[m for m in store.sent if m.topic == "audit.matches"] for store in stores.values()]


def gathered(rules: Rules, messages: list[Message], cuts: tuple[int, ...] = ()) -> list[Store]:
    """The partitions of `audit.matches` after these, and after what they tell each other."""
    job = GroupsJob(rules, RETENTION_HOURS, WAYS)
    stores = {n: Store() for n in range(TARGETS)}
    while messages:
        before = {n: len(store.sent) for n, store in stores.items()}
        for n, store in stores.items():
            values = [m.value for m in messages if partition_of(m.key, TARGETS) == n]
            run(job, batches("audit.matches", n, values, cuts, store.position.offset + 1), stores)
        messages = [m for n, store in stores.items() for m in store.sent[before[n] :] if m.topic == "audit.matches"]
    return [*stores.values()]


def data(stores: list[Store]) -> list[dict[str, Any]]:
    return [json.loads(m.value)["data"] for store in stores for m in store.sent if m.topic == "alerts"]


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Event]:
    now_ms, log = START_MS, []
    for n in range(draw(st.integers(0, 50))):
        now_ms += draw(st.sampled_from([0, 0, 10, 10, 20, 60])) * MINUTE_MS
        at_ms = now_ms + draw(st.sampled_from([0, 0, 0, -10, -20, -60, -110, 10])) * MINUTE_MS
        common = {"id": f"e{n}", "at_ms": at_ms, "actor": draw(st.sampled_from(ACTORS))}
        common |= {"client_ip": draw(st.sampled_from(["10.0.0.1", "10.0.0.2"]))}
        what = draw(st.sampled_from(["export", "export", "view", "tick"]))
        if what == "tick":
            log.append(tick(now_ms))
        elif what == "export":
            log.append(export(rows=draw(st.sampled_from([0, 20, 45, 60])), **common))
        else:
            log.append(view(object=draw(st.sampled_from(["c1", "c2"])), **common))
    return log


def mixed(choose: st.DataObject, parts: list[list[Message]]) -> list[Message]:
    """What several have sent, in the order of each, as it may have come to a topic."""
    left, found = [list(part) for part in parts], list[Message]()
    while waiting := [part for part in left if part]:
        found.append(waiting[choose.draw(st.integers(0, len(waiting) - 1))].pop(0))
    return found


def as_heard(messages: list[Message], log: list[ev.Event]) -> list[ev.Event]:
    """The events in the order in which their matches came, with a tick where the least of all marks moved."""
    by_id, heard, marks = {event.id: event for event in log}, list[ev.Event](), dict[int, int]()
    for said in (decode_match(message.value) for message in messages):
        if isinstance(said, Mark):
            marks[said.source] = said.at_ms
            heard += [tick(min(marks.values()))] if len(marks) == SOURCES else []
        else:
            heard.append(by_id[said.event])
    return heard


@pytest.mark.parametrize("by", ["store, region", "region", "client_ip"])
@pytest.mark.parametrize("limit", ["gte: 1, lte: 1000", "gte: 2"])
def test_what_was_counted_before_a_rule_was_edited_is_neither_judged_by_it_nor_stops_it(by: str, limit: str) -> None:
    """In groups of one actor and in those that span them; matches of before and windows that are still open."""

    def grouped(by: str) -> Rules:
        asked = f"type: event_count, rules: [views], group-by: [{by}], timespan: 10m, condition: {{{limit}}}"
        many = f"title: Many\nid: 00000000-0000-4000-8000-000000000009\ncorrelation: {{{asked}}}\n"
        return loaded(EXPORTS_AND_VIEWS + many)

    before, after = grouped("store"), grouped(by)
    log = [tick(START_MS), *(view(id=f"e{n}", actor="ann", at_ms=START_MS + n) for n in range(3))]
    later = [tick(START_MS + HOUR_MS)]
    matches = [message.value for part in told(before, [*log, *later]) for message in part]
    assert len(matches) > 3
    edited = run(GroupsJob(after, RETENTION_HOURS, WAYS), batches("audit.matches", 0, matches))[0]
    assert edited.sent == []
    job, stores = GroupsJob(before, RETENTION_HOURS, WAYS), {0: Store()}
    marks = [value for value in matches if isinstance(decode_match(value), Mark)]
    counted = [value for value in matches if not isinstance(decode_match(value), Mark)][:1]
    run(job, batches("audit.matches", 0, counted), stores)
    job.follow(after)
    run(job, batches("audit.matches", 0, marks, first=1), stores)
    assert data([*stores.values()]) == []
    whole = SecurityJob(grouped("actor"), Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS)
    stores = {0: Store()}
    run(whole, batches("audit.events", 0, [encoded(event) for event in log[:2]]), stores)
    whole.follow(grouped(f"actor, {by}"))
    run(whole, batches("audit.events", 0, [encoded(event) for event in later], first=2), stores)
    assert data([*stores.values()]) == []


def of(messages: list[Message], target: int, rule_id: str) -> list[Message]:
    """Those of a partition and rule, and the marks."""
    here = [m for m in messages if partition_of(m.key, TARGETS) == target]
    return [m for m in here if isinstance(said := decode_match(m.value), Mark) or said.rule == rule_id]


def found(stores: list[Store]) -> list[tuple[str, tuple[str, ...], str, float]]:
    return [(d["rule_id"], tuple(d["group"].values()), d["evidence"][-1], d["observed"]) for d in data(stores)]


@settings(max_examples=60, deadline=None)
@given(st.data(), logs(), st.lists(st.integers(1, 40), max_size=4))
def test_groups_equal_a_naive_twin_that_hears_all_partitions(
    choose: st.DataObject, log: list[ev.Event], cuts: list[int]
) -> None:
    rules = loaded(RULES)
    messages = mixed(choose, told(rules, log, cuts=tuple(cuts)))
    stores = gathered(rules, messages, tuple(cuts))
    for target, store in enumerate(stores):
        for count in COUNTS:
            twin = House([count], RETENTION_HOURS)
            twin.judge(as_heard(of(messages, target, count.rule_id), log))
            assert [each for each in found([store]) if each[0] == count.rule_id] == twin.found
    again = gathered(rules, [*messages, *messages], tuple(cuts))
    assert found(again) == found(stores)


def test_many_who_look_at_one_customer_are_a_finding_that_does_not_name_them() -> None:
    rules, log = loaded(RULES), [view(f"e{n}", object="c-4711", actor=actor) for n, actor in enumerate(ACTORS)]
    messages = [message for part in told(rules, log) for message in part]
    assert not any(b"4711" in message.value for message in messages)
    (alert,) = [one for one in data(gathered(rules, messages)) if one["rule"] == "crowd"]
    assert alert["observed"] == 3
    assert set(alert["evidence"]) < {f"e{n}" for n in range(4)}
    assert alert["actor"] == f"object:{alert['group']['object']}"
    assert "4711" not in str(alert)


def test_a_finding_about_several_tells_the_address_that_they_share_and_none_that_is_one_of_theirs() -> None:
    one = [export(f"e{n}", rows=60, actor=actor, client_ip="10.0.0.4", device=actor) for n, actor in enumerate(ACTORS)]
    messages = [message for part in told(loaded(RULES), one) for message in part]
    found = {alert["rule"]: alert for alert in data(gathered(loaded(RULES), messages))}
    assert [found[rule]["client_ip"] for rule in ("rows", "busy")] == ["10.0.0.4", ""]
    assert not any(alert["device"] for alert in found.values())


CHAIN = f"""
{RULES}
---
title: Somebody takes many rows
name: taker
correlation:
  {{type: value_sum, rules: [exports], group-by: [actor], timespan: 1h, condition: {{field: rows, gte: 100}}}}
---
title: Several take many rows at a store
name: ring
correlation:
  {{type: value_count, rules: [taker], group-by: [store], timespan: 1h, condition: {{field: actor, gte: 2}}}}
---
title: Rings at two stores
name: gang
correlation: {{type: value_count, rules: [ring], timespan: 1h, condition: {{field: store, gte: 2}}}}
---
title: Whoever completes a ring
name: last
correlation: {{type: event_count, rules: [ring], group-by: [actor], timespan: 1h, condition: {{gte: 1}}}}
"""


@pytest.mark.parametrize("cuts", [(), (1, 2, 3)])
def test_correlations_of_correlations_find_their_groups_in_other_partitions(cuts: tuple[int, ...]) -> None:
    rules = loaded(CHAIN)
    log: list[ev.Event] = [
        export(f"{store}-{actor}-{n}", START_MS + n * MINUTE_MS, rows=60, store=store, actor=actor)
        for store, actors in (("s1", ("ann", "bob")), ("s2", ("cas", "dee")))
        for actor in actors
        for n in range(2)
    ]
    stores = gathered(rules, [message for part in told(rules, log, cuts=cuts) for message in part], cuts)
    stores_of = {"ann": "s1", "bob": "s1", "cas": "s2", "dee": "s2", "everybody": ""}  # whoever was heard last
    whom = [(alert["rule"], stores_of.get(alert["actor"]), alert["observed"]) for alert in data(stores)]
    wanted = [("gang", "", 2), ("last", "s1", 1), ("last", "s2", 1)]
    assert sorted(each for each in whom if each[0] in ("ring", "gang", "last")) == wanted
    silent = RULES + CHAIN.removeprefix(f"\n{RULES}").partition("---\ntitle: Rings")[0]
    heard = gathered(loaded(silent), [m for part in told(loaded(silent), log) for m in part])
    rings = [(alert["actor"], alert["store"]) for alert in data(heard) if alert["rule"] == "ring"]
    assert sorted(rings) == [("store:s1", "s1"), ("store:s2", "s2")]


FEW = f"""
title: Any view
name: views
{LOG}
detection: {{a: {{action: view}}, condition: a}}
---
title: Hardly anybody at work
name: few
correlation: {{type: event_count, rules: [views], timespan: 1h, condition: {{lt: 3}}}}
"""


def test_the_end_of_a_window_waits_for_the_partition_that_is_furthest_behind() -> None:
    rules, late = loaded(FEW), START_MS + 2 * HOUR_MS
    log: list[ev.Event] = [view("e1", actor="ann"), view("e2", START_MS + MINUTE_MS, actor="dee"), tick(late)]
    parts = told(rules, log)
    behind = next(n for n, part in enumerate(parts) if len(part) > TARGETS)
    ahead = [message for n, part in enumerate(parts) if n != behind for message in part]
    assert data(gathered(rules, ahead)) == []
    (alert,) = data(gathered(rules, [*ahead, *parts[behind]]))
    assert (alert["rule"], alert["observed"], alert["evidence"][-1]) == ("few", 2, "e2")


def test_a_match_of_a_rule_that_was_taken_away_is_counted_and_nothing_else() -> None:
    messages = [message for part in told(loaded(RULES), [view("e1"), view("e2")]) for message in part]
    stores = gathered(loaded(FEW), [*messages, Message("audit.matches", "x", b"{")])
    counts = [dict(store.position.counts) for store in stores]
    assert sum(each.get("without_rule", 0) for each in counts) == len(messages)
    assert sum(each.get("dead_lettered:malformed", 0) for each in counts) == 1


def test_a_partition_that_hears_an_event_wakes_the_others_and_no_echo_follows() -> None:
    rules = loaded(RULES)
    job = SecurityJob(rules, Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS, WAYS, stamps_tick=True)
    (batch,) = batches("audit.events", 0, [encoded(view("e1"))])
    batch.stamps_ms = [START_MS]
    (store,) = run(job, [batch]).values()
    pulses = [message for message in store.sent if message.topic == "audit.events" and PULSE.encode() in message.value]
    assert [partition_of(message.key, SOURCES) for message in pulses] == [0, 1, 2]
    (echo,) = batches("audit.events", 1, [pulses[1].value])
    echo.stamps_ms = [START_MS + 5]
    (other,) = run(job, [echo]).values()
    assert other.position.clock.now_ms == START_MS + 5
    assert [decode_match(m.value) for m in other.sent] == [Mark(1, SOURCES, START_MS + 5)] * TARGETS


def test_without_groups_that_span_actors_nothing_is_told() -> None:
    text = RULES[: RULES.index("---\ntitle: Rows from")]
    assert told(loaded(text), [view("e1"), tick(START_MS + HOUR_MS)]) == [[], [], []]
