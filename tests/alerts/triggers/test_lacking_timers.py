"""Rules that wait and have come since customers had their last event: nobody who is silent by then is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.alarms import LACKS
from alerts.triggers.gifts import Then
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.record import forward
from features.times import DAY_MS, HOUR_MS, local_day, midnight_ms, next_day
from tests.alerts.triggers.jobs import customers_job, data_of, encoded
from tests.alerts.triggers.test_waiting_rules import MONDAY_MS

ZONE = "Asia/Shanghai"
KINDS = (e.Order, e.View, e.Profile)
WAITS = (After("view", "2d"), After("order", "1.5 rhythm"), After("profile", "10h", "birthday"), After("order", "3d"))
"""Of these, rules."""


def rule(number: int, after: After) -> Rule:
    return Rule(id=f"r{number}", after=after, when="true", then=Then(coupon="X"), cooldown="0s", quiet="send")


RULES = [rule(number, after) for number, after in enumerate(WAITS)]


def event(number: int, kind: type[e.Event], at_ms: int, customer: str = "c") -> e.Event:
    birthday_ms = midnight_ms(next_day("05-12", local_day(at_ms, ZONE)), ZONE)
    more: dict[str, object] = {"birthday": "05-12", "birthday_ms": birthday_ms} if kind is e.Profile else {}
    more |= {"lines": [e.Line("tea")], "total_cents": 1500} if kind is e.Order else {}
    return kind(id=f"e{number}", customer=customer, at_ms=at_ms, tz=ZONE, **more)  # type: ignore[arg-type]


def tick(at_ms: int) -> e.Event:
    return e.Tick(id=f"t{at_ms}", at_ms=at_ms, source="s", of=1)


def lived(store: Store | None, rules: list[Rule], *events: e.Event) -> Store:
    """What comes of these events, behind those that the store has seen."""
    first = store.position.offset + 1 if store else 0
    log = batches("events", 0, encoded(list(events)), first=first)
    return run(customers_job(rules), log, {0: store or Store()})[0]


def fired(store: Store) -> list[tuple[str, int]]:
    return sorted((told["rule"], told["at_ms"]) for told in data_of(store, "decisions"))


def told(deeds: list[tuple[type[e.Event], int]], number: int, at_ms: int) -> tuple[list[e.Event], int]:
    """Each so many hours after the one before, with a tick behind it; when an hour has passed since the last."""
    log: list[e.Event] = []
    for kind, hours in deeds:
        at_ms += hours * HOUR_MS
        log += [event(number + len(log), kind, at_ms), tick(at_ms)]
    return [*log, tick(at_ms + HOUR_MS)], at_ms + HOUR_MS


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 200)), max_size=12),
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 200)), max_size=4),
)
def test_who_is_looked_at_for_what_they_lack_gets_what_rules_that_were_always_there_give(
    before: list[tuple[type[e.Event], int]], behind: list[tuple[type[e.Event], int]]
) -> None:
    first, switched_ms = told(before, 0, MONDAY_MS)
    second, end_ms = told(behind, 100, switched_ms)
    second.append(tick(end_ms + 2 * 366 * DAY_MS))
    always = lived(lived(None, RULES, *first), RULES, *second)
    late = lived(None, [], *first)
    late.timers[LACKS + "c"] = switched_ms
    late = lived(late, RULES, tick(switched_ms + 1), *second)
    assert fired(late) == [(rule, at_ms) for rule, at_ms in fired(always) if at_ms > switched_ms]


def test_a_birthday_is_known_also_to_a_rule_that_was_off_on_the_day() -> None:
    birthday = [rule(0, WAITS[2])]
    store = lived(None, birthday, event(1, e.Profile, MONDAY_MS), tick(MONDAY_MS))
    store = lived(store, [], tick(MONDAY_MS + 30 * DAY_MS))
    assert fired(store) == []
    store.timers[LACKS + "c"] = MONDAY_MS + 30 * DAY_MS
    store = lived(store, birthday, tick(MONDAY_MS + 31 * DAY_MS), tick(MONDAY_MS + 400 * DAY_MS))
    assert len(fired(store)) == 1


def test_a_wait_that_was_written_otherwise_is_waited_for_from_the_same_event_and_the_former_is_not() -> None:
    store = lived(None, [rule(0, After("order", "14d"))], event(1, e.Order, MONDAY_MS), tick(MONDAY_MS))
    store.timers[LACKS + "c"] = MONDAY_MS
    store = lived(store, [rule(0, After("order", "5d"))], tick(MONDAY_MS + HOUR_MS), tick(MONDAY_MS + 30 * DAY_MS))
    assert fired(store) == [("r0", MONDAY_MS + 5 * DAY_MS)]


def test_a_rule_that_waits_no_more_is_not_asked_by_a_wait_that_runs() -> None:
    waiting = rule(0, After("order", "1d"))
    store = lived(None, [waiting], event(1, e.Order, MONDAY_MS), tick(MONDAY_MS))
    store = lived(store, [replace(waiting, after=None, on=["view"])], tick(MONDAY_MS + 3 * DAY_MS))
    assert fired(store) == []


def test_what_would_have_been_due_before_is_not_made_up_for() -> None:
    store = lived(None, [], event(1, e.Order, MONDAY_MS), tick(MONDAY_MS + 4 * DAY_MS))
    store.timers[LACKS + "c"] = MONDAY_MS + 4 * DAY_MS
    store = lived(store, [rule(0, After("order", "3d"))], tick(MONDAY_MS + 9 * DAY_MS))
    assert fired(store) == []
    assert LACKS + "c" not in store.timers


def test_who_has_become_another_is_not_looked_at() -> None:
    store = lived(None, [], event(1, e.Order, MONDAY_MS), tick(MONDAY_MS))
    store.records["c"] = forward("d")
    store.timers[LACKS + "c"] = MONDAY_MS
    store = lived(store, RULES, tick(MONDAY_MS + DAY_MS))
    assert LACKS + "c" not in store.timers
    assert store.records["c"] == forward("d")


def test_what_has_fired_before_somebody_is_looked_at_does_not_fire_again() -> None:
    waiting = [rule(0, After("order", "3d"))]
    store = lived(None, waiting, event(1, e.Order, MONDAY_MS), tick(MONDAY_MS + 4 * DAY_MS))
    store.timers[LACKS + "c"] = MONDAY_MS + DAY_MS  # put there while the clock went on
    store = lived(store, waiting, tick(MONDAY_MS + 5 * DAY_MS), tick(MONDAY_MS + 9 * DAY_MS))
    assert fired(store) == [("r0", MONDAY_MS + 3 * DAY_MS)]
