"""A partition keeps so much and no more; what goes is what was used longest ago, and it is counted."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.security import roster
from alerts.security.habits import record
from alerts.security.job import SecurityJob
from alerts.security.roster import Bounds
from alerts.security.sigma import load
from alerts.sigma.correlating import is_group
from alerts.sigma.group import decode_group
from features import events as ev
from features.loop import Store, batches, run
from features.stores import Stores
from tests.alerts.security.watched import LIMITS, LOG, MINUTE_MS, START_MS, alerts, encoded, export, tick, view

RULES = f"""
title: Any export
name: exports
{LOG}
detection: {{a: {{action: export}}, condition: a}}
---
title: Three exports
name: three
correlation: {{type: event_count, rules: [exports], group-by: [actor], timespan: 30m, condition: {{gte: 3}}}}
"""
PAGE = 4
Deeds = list[tuple[int, int]]  # minutes from the one before, actor


def after(log: list[ev.Event], most: int, cuts: list[int], actors: int = 0) -> Store:
    rules, refused = load([("rules.yml", RULES)])
    assert refused == []
    job = SecurityJob(rules, Stores("Asia/Shanghai"), LIMITS, 24, bounds=Bounds(most, actors or 3 * most))
    return run(job, batches("audit.events", 0, [encoded(event) for event in log], cuts), {0: Store()})[0]


def exported(deeds: Deeds) -> list[ev.Event]:
    log, now_ms = list[ev.Event](), START_MS
    for n, (minutes, actor) in enumerate(deeds):
        now_ms += minutes * MINUTE_MS
        log += [export(f"e{n}", now_ms, actor=f"actor-{actor}"), tick(now_ms)]
    return log


def kept(store: Store) -> set[str]:
    return {name for name in store.records if is_group(name)}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "PAGE", PAGE)


deeds = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 5, 70]), st.integers(0, 40)), max_size=120)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds, st.sampled_from([8, 16]), st.lists(st.integers(1, 200), max_size=20))
def test_groups_are_counted_right_and_never_too_many(deeds: Deeds, most: int, cuts: list[int]) -> None:
    biggest = max((b - a for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 240], strict=True)), default=240)
    store = after(exported(deeds), most, cuts)
    for roll, bound in Bounds(most, 3 * most).rolls:
        listed = {name for name in store.records if roll.lists(name)}
        assert (roll.record in store.records) == bool(listed)
        if not listed:
            continue
        counted = roster._roster(store.records[roll.record])
        assert counted.live == len(listed)
        assert counted.live <= bound + biggest + PAGE
        pages = {name for name in store.records if name.startswith(f"{roll.record}|")}
        assert pages <= {roll.page_record(n) for n in range(counted.first, counted.last + 1)}
        for name in listed:
            page = store.records[roll.page_record(roll.decode(name, store.records[name]).page)]
            assert name in map(roll.name, roster._page(page))
    assert kept(store) <= store.timers.keys()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds, st.lists(st.integers(1, 200), max_size=20))
def test_where_there_is_room_nothing_is_lost(deeds: Deeds, cuts: list[int]) -> None:
    small, large = after(exported(deeds), 41, cuts, 400), after(exported(deeds), roster.MOST_GROUPS, [], 10**6)
    assert [alert["data"]["evidence"] for alert in alerts(small)] == [a["data"]["evidence"] for a in alerts(large)]
    assert "groups_evicted" not in small.position.counts


def test_who_is_used_stays_and_who_was_used_longest_ago_goes_and_is_counted() -> None:
    crowd = [(0, n) for n in range(1, 41)]
    log = exported([(0, 0), *(deed for each in crowd for deed in (each, (0, 0)))])
    store = after(log, 12, [*range(1, len(log))])
    assert store.position.counts["groups_evicted"] >= 41 - 12 - PAGE
    assert {alert["data"]["actor"] for alert in alerts(store) if alert["data"]["rule"] == "three"} == {"actor-0"}
    groups = {decode_group(store.records[name]).events[-1].id for name in kept(store)}
    assert {f"e{len(log) // 2 - 1}", f"e{len(log) // 2 - 2}"} <= groups


def test_names_that_somebody_tries_leave_no_habits_and_push_out_nobodys() -> None:
    honest = exported([(0, n) for n in range(12)])
    tried = [view(f"d{n}", START_MS + MINUTE_MS, actor=f"random-{n}", result="denied") for n in range(60)]
    store = after([*honest, *tried], 12, [*range(1, len(honest) + 60)], 40)
    assert {name for name in store.records if name.startswith("habit|")} == {record(f"actor-{n}") for n in range(12)}


def test_whom_nobody_has_seen_for_longest_is_forgotten_first_and_counted() -> None:
    log = exported([(0, n) for n in range(30)])
    store = after(log, 50, [*range(1, len(log))], 24)
    habits = {name for name in store.records if name.startswith("habit|")}
    assert store.position.counts["actor_records_evicted"] >= 60 - 24 - PAGE
    assert len(habits) > 24 // 2 - PAGE
    assert habits == {record(f"actor-{n}") for n in range(30 - len(habits), 30)}
