"""A delivery that is late is said once an order, whatever else the guest has ordered."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features import events as e
from features.loop import Store
from features.times import DAY_MS, MINUTE_MS
from tests.alerts.service.cases import live, minute, tick

END = 200


def promised(order: str, at: int, until: int, id: str = "") -> e.DeliveryPromised:
    fields: Any = {"id": id or f"p{order}{at}", "customer": "a", "store": "s1", "channel": "app", "region": "east"}
    return e.DeliveryPromised(**fields, **minute(at), order=order, promised_time=0, promised_ms=until * MINUTE_MS)


def delivered(order: str, at: int) -> e.DeliveryDelivered:
    return e.DeliveryDelivered(id=f"d{order}{at}", customer="a", **minute(at), order=order)


def late(store: Store) -> list[tuple[str, int]]:
    """(order, minute) of what was said to the clean topic."""
    events = [e.decode_clean(message.value) for message in store.sent if message.topic == "events"]
    assert all(isinstance(event, e.DeliveryLate) for event in events)
    return [(event.order, event.at_ms // MINUTE_MS) for event in events]


def truly_late(log: list[e.Event]) -> set[tuple[str, int]]:
    """The first promise of an order, ten minutes more, and nothing came by then."""
    found = set()
    for order in "xyz":
        promises = [one for one in log if isinstance(one, e.DeliveryPromised) and one.order == order]
        came = [one.at_ms for one in log if isinstance(one, e.DeliveryDelivered) and one.order == order]
        if promises:
            due_ms = min(promises, key=lambda one: (one.at_ms, one.id)).promised_ms + 10 * MINUTE_MS
            if due_ms <= END * MINUTE_MS and not any(at_ms <= due_ms for at_ms in came):
                found.add((order, due_ms // MINUTE_MS))
    return found


orders, minutes = st.sampled_from("xyz"), st.integers(0, 150)
events = st.lists(
    st.one_of(
        st.builds(lambda order, at, wait: promised(order, at, at + wait), orders, minutes, st.integers(0, 60)),
        st.builds(delivered, orders, minutes),
    ),
    max_size=10,
    unique_by=lambda event: event.id,
)


@settings(max_examples=100, deadline=None)
@given(events, st.lists(st.integers(0, END), max_size=5), st.sets(st.integers(1, 12)))
def test_in_order_of_time_exactly_those_that_are_late_are_said(
    log: list[e.Event], ticks: list[int], cuts: set[int]
) -> None:
    whole = sorted([*log, *map(tick, ticks)], key=lambda event: (event.at_ms, isinstance(event, e.Tick)))
    found = late(live([*whole, tick(END)], cuts))
    assert (len(found), set(found)) == (len({order for order, _ in found}), truly_late(log))


@settings(max_examples=100, deadline=None)
@given(events.flatmap(st.permutations), st.lists(st.tuples(st.integers(0, 10), st.integers(0, END)), max_size=4))
def test_in_any_order_and_twice_none_is_missed_and_none_said_twice(
    log: list[e.Event], ticks: list[tuple[int, int]]
) -> None:
    whole = list(log)
    for place, at in ticks:
        whole.insert(place, tick(at))
    found = [order for order, _ in late(live([*whole, *log, tick(END)]))]
    assert len(found) == len(set(found))
    assert set(found) >= {order for order, _ in truly_late(log)}


def test_two_orders_at_once_are_two_and_no_tickets() -> None:
    store = live(
        [promised("x", 0, 40), promised("y", 1, 41), delivered("y", 45), tick(60), delivered("x", 70), tick(99)]
    )
    assert late(store) == [("x", 50)]
    [message] = store.sent
    event = e.decode_clean(message.value)
    assert (message.key, event.customer, event.id, event.store, event.region) == ("a", "a", "late|x", "s1", "east")
    assert store.records.keys() == {"t|delivery:x", "t|delivery:y", "of|a"}


def test_it_is_said_of_whom_the_guest_has_become_and_not_of_who_is_forgotten() -> None:
    merge, forget = e.Merge(id="m", customer="a", into="b", at_ms=0), e.Forget(id="f", customer="a", at_ms=0)
    assert [message.key for message in live([promised("x", 0, 40), merge, tick(60)]).sent] == ["b"]
    store = live([promised("x", 0, 40), forget, tick(60)], [1])
    assert (store.sent, store.records, store.timers) == ([], {}, {})


def test_after_two_days_it_is_gone_and_what_comes_again_then_is_too_late() -> None:
    end = e.Tick(id="t", at_ms=2 * DAY_MS + 40 * MINUTE_MS, source="0", of=1)
    store = live([promised("x", 0, 40), tick(60), end, promised("x", 0, 40)], range(9))
    assert (late(store), store.records, store.timers) == ([("x", 50)], {}, {})
    assert store.position.counts["too_late"] == 1
