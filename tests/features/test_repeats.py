"""Each labelled row is learned from once, however often it is sent and into whatever messages it is cut."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from features.labels import Examples, decode_examples
from features.loop import Store, batches, run
from features.repeats import KEPT_MS
from features.times import DAY_MS
from features.watch import decode_watch
from tests.alerts.triggers.jobs import encoded
from tests.features.labelled import JOB, START_MS, order, tick
from tests.features.streams import cuts
from tests.features.test_learning import example, job, learn, together
from tests.features.test_tried import hour


def taken(store: Store) -> tuple[int, int]:
    """Labels that were learned from, and that were there before."""
    assert decode_watch(store.records["watch|m"]).labels // 10 == store.position.counts["labels"] // 10
    return store.position.counts["labels"], store.position.counts.get("labels_repeated", 0)


def without_counts(store: Store) -> tuple[object, ...]:
    return store.records, store.seen, store.timers, store.sent


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(0, 60), min_size=2, max_size=8), cuts)
def test_rows_that_come_again_in_other_messages_are_learned_from_once(
    count: int, edges: list[int], cut: list[int]
) -> None:
    again = [together(range(*sorted((a % count, b % count + 1)))) for a, b in pairwise(edges)]
    once = learn([example(n) for n in range(count)], job())
    store = learn([*(example(n) for n in range(count)), *again], job(), cut=cut)
    assert without_counts(store) == without_counts(once)
    assert taken(store) == (count, sum(len(decode_examples(value).ids) for value in again))


def test_a_row_that_comes_twice_at_once_and_one_that_comes_after_a_restart_are_repeats() -> None:
    store = learn([example(1), example(1)], job())
    store = learn([example(1), example(2)], job(), deepcopy(store))
    assert taken(store) == (2, 2)


def test_what_a_killed_customers_flow_sends_again_is_dropped_however_it_was_cut() -> None:
    log = encoded([*(order(f"{n}", START_MS, f"c{n}") for n in range(60)), tick(START_MS + 21 * DAY_MS)])
    whole, cut = (run(JOB, batches("events", 0, log, c))[0] for c in ([], [7, 31]))
    told = [decode_examples(m.value) for store in (whole, cut) for m in store.sent if m.key == "churn"]
    values = [msgspec.json.encode(msgspec.structs.replace(one, model="m")) for one in told]
    store = learn(values, job())
    assert taken(store) == (60, 60)


def test_rows_of_two_models_are_no_repeats_of_each_other() -> None:
    log = encoded([order("1", START_MS), tick(START_MS + 21 * DAY_MS)])
    told = [decode_examples(message.value) for message in run(JOB, batches("events", 0, log))[0].sent]
    assert {one.model: one.ids for one in told} == {"churn": told[0].ids, "days": told[0].ids}


def test_ids_are_kept_for_a_week_after_the_last_of_their_day() -> None:
    store = learn([example(1)], job())
    learn([hour(DAY_MS + KEPT_MS - 1), example(1)], job(), store)
    assert taken(store) == (1, 1)
    learn([hour(DAY_MS + KEPT_MS)], job(), store)
    assert (store.seen, store.timers) == ({}, {})
    learn([example(1), hour(2 * KEPT_MS)], job(), store)
    assert store.seen, "what came late is kept as long"


def test_a_row_that_is_refused_may_come_again_mended() -> None:
    wrong = msgspec.json.encode(Examples("m", "l", ["1"], [1], [2], [1.0], [[1.0]]))
    store = learn([wrong, example(1)], job())
    assert taken(store) == (1, 0)
