"""What rules, policy and models have noted of two customers goes on with the one they become."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from alerts.triggers.gifts import Then
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Policy
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.times import DAY_MS, parse_time
from features.trials import START
from tests.alerts.triggers.jobs import customers_job, data_of, encoded, told_anyhow
from tests.alerts.triggers.test_batch_cuts import CUSTOMERS, GRANTS
from tests.alerts.triggers.test_batch_cuts import JOB as RULED
from tests.features.streams import cuts, logs, with_ticks
from tests.world import PARTITIONS, World

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
BACK = Rule(id="back", after=After("order", "5d"), when="orders_lifetime >= 1", then=Then("w"), cooldown="0s")
OPENED = Rule(id="opened", on=["app_open"], when="orders_lifetime >= 0", then=Then("o"), cooldown="3d")
RULES = [BACK, OPENED]
LAYOUT = Merging(RULED, "events").layout
POLICY = Policy(cap=2, cap_window_ms=30 * DAY_MS, holdout=0.0, holdout_salt="", consent="")


def world(horizon_ms: int = 50 * DAY_MS) -> World:
    return World(Merging(customers_job(RULES, POLICY, horizon_ms), "events"))


def order(customer: str, day: float, id: str = "") -> e.Order:
    at_ms = NOON_MS + round(day * DAY_MS)
    id = id or f"{customer}{day}"
    return e.Order(id=id, customer=customer, at_ms=at_ms, tz="Asia/Shanghai", lines=[e.Line("tea")], total_cents=1)


def opened(customer: str, day: float) -> e.AppOpen:
    return e.AppOpen(id=f"{customer}{day}", customer=customer, at_ms=NOON_MS + round(day * DAY_MS), tz="UTC")


def tick(world: World, day: float) -> None:
    world.tell(e.Tick(id="t", at_ms=NOON_MS + round(day * DAY_MS), source="pos/0", of=1))
    world.settle()


def told(world: World, topic: str) -> list[tuple[str, float, str]]:
    """(customer, day, outcome) of decisions or coupons."""
    data = [one for store in world.stores.values() for one in data_of(store, topic)]
    return sorted((one["customer"], (one["at_ms"] - NOON_MS) / DAY_MS, one["outcome"]) for one in data)


def examples(world: World) -> list[tuple[float, float, float]]:
    """(scored, known, label) by day, of rows of orders: these are on whole days."""
    sent = [m.value for store in world.stores.values() for m in store.sent if m.topic == "examples"]
    found = [orjson.loads(value) for value in sent if not value.startswith(START)]
    rows = [row for one in found for row in zip(one["at_ms"], one["known_ms"], one["labels"], strict=True)]
    of_orders = [row for row in rows if row[0] % DAY_MS == NOON_MS % DAY_MS]
    return sorted(((at - NOON_MS) / DAY_MS, (known - NOON_MS) / DAY_MS, label) for at, known, label in of_orders)


def merged(first: list[e.Event], then: list[e.Event], ticks: list[float], horizon_ms: int = 50 * DAY_MS) -> World:
    """`first`, a merge of ca and cb, `then`, and the clock moving."""
    story = world(horizon_ms)
    for event in first:
        story.tell(event)
    story.settle()
    story.merge("ca", "cb", NOON_MS)
    story.settle()
    for event in then:
        story.tell(event)
    story.settle()
    for day in ticks:
        tick(story, day)
    return story


def test_a_merge_itself_fires_nothing() -> None:
    assert told(merged([order("ca", 0), order("cb", 1)], [], [0.5]), "decisions") == []


def test_a_timer_goes_on_with_the_one_they_become() -> None:
    assert told(merged([order("cb", 0)], [], [4.9, 5, 9]), "coupons") == [("ca", 5, "issued")]


def test_of_two_timers_of_a_rule_that_of_the_latest_event_counts() -> None:
    for first, second in (("ca", "cb"), ("cb", "ca")):
        assert told(merged([order(first, 0), order(second, 2)], [], [5, 6.9, 7, 20]), "coupons") == [
            ("ca", 7, "issued")
        ]


def test_a_timer_that_has_fired_for_a_later_event_is_not_followed_by_an_earlier_one() -> None:
    """As it were, had all been one customer from the beginning: the later order had put the timer off."""
    story = world()
    story.tell(order("ca", 3))
    tick(story, 8)
    assert told(story, "coupons") == [("ca", 8, "issued")]
    story.tell(order("cb", 2.5))
    story.merge("ca", "cb", NOON_MS)
    story.settle()
    tick(story, 30)
    assert told(story, "coupons") == [("ca", 8, "issued")]


def test_a_timer_that_is_due_when_it_comes_fires_when_the_clock_moves_next_and_not_before() -> None:
    job = customers_job(RULES, POLICY)
    record = run(job, batches("events", 0, encoded([order("cb", 0)])))[0].records["cb"]
    clock = [e.Tick(id="t", at_ms=NOON_MS + round(day * DAY_MS), source="pos/0", of=1) for day in (7, 7.5)]
    history = e.History(id="h", customer="ca", at_ms=NOON_MS, of="cb", offset=1, layout=LAYOUT, record=record)
    cart = e.CartAdd(id="k", customer="ca", at_ms=NOON_MS, sku="s", tz="UTC")
    log = encoded([clock[0], history, cart, clock[1]])
    for length, fired in ((3, 0), (4, 1)):
        for where in ([], [1, 2, 3]):
            store = run(Merging(job, "events"), batches("events", 0, log[:length], where))[0]
            assert len(data_of(store, "coupons")) == fired


def test_cooldowns_and_coupons_in_the_cap_s_window_add_up() -> None:
    both = [opened("ca", 0), opened("cb", 1)]
    story = merged(both, [], [])
    story.tell(opened("ca", 3.5))  # three days after ca's own coupon, not after cb's
    story.tell(opened("ca", 4.5))  # the two of before fill the cap
    story.settle()
    assert told(story, "decisions")[-3:] == [("ca", 3.5, "cooldown"), ("ca", 4.5, "capped"), ("cb", 1, "issued")]


def test_a_row_that_waits_is_labelled_by_the_other_s_later_order() -> None:
    story = merged([order("ca", 0), order("cb", 2)], [order("ca", 9)], [6], horizon_ms=5 * DAY_MS)
    assert examples(story) == [(0, 6, 0.0)]
    story = merged([order("cb", 0), order("ca", 2)], [order("ca", 3)], [5.9], horizon_ms=5 * DAY_MS)
    assert examples(story) == []
    tick(story, 6)
    assert examples(story) == [(0, 6, 0.0)]


def test_a_row_that_waits_goes_on_waiting_with_the_one_they_become() -> None:
    assert examples(merged([order("cb", 0)], [], [5, 6], horizon_ms=5 * DAY_MS)) == [(0, 6, 1.0)]


def test_nobody_is_looked_at_any_more_who_was_merged_away() -> None:
    story = merged([order("cb", 0)], [], [])
    assert [customer for store in story.stores.values() for customer in store.timers] == ["ca"]


# Where the log is cut

MERGING = Merging(RULED, "events")


def histories() -> list[e.Event]:
    """A history that comes from elsewhere, with what follows it, twice."""
    events = [order("cx", 0), opened("cx", 0.1), e.CartAdd(id="k", customer="cx", at_ms=NOON_MS, sku="s", tz="UTC")]
    record = run(RULED, batches("events", 0, encoded(events)))[0].records["cx"]
    history = e.History(id="h", customer="ca", at_ms=NOON_MS, of="cx", offset=7, layout=LAYOUT, record=record)
    late = [
        e.Moved(
            id=f"m{n}",
            customer="ca",
            at_ms=NOON_MS,
            of="cx",
            offset=n,
            layout=LAYOUT,
            event=Raw(e.encode(order("cx", n))),
        )
        for n in (8, 9)
    ]
    return [history, *late, *late, history]


@st.composite
def stories(draw: st.DrawFn) -> list[e.Event]:
    log: list[e.Event] = draw(logs(CUSTOMERS, longest=30).flatmap(with_ticks))
    words = histories() if draw(st.booleans()) else []
    words.insert(draw(st.integers(0, len(words))), e.Merge(id="cc>cb", customer="cc", at_ms=NOON_MS, into="cb"))
    if draw(st.booleans()):
        words.append(e.Merge(id="cb>ca", customer="cb", at_ms=NOON_MS, into="ca"))
    places = sorted(draw(st.lists(st.integers(0, len(log)), min_size=len(words), max_size=len(words))))
    for place, word in reversed(list(zip(places, words, strict=True))):
        log.insert(place, word)
    return GRANTS + log


def after(log: list[e.Event], cuts: list[int]) -> Store:
    return run(MERGING, batches("events", 0, encoded(log), cuts))[0]


@settings(max_examples=50, deadline=None)
@given(stories(), cuts)
def test_any_cuts_give_the_same_messages_timers_records_and_counts(log: list[e.Event], cuts: list[int]) -> None:
    whole = after(log, [])
    for store in (after(log, list(range(len(log)))), after(log, cuts)):
        assert told_anyhow(store.sent) == told_anyhow(whole.sent)
        assert (store.timers, store.records, store.position) == (whole.timers, whole.records, whole.position)


def test_ticks_and_counts_are_those_of_all_partitions() -> None:
    story = merged([order("ca", 0), order("cb", 1)], [order("cb", 2)], [3])
    assert {store.position.clock.now_ms for store in story.stores.values()} == {NOON_MS + 3 * DAY_MS}
    assert len(story.stores) == PARTITIONS
    wanted = {"applied:order": 3, "merged_away": 1, "taken_in": 1, "moved_on": 1, "moved_again": 0}
    assert {name: story.count(name) for name in wanted} == wanted
