"""Customers who turn out to be one: their histories add up, whatever came when, and nothing counts twice."""

from __future__ import annotations

import math
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from features import events as e
from features.building import build_catalog
from features.customer import Core
from features.layout import Layout
from features.loop import batches, run
from features.times import DAY_MS, local_day
from tests.alerts.triggers.jobs import CATALOG, HOUSE, customers_job
from tests.features.known import Known
from tests.features.streams import STARTS_MS, clean_events
from tests.oracle import Customer
from tests.world import PARTITIONS, World

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DECLARED = tomllib.loads(HOUSE.path(HOUSE.features).read_text("utf-8"))
PLAIN = customers_job([])
JOB = Merging(PLAIN, "events")
# of two values at one instant the last to come counts, and a void that comes before its order does not know it
BY_ARRIVAL = {"last_store", "last_star_tenths", "rhythm_spread_days"}
NAMES = ("ca", "cb", "cc", "cd")
ZONE = ("Asia/Shanghai",)


def same(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(found) and math.isnan(wanted))


def differences(core: Core, record: bytes, wanted: dict[str, float], at_ms: int) -> dict[str, Any]:
    found = dict(zip(core.catalog.names, core.row(record, at_ms), strict=True))
    assert found.keys() == wanted.keys()
    return {n: (found[n], wanted[n]) for n in found.keys() - BY_ARRIVAL if not same(found[n], wanted[n])}


class Story:
    """A random story: events of several ids, binds among them, processes that read, and some that die."""

    def __init__(self, data: st.DataObject, world: World) -> None:
        self.data = data
        self.world = world
        self.component = {name: {name} for name in NAMES}
        self.events: dict[str, list[e.Event]] = {name: [] for name in NAMES}
        self.start_ms = data.draw(st.sampled_from(STARTS_MS))

    def tell(self, steps: int) -> None:
        doings = (*[self.event] * 4, self.bind, self.work, self.work, self.crash)
        for _ in range(steps):
            self.data.draw(st.sampled_from(doings))()

    def event(self) -> None:
        """Under the latest id or one that another process still takes for right."""
        who = self.data.draw(st.sampled_from(NAMES))
        event = self.data.draw(clean_events(who, len(self.events[who]), self.start_ms, ZONE))
        if isinstance(event, e.ComplaintAnswered):
            event.closed = False  # what closes a case does not meet what opened it under another id
        elif isinstance(event, e.ComplaintConfirmed):
            event.satisfied = False
        self.events[who].append(event)
        event.customer = self.data.draw(st.sampled_from(sorted(self.component[who])))
        self.world.tell(event)

    def bind(self) -> None:
        """Of any two ids, be they merged before."""
        one, other = self.data.draw(st.permutations(NAMES))[:2]
        self.world.merge(one, other)
        whole = self.component[one] | self.component[other]
        for name in whole:
            self.component[name] = whole

    def work(self) -> None:
        self.world.work(self.data.draw(st.integers(0, PARTITIONS - 1)), self.data.draw(st.integers(1, 9)))

    def crash(self) -> None:
        self.world.relay(self.data.draw(st.integers(0, PARTITIONS - 1)), self.data.draw(st.integers(1, 9)))

    def check(self, world: World, core: Core, declared: dict[str, Any], later_ms: int = 0) -> None:
        """One customer for every component, the one with the smallest id, with the features of all its events."""
        for whole in self.component.values():
            events = [event for name in sorted(whole) for event in self.events[name]]
            assert {world.record(name)[0] for name in whole} == {min(whole)}
            if events:
                twin = Customer(declared)
                twin.events = events
                at_ms = twin.newest_ms + later_ms
                assert differences(core, world.record(min(whole))[1], twin.features(at_ms), at_ms) == {}
        assert world.count("applied") == sum(map(len, self.events.values()))
        assert world.count("duplicates") == 0


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from((0, 299_999, 3_600_000, 8 * 86_400_000)))
def test_customers_who_are_merged_have_the_features_of_all_their_events(data: st.DataObject, later_ms: int) -> None:
    story = Story(data, World(JOB))
    story.tell(40)
    story.world.settle()
    story.check(story.world, PLAIN.core, DECLARED, later_ms)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_replay_from_nothing_over_the_same_log_ends_the_same(data: st.DataObject) -> None:
    """With all that was said of histories in the log, and all of it said once more."""
    story = Story(data, World(JOB))
    story.tell(40)
    story.world.settle()
    again = World(JOB, story.world.logs)
    for _ in range(data.draw(st.integers(0, 20))):
        again.work(data.draw(st.integers(0, PARTITIONS - 1)), data.draw(st.integers(1, 9)))
    again.settle()
    story.check(again, PLAIN.core, DECLARED)


FEWER = {
    **DECLARED,
    "measures": dict(list(DECLARED["measures"].items())[:2]),
    **{key: {} for key in ("ratios", "bands", "segments")},
}
OTHER = build_catalog(FEWER)
OTHER_JOB = CustomersJob(OTHER, customers_job([]).decider, PLAIN.labels, "examples", "dead-letters")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_replay_under_other_measures_waits_for_the_histories_of_its_own(data: st.DataObject) -> None:
    """What was written under the former measures cannot be read, and is written again."""
    story = Story(data, World(JOB))
    story.tell(40)
    story.world.settle()
    again = World(Merging(OTHER_JOB, "events"), story.world.logs)
    again.settle()
    story.check(again, OTHER_JOB.core, FEWER)


def test_a_history_in_a_layout_that_came_later_is_taken_in_once_that_is_looked_up() -> None:
    """As a rolling restart has it: one process has the new features file, the other one still the former."""
    new, asked = Merging(OTHER_JOB, "events"), list[int]()

    def layouts() -> list[Layout]:
        asked.append(1)
        return [CATALOG.layout, OTHER.layout]

    former = Merging(customers_job([]), "events", layouts)
    orders = [e.encode(order(f"{n}", "cb", NOW_MS + n)) for n in range(3)]
    merge = e.encode(e.Merge(id="m", customer="cb", at_ms=NOW_MS + 9, into="ca"))
    there = run(new, batches("events", 0, [*orders, merge, e.encode(order("3", "cb", NOW_MS + 10))]))[0]
    told = [message.value for message in there.sent if message.topic == "events"]
    here = run(former, batches("events", 1, [e.encode(order("4", "ca", NOW_MS + 11)), *told]))[1]
    former.follow(customers_job([]))
    orders_of = dict(zip(CATALOG.names, former.job.core.row(here.records["ca"], NOW_MS + 12), strict=True))
    assert (orders_of["orders_lifetime"], here.position.counts["taken_in"], asked) == (5, 1, [1])


def order(id: str, customer: str, at_ms: int, tz: str = "Asia/Shanghai", **fields: Any) -> e.Order:
    return e.Order(id=id, customer=customer, at_ms=at_ms, tz=tz, lines=[e.Line("tea")], total_cents=100, **fields)


def row(world: World, customer: str, at_ms: int) -> dict[str, float]:
    return dict(zip(CATALOG.names, PLAIN.core.row(world.record(customer)[1], at_ms), strict=True))


NOW_MS = STARTS_MS[-1]


def test_a_bind_before_anything_was_known_of_either_makes_one_customer() -> None:
    world = World(JOB)
    world.merge("ca", "cb")
    world.tell(order("1", "cb", NOW_MS))
    world.settle()
    assert row(world, "cb", NOW_MS)["orders_lifetime"] == row(world, "ca", NOW_MS)["orders_lifetime"] == 1


def test_complaints_of_both_are_open_and_an_answer_to_either_closes_it() -> None:
    world = World(JOB)
    for name in ("ca", "cb"):
        world.tell(e.Complaint(id=f"c{name}", customer=name, at_ms=NOW_MS, tz="UTC", case=f"case of {name}"))
    world.merge("ca", "cb")
    world.settle()
    assert row(world, "ca", NOW_MS)["complaints_open"] == 2
    world.tell(e.ComplaintAnswered(id="a", customer="cb", at_ms=NOW_MS, tz="UTC", case="case of cb", closed=True))
    world.settle()
    assert row(world, "ca", NOW_MS)["complaints_open"] == 1


def test_an_order_sent_again_after_a_merge_is_known() -> None:
    world = World(JOB)
    world.tell(order("1", "cb", NOW_MS))
    world.merge("ca", "cb")
    world.settle()
    world.tell(order("1", "ca", NOW_MS))
    world.tell(order("1", "cb", NOW_MS))
    world.settle()
    assert row(world, "ca", NOW_MS)["orders_lifetime"] == 1
    assert world.count("duplicates") == 2


def test_the_zone_is_that_of_whoever_was_seen_last() -> None:
    world = World(JOB)
    at_ms = NOW_MS + 8 * 3_600_000  # the same day in Shanghai, the day before in New York
    world.tell(order("1", "cb", at_ms, "America/New_York"))
    world.tell(order("2", "ca", at_ms - 5_000))
    world.merge("ca", "cb")
    world.settle()
    zone = PLAIN.core.zones.index["America/New_York"]
    merged = PLAIN.core.merge(world.record("ca")[1], b"", 0).record.tobytes()
    crc = PLAIN.core.zones.packed[1 + 2 * zone]
    assert int.from_bytes(merged[5:9], "little") == crc


def test_more_events_than_a_ring_holds_may_move_and_be_sent_twice() -> None:
    world = World(JOB)
    world.merge("ca", "cb")
    for number in range(200):
        world.tell(order(f"{number}", "cb", NOW_MS + number))
    world.settle()
    for partition in range(PARTITIONS):
        world.relay(partition, 1_000)
    world.settle()
    assert row(world, "ca", NOW_MS + 200)["orders_lifetime"] == 200
    assert (world.count("moved_on"), world.count("moved_again"), world.count("history_again")) == (200, 200, 1)


@pytest.mark.parametrize("first", [0, 1])
def test_two_merges_of_one_customer_that_cross_end_in_one(first: int) -> None:
    """Two processes have bound the same customer, each to another one."""
    world = World(JOB)
    for name in NAMES:
        world.tell(order(name, name, NOW_MS))
    pairs = [("cd", "cb"), ("cd", "ca")]
    for one, other in (pairs[first], pairs[1 - first]):
        world.merge(one, other)
    world.settle()
    assert {world.record(name)[0] for name in ("ca", "cb", "cd")} == {"ca"}
    assert row(world, "cd", NOW_MS)["orders_lifetime"] == 3
    assert row(world, "cc", NOW_MS)["orders_lifetime"] == 1


def test_kinds_of_messages_are_those_of_the_contract() -> None:
    world = World(JOB)
    world.tell(order("1", "cb", NOW_MS))
    world.merge("ca", "cb")
    world.tell(order("2", "cb", NOW_MS))
    world.settle()
    sent = [e.decode_control(m.value) for store in world.stores.values() for m in store.sent if m.topic == "events"]
    assert Counter(map(e.kind_of, sent)) == {"history": 1, "moved": 1}
    assert len({word.id for word in sent}) == 2


def test_what_two_have_had_is_told_apart_however_much_one_has_had_before() -> None:
    core, twin = PLAIN.core, Customer(DECLARED)
    regular = [bought(f"a{n}", NOW_MS - 190 * DAY_MS + n * DAY_MS, f"tea {n}") for n in range(100)]
    regular += [bought("again", NOW_MS, "tea 0")]
    other = [bought(f"b{n}", NOW_MS - 10 * DAY_MS + n * 3_600_000, f"new {n}") for n in range(10)]
    records = [taken(regular), taken(other)]
    for event in [*regular, *other]:
        twin.take(event)
    for mine, others in (records, records[::-1]):
        merged = core.merge(mine, others, NOW_MS).record.tobytes()
        found = dict(zip(core.catalog.names, core.row(merged, NOW_MS), strict=True))
        assert found["drinks_90d"] == twin.features(NOW_MS)["drinks_90d"] == 11


def taken(log: list[e.Event]) -> bytes:
    known = Known(CATALOG)
    known.take(*log)
    return known.raw


def bought(id: str, at_ms: int, sku: str) -> e.Event:
    day = local_day(at_ms, "Asia/Shanghai")
    return e.Order(id=id, at_ms=at_ms, day=day, tz="Asia/Shanghai", lines=[e.Line(sku)], total_cents=1800)
