"""When a label is told, case by case."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from alerts.triggers.merging import Merging
from features import events as e
from features.customer import Label
from features.kernel.arrays import A_WHILE, ABOVE, GAP, KNOWN, LABELLED, SCORED, SPENT, TOLD, UP_TO
from features.labels import ROWS, Examples, Labels, Taught, decode_examples
from features.loop import batches, run
from features.times import DAY_MS
from tests.alerts.triggers.jobs import CATALOG, customers_job, encoded
from tests.features.labelled import (
    JOB,
    LABEL,
    START_MS,
    Stepper,
    by_model,
    examples,
    order,
    tick,
    told,
    told_of,
    undo,
)
from tests.oracle_labels import share_of


def day(days: float) -> int:
    return START_MS + round(days * DAY_MS)


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
    for version, taken in ((6, 1), (5, 1), (4, 1), (3, 1), (2, 0)):
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
        Examples("m", "l", ["a"], [1], [2], [1.0, 0.0], [[1.0]])


def test_no_label_is_known_before_a_day_after_it_was_decided() -> None:
    """Rows of orders and of later moments, each horizon on its own; and of spend, which has one."""
    stepper, rows = Stepper(), []
    for days in (0, 2, 3, 9, 9.5, 30, 41, *np.arange(42, 200, 0.3)):
        event = order(f"{days}", day(days)) if days < 42 else tick(day(days))
        rows.append(stepper.take(event).labelled)
    labelled = np.vstack(rows)
    spent, gaps = labelled[labelled[:, TOLD] == SPENT], labelled[labelled[:, TOLD] == GAP]
    assert len(spent) > 0
    assert (spent[:, KNOWN] >= spent[:, SCORED] + LABEL.spend_ms + DAY_MS).all()
    for place in range(len(LABEL.horizons)):
        horizon_ms = gaps[:, LABELLED + place]
        due = (gaps[:, ABOVE] < horizon_ms) & (horizon_ms <= gaps[:, UP_TO])
        assert due.any()
        assert (gaps[:, KNOWN] >= gaps[:, SCORED] + horizon_ms + DAY_MS)[due].all()
