"""Labels tell what had settled when they were given: never too early, never twice, as the slow twin counts them."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from features import events as e
from features.labels import decode_examples
from features.loop import Store, batches, run
from features.times import DAY_MS, HOUR_MS
from tests.alerts.triggers.jobs import HOUSE, encoded
from tests.features.labelled import (
    INPUTS,
    JOB,
    START_MS,
    Stepper,
    by_model,
    examples,
    order,
    tick,
    undo,
)
from tests.oracle import Customer
from tests.oracle_labels import Told, Waiting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


DECLARED = tomllib.loads(HOUSE.path(HOUSE.features).read_text("utf-8"))


def twin() -> Waiting:
    return Waiting({"churn": 20, "days": 20}, {"lapse": 3}, 30)


PASSED_MS = (0, 0, HOUR_MS, 12 * HOUR_MS, DAY_MS, DAY_MS, 5 * DAY_MS, 19 * DAY_MS, 20 * DAY_MS, 31 * DAY_MS)


LATE_MS = (0, 0, 0, HOUR_MS, DAY_MS, DAY_MS + HOUR_MS, 6 * DAY_MS)


Step = tuple[str, int, int, int]


steps = st.tuples(
    st.sampled_from(("order", "order", "order", "void", "refund", "tick", "tick", "again")),
    st.sampled_from(PASSED_MS),
    st.sampled_from(LATE_MS),
    st.integers(0, 5),
)


stories = st.lists(steps, max_size=25)


def told_story(story: list[Step], who: str = "c", now_ms: int = START_MS) -> list[e.Event]:
    """Events and ticks as they come; what is undone is one of the latest orders."""
    log: list[e.Event] = []
    for number, (what, passed_ms, late_ms, back) in enumerate(story):
        now_ms += passed_ms
        orders = [event for event in log if isinstance(event, e.Order)][-6:]
        if what == "tick":
            log.append(tick(now_ms))
        elif what == "order":
            log.append(order(f"{who}{number}", now_ms - late_ms, who))
        elif orders and what == "again":
            log.append(orders[back % len(orders)])
        elif orders:
            log.append(undo(what, number, now_ms, orders[back % len(orders)]))
    return log


def expected(log: list[e.Event]) -> list[Told]:
    known, now_ms, found = twin(), 0, []
    for event in log:
        if isinstance(event, e.Tick):
            now_ms = max(now_ms, event.at_ms)
            found += known.tick(now_ms)
        else:
            known.take(event, now_ms)
    return found


@settings(max_examples=150, deadline=None)
@given(stories, st.lists(st.integers(1, 25), max_size=4))
def test_labels_are_those_of_the_slow_twin_however_the_log_is_cut(story: list[Step], cuts: list[int]) -> None:
    log = told_story(story)
    store = run(JOB, batches("events", 0, encoded(log), cuts)).get(0, Store())
    assert by_model(examples(store)) == by_model(expected(log))


@settings(max_examples=100, deadline=None)
@given(stories)
def test_the_row_of_a_later_moment_is_what_was_known_by_then(story: list[Step]) -> None:
    """Whatever came first of the moment's tick and an event after it; not what has come late since."""
    log = told_story(story)
    store = run(JOB, batches("events", 0, encoded(log), range(1, len(log)))).get(0, Store())
    sent = [decode_examples(message.value) for message in store.sent if message.key == "churn"]
    found = [(at_ms, row) for told in sent for at_ms, row in zip(told.at_ms, told.rows, strict=True)]
    later = [told for told in expected(log) if "churn" in told.labels and not told.of_order]
    fresh = [event for event in dict.fromkeys(map(id_of, log)) if event != "t"]
    events = {id_of(event): event for event in reversed(log)}
    for told in later:
        twin = Customer(DECLARED)
        for event in fresh[: told.place]:
            twin.take(events[event])
        row = [np.float32(twin.features(told.at_ms)[name]) for name in INPUTS]
        assert (told.at_ms, [None if x != x else x for x in row]) in found


def id_of(event: e.Event) -> str:
    return event.id


@settings(max_examples=60, deadline=None)
@given(stories)
def test_a_log_that_comes_again_teaches_nothing_again(story: list[Step]) -> None:
    log = [event for event in told_story(story) if isinstance(event, e.Order | e.Tick)]
    end_ms = max((event.at_ms for event in log), default=START_MS) + 200 * DAY_MS
    store = run(JOB, batches("events", 0, encoded([*log, tick(end_ms)])))[0]
    before = list(store.sent)
    run(JOB, batches("events", 0, encoded([*log, tick(end_ms + 60 * DAY_MS)]), first=len(log) + 1), {0: store})
    assert store.sent == before


@settings(max_examples=60, deadline=None)
@given(stories, st.integers(0, 25), st.integers(0, 1_000))
def test_what_is_known_by_a_time_does_not_depend_on_what_comes_after_it(story: list[Step], cut: int, seed: int) -> None:
    """What comes after a tick is shuffled, with other times and sums: not a byte changes of what was known then."""
    log = told_story(story)
    past, future = log[:cut], log[cut:]
    now_ms = max((event.at_ms for event in past if isinstance(event, e.Tick)), default=0)
    rng = random.Random(seed)
    other = rng.sample(future, len(future))
    for event in other:
        if isinstance(event, e.Order):
            event.total_cents, event.at_ms = rng.randrange(9_000), event.at_ms + rng.randrange(40) * DAY_MS
    told = [
        [message for message in _sent([*past, *after]) if any(known_ms <= now_ms for known_ms in message["known_ms"])]
        for after in (log[cut:], other, [])
    ]
    assert told[0] == told[1] == told[2]


def _sent(log: list[e.Event]) -> list[dict[str, Any]]:
    """A message for each record, so that none mixes what was known then with what was not."""
    store = run(JOB, batches("events", 0, encoded(log), range(1, len(log)))).get(0, Store())
    return [orjson.loads(message.value) for message in store.sent]


@settings(max_examples=100, deadline=None)
@given(stories, stories, stories)
def test_labels_of_merged_customers_are_those_of_the_slow_twin(one: Any, other: Any, then: Any) -> None:
    both = [(Stepper(), twin()), (Stepper(), twin())]
    found, logs = [], [told_story(one, "a"), told_story(other, "b")]
    for (stepper, known), log in zip(both, logs, strict=True):
        found.append(_walk(stepper, known, [_of_c(event) for event in log]))
    (mine, known), (theirs, other_known) = both
    merged = mine.core.merge(mine.raw, theirs.raw, mine.clock.now_ms)
    mine.raw = merged.record.tobytes()
    known.merge(other_known, mine.clock.now_ms)
    end_ms = max([START_MS, *(event.at_ms for log in logs for event in log)])
    after = [_of_c(event) for event in told_story(then, "d", end_ms)]
    found[0] += _walk(mine, known, [*after, tick(end_ms + 100 * DAY_MS), tick(end_ms + 800 * DAY_MS)])
    assert [by_model(stepper.told) for stepper in (mine, theirs)] == [by_model(told) for told in found]


def _of_c(event: e.Event) -> e.Event:
    event.customer = "c"
    return event


def _walk(stepper: Stepper, known: Waiting, log: list[e.Event]) -> list[Told]:
    found = []
    for event in log:
        stepper.take(event)
        if isinstance(event, e.Tick):
            found += known.tick(stepper.clock.now_ms)
        else:
            known.take(event, stepper.clock.now_ms)
    return found
