"""Labels tell what had settled when they were given: never too early, never twice, as the slow twin counts them."""

from __future__ import annotations

import random
import sys
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.merging import Merging
from features import events as e
from features.customer import Core, Label
from features.job import Batch, Clock
from features.kernel.arrays import A_WHILE, KNOWN, RHYTHM, SCORED
from features.labels import ROWS, Examples, Labels, Taught, decode_examples
from features.loop import Store, batches, run
from features.times import DAY_MS, HOUR_MS, local_day, parse_time
from tests.alerts.triggers.jobs import CATALOG, HOUSE, customers_job, encoded
from tests.oracle import Customer
from tests.oracle_labels import Told, Waiting, share_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

START_MS = parse_time("2026-05-04T12:00:00Z")
INPUTS = ["orders_lifetime", "rhythm_days", "spend_cents_90d"]
LABEL = Label([CATALOG.index(name) for name in INPUTS], [(3000, RHYTHM), (20 * DAY_MS, A_WHILE)], 30 * DAY_MS)
LABELS = Labels(
    LABEL,
    {
        "churn": Taught("l", "churn", [0, 1, 2], 1),
        "lapse": Taught("l", "churn", [1, 0], 0),
        "days": Taught("l", "next_order_days", [2], 1),
        "spend": Taught("l", "spend_ahead", [0, 1, 2], -1),
    },
)
JOB = customers_job([], labels=LABELS)
DECLARED = tomllib.loads(HOUSE.path(HOUSE.features).read_text("utf-8"))


def twin() -> Waiting:
    return Waiting({"churn": 20, "days": 20}, {"lapse": 3}, 30)


# What happens, one step after the other: (what, how much time has passed, how late it comes, of which order)

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


def tick(at_ms: int) -> e.Tick:
    return e.Tick(id="t", at_ms=at_ms, source="pos/0", of=1)


def order(id: str, at_ms: int, who: str = "c") -> e.Order:
    common = {"customer": who, "at_ms": at_ms, "day": local_day(at_ms, "UTC"), "tz": "UTC"}
    return e.Order(id=id, **common, lines=[e.Line("tea")], total_cents=700 + len(id) * 100 + at_ms % 97)


def undo(what: str, number: int, at_ms: int, undone: e.Order) -> e.Event:
    """An order is voided once; a refund is one of many."""
    common = {"customer": undone.customer, "at_ms": at_ms, "day": local_day(at_ms, "UTC"), "tz": "UTC"}
    common |= {"order": undone.id, "ordered_time": 0, "ordered_ms": undone.at_ms, "ordered_day": undone.day}
    if what == "void":
        return e.Void(id=f"v{undone.id}", **common, amount_cents=undone.total_cents, items=1)
    return e.Refund(id=f"r{number}", **common, amount_cents=150)


def examples(store: Store) -> list[Told]:
    """Label by label, in order of sending."""
    found = []
    for message in store.sent:
        told = decode_examples(message.value)
        assert message.key == told.model
        each = zip(told.at_ms, told.known_ms, told.labels, strict=True)
        found += [Told(at_ms, known_ms, {told.model: label}) for at_ms, known_ms, label in each]
    return found


def by_model(told: list[Told]) -> list[tuple[str, int, int, float]]:
    return sorted((model, t.at_ms, t.known_ms, label) for t in told for model, label in t.labels.items())


def expected(log: list[e.Event]) -> list[Told]:
    known, now_ms, found = twin(), 0, []
    for event in log:
        if isinstance(event, e.Tick):
            now_ms = max(now_ms, event.at_ms)
            found += known.tick(now_ms)
        else:
            known.take(event, now_ms)
    return found


@settings(max_examples=300, deadline=None)
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


# Merged customers, whose records become one


class Stepper:
    """A core and one record after the other, without a job."""

    def __init__(self) -> None:
        self.core, self.raw, self.clock, self.told = Core(CATALOG, label=LABEL), b"", Clock(), list[Told]()

    def take(self, *log: e.Event) -> None:
        batch = Batch("events", 0, -1, [*range(len(log))], encoded(list(log)), [0] * len(log))
        columns = self.core.columns(batch, self.clock)
        idle = [] if columns.customers else ["c"]
        applied = self.core.apply(columns, idle, dict.fromkeys([*columns.customers, *idle], self.raw))
        self.raw, self.clock = applied.records["c"], columns.clock
        for model, message in LABELS.messages(applied):
            told = orjson.loads(message)
            each = zip(told["at_ms"], told["known_ms"], told["labels"], strict=True)
            self.told += [Told(at_ms, known_ms, {model: label}) for at_ms, known_ms, label in each]


@settings(max_examples=200, deadline=None)
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


# In plain examples: day by day from the start


def day(days: float) -> int:
    return START_MS + round(days * DAY_MS)


Plain = list[tuple[str, float, float, float]]


def told(*log: e.Event) -> Plain:
    """Of rows of orders (model, scored, known, label), with times in days from the start."""
    return told_of(log, later=False)


def told_of(log: tuple[e.Event, ...], later: bool) -> Plain:
    store = run(JOB, batches("events", 0, encoded(list(log)))).get(0, Store())
    ordered = {event.at_ms for event in log if isinstance(event, e.Order)}
    return [
        (model, (t.at_ms - START_MS) / DAY_MS, (t.known_ms - START_MS) / DAY_MS, label)
        for t in examples(store)
        for model, label in t.labels.items()
        if later == (t.at_ms not in ordered)
    ]


def order_for(days: float, after: float = 0.0) -> tuple[e.Order, float]:
    """An order whose later moment lies about so many days after it, of at most 30; and where that is."""
    found = (order(f"o{n}", day(after)) for n in range(10_000))
    one = min(islice(found, 500), key=lambda o: abs(share_of(o.id) * 30 / 2**21 - days))
    moment_ms = one.at_ms + 1 + 30 * DAY_MS * share_of(one.id) // 2**21
    return one, (moment_ms - START_MS) / DAY_MS


def test_a_later_moment_waits_for_an_order_after_it_and_is_told_when_its_own_horizon_has_passed() -> None:
    first, moment = order_for(days=3)
    log = (first, order("2", day(9)), tick(day(moment + 20.99)))
    assert told_of(log, later=True) == []
    assert told_of((*log, tick(day(moment + 21))), later=True) == [
        ("churn", moment, moment + 21, 0.0), ("days", moment, moment + 21, pytest.approx(9 - moment)),
    ]  # fmt: skip


def test_whoever_stays_silent_after_a_later_moment_is_told_at_the_same_time() -> None:
    first, moment = order_for(days=3)
    assert told_of((first, tick(day(moment + 20.99))), later=True) == []
    assert told_of((first, tick(day(moment + 21))), later=True) == [
        ("churn", moment, moment + 21, 1.0), ("days", moment, moment + 21, 20.0),
    ]  # fmt: skip


def test_an_order_before_a_later_moment_chooses_another_one() -> None:
    first, _ = order_for(days=6)
    second, moment = order_for(days=2, after=5)
    found = told_of((first, second, tick(day(moment)), order("3", day(12)), tick(day(40))), later=True)
    assert [(scored, label) for model, scored, _, label in found if model == "churn"][:1] == [(moment, 0.0)]


def test_a_later_moment_of_an_order_that_came_too_late_for_it_is_none() -> None:
    first, _ = order_for(days=3)
    assert told_of((tick(day(4)), first, tick(day(99))), later=True) == []


def test_a_void_of_the_order_before_a_later_moment_lets_it_go() -> None:
    first, _ = order_for(days=3)
    assert told_of((first, tick(day(4)), undo("void", 0, day(5), first), tick(day(99))), later=True) == []


def test_a_later_moment_sees_the_silence_up_to_it_and_nothing_of_the_order_that_ended_it() -> None:
    silence = Label([CATALOG.index(name) for name in ("days_since_order", "orders_lifetime")], [(20 * DAY_MS, A_WHILE)])
    job = customers_job([], labels=Labels(silence, {"churn": Taught("l", "churn", [0, 1], 0)}))
    first, moment = order_for(days=3)
    store = run(job, batches("events", 0, encoded([first, order("2", day(3.5)), tick(day(60))])))[0]
    sent = [decode_examples(message.value) for message in store.sent]
    rows = {at_ms: row for told in sent for at_ms, row in zip(told.at_ms, told.rows, strict=True)}
    assert rows[day(moment)] == [np.float32(moment), 1]


def test_who_came_back_is_told_when_silence_would_be_and_not_before() -> None:
    """Else models would hear of returns at once, and of who stayed away two months later."""
    assert told(order("1", day(0)), order("2", day(5)), tick(day(20.99))) == []
    assert told(order("1", day(0)), order("2", day(5)), tick(day(21))) == [("churn", 0, 21, 0.0), ("days", 0, 21, 5.0)]


def test_silence_is_a_label_a_day_after_the_horizon() -> None:
    assert told(order("1", day(0)), tick(day(20.99))) == []
    assert told(order("1", day(0)), tick(day(21))) == [("churn", 0, 21, 1.0), ("days", 0, 21, 20.0)]


def test_a_void_of_the_order_that_ended_the_wait_opens_it_again() -> None:
    ended = order("2", day(5))
    log = [order("1", day(0)), ended, undo("void", 0, day(5.5), ended)]
    assert told(*log, tick(day(20.9))) == []
    assert told(*log, tick(day(21))) == [("churn", 0, 21, 1.0), ("days", 0, 21, 20.0)]
    assert told(*log, order("3", day(9)), tick(day(21)))[1] == ("days", 0, 21, 9.0)


def test_a_late_order_turns_the_label_back_until_it_was_told() -> None:
    late = order("2", day(19.5))
    assert told(order("1", day(0)), tick(day(20.9)), late, tick(day(21)))[0] == ("churn", 0, 21, 0.0)
    assert told(order("1", day(0)), tick(day(21)), late, tick(day(50)))[0] == ("churn", 0, 21, 1.0)


def test_a_row_whose_own_order_was_voided_teaches_nothing() -> None:
    first = order("1", day(0))
    assert told(first, undo("void", 0, day(1), first), tick(day(60))) == []


def test_a_new_order_does_not_take_the_place_of_one_that_waits() -> None:
    log = (order("1", day(0)), order("2", day(5)), order("3", day(20.5)), tick(day(21)), order("4", day(21.5)))
    found = told(*log, tick(day(60)))
    assert [(model, scored) for model, scored, _, _ in found if model == "churn"] == [("churn", 0), ("churn", 21.5)]


def test_a_horizon_by_the_rhythm_is_another_one_for_everybody_and_none_without_one() -> None:
    log = [order("1", day(0)), tick(day(21)), order("2", day(24)), tick(day(99)), order("3", day(100)), tick(day(300))]
    lapses = [(scored, known, label) for model, scored, known, label in told(*log) if model == "lapse"]
    assert lapses == [(24, 97, 1.0), (100, 251, 1.0)], "three times 24 days, then 50; the first had none"


def test_what_is_spent_ahead_counts_orders_less_what_was_given_back() -> None:
    second, third = order("2", day(5)), order("3", day(29))
    refund = undo("refund", 9, day(30.5), third)
    log = [order("1", day(0)), second, third, order("4", day(30)), refund, tick(day(31))]
    (spend,) = (label for model, _, known, label in told(*log) if model == "spend" and known == 31)
    assert spend == second.total_cents + third.total_cents - 150
    assert not [label for model, *_, label in told(*log[:-1], tick(day(30.99))) if model == "spend"]


def test_the_row_is_the_one_of_its_own_order_as_float32() -> None:
    store = run(JOB, batches("events", 0, encoded([order("1", day(0)), order("2", day(5)), tick(day(31))])))[0]
    rows = {t.model: t.rows[0] for t in (decode_examples(message.value) for message in store.sent)}
    assert rows["churn"] == rows["spend"] == [1, None, order("1", day(0)).total_cents], "one order has no rhythm"
    store = run(
        JOB, batches("events", 0, encoded([order("1", day(0)), tick(day(50)), order("2", day(50.1)), tick(day(299))]))
    )[0]
    sent = [decode_examples(message.value) for message in store.sent if message.key == "churn"]
    [rhythm] = [row[1] for told in sent for at_ms, row in zip(told.at_ms, told.rows, strict=True) if at_ms == day(50.1)]
    assert rhythm == np.float32(50.1)
    assert rhythm != 50.1


def test_merged_customers_teach_under_the_one_they_became() -> None:
    """What waited in the record that was merged away goes on in the other's."""
    job = Merging(JOB, "events")
    record = run(JOB, batches("events", 0, encoded([order("1", day(0), "cb")])))[0].records["cb"]
    history = e.History(id="h", customer="ca", at_ms=day(1), of="cb", offset=1, layout=job.layout, record=record)
    store = run(job, batches("events", 0, encoded([tick(day(1)), history, order("2", day(8), "ca"), tick(day(29))])))[0]
    told = by_model(examples(store))
    of_order = [one for one in told if one[1] == day(0)]
    assert of_order == [("churn", day(0), day(21), 0.0), ("days", day(0), day(21), 8.0)]
    [(_, later_ms, *_), _] = [one for one in told if one[1] != day(0)]
    assert later_ms == day(0) + 1 + 30 * DAY_MS * share_of("1") // 2**21, "so does what waited for a later moment"


def test_a_history_that_the_version_before_has_sent_is_taken_in() -> None:
    job = Merging(JOB, "events")
    record = run(JOB, batches("events", 0, encoded([order("1", day(0), "cb")])))[0].records["cb"]
    for version, taken in ((5, 1), (4, 1), (3, 1), (2, 0)):
        layout = f"{version}.{CATALOG.layout.id:08x}"
        history = e.History(id="h", customer="ca", at_ms=day(1), of="cb", offset=1, layout=layout, record=record)
        store = run(job, batches("events", 0, encoded([history])))[0]
        assert store.position.counts.get("taken_in", 0) == taken


def test_many_labels_go_in_messages_of_some_rows() -> None:
    log = [order(f"{n}", day(0), f"c{n}") for n in range(ROWS + 3)]
    store = run(JOB, batches("events", 0, encoded([*log, tick(day(21))])))[0]
    assert Counter((m.key, len(decode_examples(m.value).rows)) for m in store.sent) == {
        ("churn", ROWS): 1, ("churn", 3): 1, ("days", ROWS): 1, ("days", 3): 1,
    }  # fmt: skip


def test_examples_whose_parts_differ_in_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Examples("m", "l", [1], [2], [1.0, 0.0], [[1.0]])


def test_no_label_is_known_before_a_day_after_it_was_decided() -> None:
    stepper = Stepper()
    stepper.take(order("1", day(0)), order("2", day(2)))
    stepper.take(tick(day(200)))
    applied = stepper.core.apply(
        stepper.core.columns(Batch("events", 0, -1, [], [], []), stepper.clock), ["c"], {"c": stepper.raw}
    )
    assert len(applied.labelled) == 0
    assert SCORED < KNOWN
