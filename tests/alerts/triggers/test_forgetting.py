"""After the word to forget nothing of a customer is kept or decided, in no replay, and nobody else notices."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.gifts import Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.kept import Keeping
from alerts.triggers.rule import After, Rule
from features import events as e
from features.forgotten import Forgotten, name_hash
from features.loop import Store, batches, run
from features.record import forwarded
from features.times import DAY_MS, MINUTE_MS
from features.trials import decode_trial
from tests.alerts.triggers.jobs import customers_job, encoded
from tests.alerts.triggers.test_merging import DECLARED, Story, differences
from tests.features.streams import cuts, logs
from tests.oracle import Customer
from tests.world import PARTITIONS, World

NOON_MS = 1_777_867_200_000
GONE, OTHER = "c-gone", "c-other"
AT_ONCE = Rule(id="at-once", on=["order"], when="orders_90d >= 1", then=Then("A"), cooldown="0s")
LATER = Rule(id="later", after=After("cart_add", "30m"), when="cart_adds_lifetime >= 1", then=Then("L"), cooldown="0s")


def order(customer: str, number: int, at_ms: int) -> e.Event:
    return e.Order(
        id=f"{customer}-{number}", customer=customer, at_ms=at_ms, tz="UTC", lines=[e.Line("tea")], total_cents=1800
    )


def tick(at_ms: int) -> e.Event:
    return e.Tick(id=f"t{at_ms}", at_ms=at_ms, source="s", of=1)


def forget(customer: str, at_ms: int = NOON_MS) -> e.Event:
    return e.Forget(id="f", customer=customer, at_ms=at_ms)


def day(*customers: str) -> list[e.Event]:
    """Each orders and leaves something in the cart, which a rule looks at half an hour later."""
    events: list[e.Event] = [tick(NOON_MS)]
    for customer in customers:
        events += [
            order(customer, 1, NOON_MS),
            e.CartAdd(id=f"{customer}-2", customer=customer, at_ms=NOON_MS, tz="UTC", sku="tea"),
        ]
    return events


def withdrawn(store: Store, sent: int) -> list[bool]:
    """Of what was sent since: trials alone, and whether they are taken back."""
    return [decode_trial(message.value).withdrawn for message in store.sent[sent:]]


def works(log: list[e.Event], stores: dict[int, Store] | None = None, forgotten: Forgotten | None = None) -> Store:
    first = stores[0].position.offset + 1 if stores else 0
    return run(job(forgotten), batches("events", 0, encoded(log), (), first), stores)[0]


def job(forgotten: Forgotten | None = None) -> CustomersJob:
    made = customers_job([AT_ONCE, LATER], keeping=Keeping(5, 4, 1.0))
    made.forgotten = forgotten or Forgotten()
    return made


def of(store: Store, customer: str) -> list[bytes]:
    return [message.value for message in store.sent if customer.encode() in message.value]


def everything(store: Store) -> bytes:
    """All that a store keeps and has sent."""
    kept = (store.records, store.timers, store.seen, store.position, store.receipts, store.misses)
    return repr((kept, store.sent)).encode()


def test_record_and_timers_are_gone_and_nobody_elses_change() -> None:
    store = works([*day(GONE, OTHER), forget(GONE), tick(NOON_MS + DAY_MS)])
    alone = works([*day(OTHER), tick(NOON_MS + DAY_MS)])
    assert (store.records, store.timers) == (alone.records, alone.timers)
    assert of(store, OTHER) == of(alone, OTHER)
    assert len(of(store, OTHER)) >= 4  # two coupons, two decisions


def test_a_timer_of_somebody_who_was_forgotten_decides_nothing() -> None:
    stores = {0: works(day(GONE))}
    before = len(of(stores[0], GONE))
    assert GONE in stores[0].timers
    store = works([forget(GONE), tick(NOON_MS + DAY_MS)], stores)
    assert (store.timers, len(of(store, GONE))) == ({}, before)


def test_what_still_comes_is_dropped_and_counted_without_its_contents() -> None:
    stores = {0: works([*day(GONE), forget(GONE)])}
    sent = len(stores[0].sent)
    broken = b'{"type":"ordr","customer":"c-gone","id":"x"}'
    log = [*encoded([order(GONE, 7, NOON_MS + 5), order(OTHER, 8, NOON_MS + 6)]), broken]
    store = run(job(Forgotten({name_hash(GONE): 1})), batches("events", 0, log, (), 4), stores)[0]
    assert GONE not in store.records
    assert [GONE.encode() in message.value for message in store.sent[sent:]].count(True) == 0
    assert store.position.counts["forgotten"] == 2 + 2  # the day's were in one batch with the word
    assert store.position.counts.get("dead_lettered", 0) == 0
    assert store.position.offset == 6


def test_a_flow_that_heard_the_word_needs_no_telling_and_a_record_that_came_back_goes_before_it_decides() -> None:
    mine, log = job(), encoded([*day(GONE), forget(GONE)])
    stores = run(mine, batches("events", 0, log))
    empty: dict[int, Store] = {0: Store()}  # Redis has lost everything, and the process lives on
    store = run(mine, batches("events", 0, log), empty)[0]
    assert GONE.encode() not in everything(store)
    older = {0: works(day(GONE))}  # Redis has come back as it was before
    sent = len(older[0].sent)
    store = run(mine, batches("events", 0, encoded([order(GONE, 9, NOON_MS + 9)]), (), 3), older)[0]
    assert (store.records, store.timers) == ({}, {})
    assert withdrawn(store, sent) == [True]
    assert stores[0].position.counts["forgotten"] == 2


def test_a_forgotten_customer_whose_record_came_back_is_not_looked_at_when_a_timer_is_due() -> None:
    older = {0: works(day(GONE, OTHER))}
    store = works([tick(NOON_MS + DAY_MS)], older, Forgotten({name_hash(GONE): 1}))
    assert GONE not in store.records
    assert GONE not in store.timers
    assert not [m for m in store.sent[len(day(GONE, OTHER)) :] if m.key == GONE and b"later" in m.value]
    assert [m for m in store.sent if m.key == OTHER and b"later" in m.value]


@pytest.mark.parametrize("told", [True, False], ids=["told-at-the-start", "by-the-log-alone"])
def test_a_replay_into_an_empty_store_keeps_nothing_and_gives_no_coupon_when_told_at_the_start(told: bool) -> None:
    log = [*day(GONE, OTHER), tick(NOON_MS + 10 * MINUTE_MS), forget(GONE), order(GONE, 5, NOON_MS), order(OTHER, 5, 1)]
    known = Forgotten({name_hash(GONE): 1} if told else {})
    made = job(known)
    store = run(made, batches("events", 0, encoded(log), range(1, len(log))))[0]
    assert GONE.encode() not in repr((store.records, store.timers)).encode()
    assert bool(of(store, GONE)) is not told
    assert store.position.counts["forgotten"] == (3 if told else 1)


@settings(max_examples=25, deadline=None)
@given(logs(("c-gone", "c-2", "c-3")), cuts, st.integers(0, 30))
def test_others_are_left_as_if_the_forgotten_had_never_been(log: list[e.Event], cuts: list[int], place: int) -> None:
    place = min(place, len(log))
    spoken = [*log[:place], forget(GONE), *log[place:]]
    with_word = run(job(), batches("events", 0, encoded(spoken), cuts))[0]
    others = [event for event in log if event.customer != GONE]
    without = run(job(), batches("events", 0, encoded(others))).get(0, Store())
    assert with_word.records == without.records
    assert with_word.timers == without.timers
    assert sorted(m.value for m in with_word.sent if m.key in ("c-2", "c-3")) == sorted(
        m.value for m in without.sent if m.key in ("c-2", "c-3")
    )
    told = run(job(Forgotten({name_hash(GONE): 1})), batches("events", 0, encoded(spoken), cuts))[0]
    assert GONE.encode() not in everything(told)
    assert told.position.counts.get("forgotten", 0) == len(log) - len(others)


def test_without_consent_at_that_moment_no_coupon_leaves_whatever_holds() -> None:
    strict = customers_job([AT_ONCE], policy=Policy(9, DAY_MS, 0.0, "", "marketing"))
    consent = e.Consent(id="y", customer=OTHER, at_ms=NOON_MS - 1, tz="UTC", purpose="marketing", granted=True)
    back = e.Consent(id="n", customer=OTHER, at_ms=NOON_MS + 1, tz="UTC", purpose="marketing", granted=False)
    log = [order(OTHER, 1, NOON_MS - 2), consent, order(OTHER, 2, NOON_MS), back, order(OTHER, 3, NOON_MS + 2)]
    store = run(strict, batches("events", 0, encoded(log)))[0]
    assert [orjson.loads(m.value)["data"]["cause"] for m in store.sent if m.topic == "coupons"] == [f"{OTHER}-2"]


class Apart(World):
    """Each partition in a process of its own, which knows only of whom it was told."""

    def __init__(self, told: Forgotten | None = None, logs: list[list[bytes]] | None = None) -> None:
        super().__init__(job(), logs)
        known = (told or Forgotten()).since_ms
        self.jobs = [Merging(job(Forgotten(known)), "events") for _ in range(PARTITIONS)]

    def work(self, partition: int, events: int) -> None:
        self.job = self.jobs[partition]
        super().work(partition, events)

    def forget(self, *customers: str) -> None:
        for customer in customers:
            self.tell(forget(customer))

    def kept(self) -> set[str]:
        """Of whom anything is kept."""
        return {name for store in self.stores.values() for name in (*store.records, *store.timers)}

    def sent_of(self, customers: set[str]) -> list[bytes]:
        """What was sent of these beside the words that go between partitions."""
        sent = [message for store in self.stores.values() for message in store.sent]
        return [m.value for m in sent if m.key in customers and m.topic != "events"]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whoever_became_one_is_forgotten_as_one_whatever_is_under_way(data: st.DataObject) -> None:
    world = Apart()
    story = Story(data, world)
    story.tell(40)
    gone = story.component["ca"]
    world.forget(*data.draw(st.permutations(sorted(gone))))
    world.settle()
    told = Forgotten({name_hash(name): 1 for name in gone})
    again = Apart(told, world.logs)
    again.settle()
    for one in (world, again):
        assert not one.kept() & gone
        for whole in (whole for whole in story.component.values() if whole is not gone):
            twin = Customer(DECLARED)
            twin.events = [event for name in sorted(whole) for event in story.events[name]]
            if twin.events:
                core = one.jobs[0].job.core
                assert differences(core, one.record(min(whole))[1], twin.features(twin.newest_ms), twin.newest_ms) == {}
        others = sum(len(story.events[name]) for name in story.events if name not in gone)
        assert one.count("dead_lettered") == 0
        assert one.count("applied") + one.count("forgotten") >= others
    assert again.sent_of(gone) == []
    assert again.count("applied") == others


def test_two_who_became_one_leave_no_record_no_note_and_no_timer() -> None:
    world = Apart()
    for event in day("ca", "cb", OTHER):
        world.tell(event)
    world.merge("ca", "cb")
    world.settle()
    assert forwarded(world.stored("cb")) == "ca"
    world.forget("ca", "cb")
    world.settle()
    assert world.kept() == {OTHER}
    assert world.count("forgotten") == 0
    world.tell(order("cb", 9, NOON_MS))  # by its note this would have gone on
    world.settle()
    assert (world.kept(), world.count("forgotten"), world.count("moved_on")) == ({OTHER}, 1, 0)


@pytest.mark.parametrize("known", ["ca", "cb"])
def test_of_words_between_two_none_is_heard_that_names_somebody_who_was_forgotten(known: str) -> None:
    """As where another process has not yet heard of both."""
    world = Apart()
    for event in day("ca", "cb", OTHER):
        world.tell(event)
    world.merge("ca", "cb")
    world.tell(order("cb", 3, NOON_MS))
    world.settle()
    later = Apart(Forgotten({name_hash(known): 1}), world.logs)
    later.settle()
    kept = later.record("ca")[1]
    assert known not in later.kept()
    assert b"cb" not in kept  # nothing taken in
    assert later.count("merged_away") == later.count("taken_in") == 0
    assert later.count("dead_lettered") == 0


def test_a_batch_that_brings_a_history_and_the_word_to_forget_takes_nothing_in() -> None:
    world = Apart()
    for event in day("ca", "cb", OTHER):
        world.tell(event)
    world.merge("ca", "cb")
    world.settle()
    logs = [[*log, *encoded([forget("ca"), forget("cb"), order(OTHER, 7, NOON_MS)])] for log in world.logs]
    whole = Apart(logs=logs)
    whole.settle()
    assert whole.kept() == {OTHER}
    assert whole.sent_of({"ca", "cb"}) == []


MERGE = e.Merge(id="m", customer="cb", at_ms=NOON_MS, into="ca")


def merging(log: list[e.Event], stores: dict[int, Store], told: Forgotten | None = None) -> Store:
    """A batch in which others become one."""
    first = stores[0].position.offset + 1
    return run(Merging(job(told), "events"), batches("events", 0, encoded([MERGE, *log]), (), first), stores)[0]


def test_a_batch_in_which_others_become_one_forgets_record_and_timers_all_the_same() -> None:
    store = merging([forget(GONE), order(GONE, 7, NOON_MS)], {0: works(day(GONE))})
    assert (set(store.records), store.timers) == ({"cb"}, {})
    assert store.position.offset == 5  # also behind a last record that was dropped
    assert store.position.counts["forgotten"] == 1


def test_in_such_a_batch_a_record_that_came_back_is_not_looked_at_and_goes() -> None:
    older = {0: works(day(GONE))}
    sent = len(older[0].sent)
    store = merging([tick(NOON_MS + DAY_MS)], older, Forgotten({name_hash(GONE): 1}))
    assert (set(store.records), store.timers) == ({"cb"}, {})
    assert [message.key for message in store.sent[sent:]] == ["ca", "arms|at-once"]


def test_of_what_is_dropped_only_events_are_counted() -> None:
    told = Forgotten({name_hash(name): 1 for name in ("ca", "cb", GONE)})
    history = e.History(id="h", customer="ca", at_ms=NOON_MS, of="cb", offset=1, layout="", record=b"")
    store = merging([history, forget(GONE), order("cb", 1, NOON_MS)], {0: Store()}, told)
    assert (store.records, store.position.counts) == ({}, {"forgotten": 1})
