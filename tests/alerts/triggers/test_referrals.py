"""Who brought a friend is thanked once, when the friend's first paid order has stood for a day."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from alerts.triggers.merging import Merging
from alerts.triggers.referrals import Settling
from features import events as e
from features.forgotten import Forgotten, name_hash, tombstone_key
from features.job import Message
from features.loop import batches, run
from features.record import Ledger, Referral, decode_ledger, encode_ledger
from features.times import DAY_MS, HOUR_MS
from tests.alerts.triggers.jobs import CATALOG, customers_job, encoded
from tests.world import PARTITIONS, World

START_MS = 1_777_824_000_000
SETTLING = Settling("events", DAY_MS)
INNER = customers_job([])
INNER.settling = SETTLING
JOB = Merging(INNER, "events")


def tick(hour: float) -> e.Tick:
    at_ms = START_MS + round(hour * HOUR_MS)
    return e.Tick(id=f"t{at_ms}", at_ms=at_ms, source="s", of=1)


def order(id: str, hour: float, cents: int = 1800, who: str = "friend") -> e.Order:
    return e.Order(id=id, customer=who, at_ms=at(hour), tz="UTC", lines=[e.Line("tea")], total_cents=cents)


def referred(id: str, hour: float, by: str = "host", who: str = "friend") -> e.Referred:
    return e.Referred(id=id, customer=who, at_ms=at(hour), tz="UTC", by=by)


def undone(kind: type[e.Refund], id: str, ordered: float, cents: int = 0, who: str = "friend") -> e.Refund:
    back = {"order": "o", "ordered_time": 0, "ordered_ms": at(ordered), "amount_cents": cents}
    return kind(id=id, customer=who, at_ms=at(ordered) + 60_000, tz="UTC", **back)


def at(hour: float) -> int:
    return START_MS + round(hour * HOUR_MS)


def thanks(sent: list[Message]) -> list[tuple[str, int]]:
    """(who is thanked, the hour)."""
    told = [e.decode_clean(message.value) for message in sent if message.topic == "events"]
    assert all(isinstance(event, e.FriendOrdered) and event.friend == "friend" for event in told)
    return [(event.customer, (event.at_ms - START_MS) / HOUR_MS) for event in told]


def lived(log: list[e.Event], cuts: list[int] | None = None, job: Any = JOB) -> list[tuple[str, int]]:
    whole = run(job, batches("events", 0, encoded(log), cuts or []))
    return thanks(whole[0].sent) if whole else []


def test_the_first_paid_order_earns_thanks_when_it_has_stood_for_a_day() -> None:
    log = [referred("r", 0), order("1", 5), tick(28.9), order("2", 20), tick(29), tick(60), order("3", 61), tick(90)]
    assert lived(log) == [("host", 29)]
    assert lived(log[:3]) == []


def test_a_free_order_is_no_paid_one() -> None:
    assert lived([referred("r", 0), order("1", 5, cents=0), tick(60)]) == []
    assert lived([referred("r", 0), order("1", 5, cents=0), tick(60), order("2", 61), tick(90)]) == [("host", 85)]


@pytest.mark.parametrize("cents", [1800, 1799])
def test_what_was_refunded_whole_earns_nothing_and_in_part_it_does(cents: int) -> None:
    log = [referred("r", 0), order("1", 5), undone(e.Refund, "b", 5, cents), tick(60)]
    assert lived(log) == ([] if cents == 1800 else [("host", 29)])


def test_a_void_begins_the_wait_anew_with_the_next_order_or_one_that_came_meanwhile() -> None:
    start = [referred("r", 0), order("1", 5)]
    void = undone(e.Void, "v", 5)
    assert lived([*start, void, tick(60), order("2", 61), tick(85)]) == [("host", 85)]
    assert lived([*start, order("2", 7), void, tick(30.9), tick(31)]) == [("host", 31)]
    assert lived([start[0], void, start[1], tick(60)]) == []


def test_a_void_after_the_thanks_does_not_take_them_back_and_nobody_is_thanked_again() -> None:
    log = [referred("r", 0), order("1", 5), tick(29), undone(e.Void, "v", 5), order("2", 30), tick(90)]
    assert lived([*log, referred("r2", 1, by="other"), tick(200)]) == [("host", 29)]


def test_whoever_had_ordered_before_was_not_brought() -> None:
    assert lived([order("1", 5), referred("r", 6), order("2", 7), tick(60)]) == []
    assert lived([referred("r", 6), order("1", 5), order("2", 7), tick(60)]) == []
    assert lived([order("1", 5), undone(e.Void, "v", 5), referred("r", 6), order("2", 7), tick(60)]) == [("host", 31)]


def test_a_referral_that_comes_after_the_order_and_was_before_it_counts() -> None:
    assert lived([order("1", 5), tick(10), referred("r", 4), tick(28), tick(29)]) == [("host", 29)]
    assert lived([order("1", 5), tick(40), referred("r", 4), tick(41)]) == [("host", 29)]


def test_of_two_who_say_so_the_earlier_is_thanked() -> None:
    assert lived([referred("r", 3), referred("q", 2, by="other"), order("1", 5), tick(60)]) == [("other", 29)]
    assert lived([referred("q", 2, by="other"), order("1", 5), referred("r", 1), tick(60)]) == [("host", 29)]
    assert lived([referred("r", 3), order("1", 5), referred("q", 4, by="other"), tick(60)]) == [("host", 29)]


def test_nobody_brings_themselves() -> None:
    assert lived([referred("r", 0, by="friend"), order("1", 5), tick(60)]) == []


def test_where_nothing_is_to_be_followed_nothing_is_sent() -> None:
    assert lived([referred("r", 0), order("1", 5), tick(60)], job=customers_job([])) == []


class Twin:
    """The same, one event at a time."""

    def __init__(self) -> None:
        self.clock_ms = 0
        self.said: tuple[int, str] | None = None  # when, and by whom
        self.done = False
        self.standing: set[int] = set()  # times of orders that were not voided
        self.paid: Counter[int] = Counter()
        self.sent: list[tuple[str, float]] = []

    def hear(self, event: e.Event) -> None:
        if isinstance(event, e.Tick):
            self.tick(event.at_ms)
        elif isinstance(event, e.Referred) and not self.done and event.by != "friend":
            self.referred((event.at_ms, event.by))
        elif isinstance(event, e.Order):
            self.standing.add(event.at_ms)
            if event.total_cents and self.said and event.at_ms < self.said[0]:
                self.said = None
            self.paid[event.at_ms] += event.total_cents
        elif isinstance(event, e.Refund):
            self.paid[event.ordered_ms] -= 10**15 if isinstance(event, e.Void) else event.amount_cents
            if isinstance(event, e.Void):
                self.standing.discard(event.ordered_ms)

    def tick(self, at_ms: int) -> None:
        moved, self.clock_ms = at_ms > self.clock_ms, max(self.clock_ms, at_ms)
        due = [at + DAY_MS for at, cents in self.paid.items() if cents > 0]
        if moved and self.said and due and min(due) <= at_ms:
            self.sent.append((self.said[1], (min(due) - START_MS) / HOUR_MS))
            self.said, self.done = None, True

    def referred(self, said: tuple[int, str]) -> None:
        if self.said:
            self.said = min(self.said, said)
        elif all(said[0] <= at for at in self.standing):
            self.said, self.paid = said, Counter(dict.fromkeys(self.standing, 10**13))


@st.composite
def lives(draw: st.DrawFn) -> list[e.Event]:
    """Of one friend, in any order: orders free and paid, undone before or after they come, words on who brought it."""
    hours = st.integers(0, 60).map(lambda quarter: quarter / 2)
    log: list[e.Event] = []
    for n, hour in enumerate(draw(st.lists(hours, unique=True, max_size=8))):
        log.append(order(f"o{n}", hour, draw(st.sampled_from((0, 1800, 1800)))))
    for n, hour in enumerate(draw(st.lists(hours, max_size=5))):
        kind = draw(st.sampled_from((e.Void, e.Refund)))
        log.append(undone(kind, f"u{n}", hour, draw(st.sampled_from((900, 1800)))))
    for n, hour in enumerate(draw(st.lists(hours, max_size=4))):
        log.append(referred(f"r{n}", hour, draw(st.sampled_from(("host", "other", "friend")))))
    log = draw(st.permutations(log))
    for hour in sorted(draw(st.lists(st.integers(0, 70), max_size=5))):
        log.insert(draw(st.integers(0, len(log))), tick(hour))
    return [*log, tick(100), tick(101)]


@settings(max_examples=200, deadline=None)
@given(lives(), st.lists(st.integers(0, 30), max_size=6))
def test_whatever_comes_when_and_however_it_is_cut_it_ends_as_the_twin_says(
    log: list[e.Event], cuts: list[int]
) -> None:
    twin = Twin()
    for event in log:
        twin.hear(event)
    assert lived(log, cuts) == twin.sent


NAMES = ("ca", "cb", "cc")
HOSTS = ("ra", "rb")


class Story:
    """Friends who turn out to be one, processes that die, and hosts who are merged as well."""

    def __init__(self, data: st.DataObject) -> None:
        self.data, self.world = data, World(JOB)
        self.component = {name: {name} for name in (*NAMES, *HOSTS)}
        self.orders: list[tuple[str, e.Order]] = []
        self.said: list[tuple[str, int, str]] = []
        self.number = 0

    def tell(self, steps: int) -> None:
        for _ in range(steps):
            self.data.draw(st.sampled_from((self.order, self.referred, self.bind, self.work, self.crash)))()

    def order(self) -> None:
        name, hour = self.data.draw(st.sampled_from(NAMES)), self.data.draw(st.integers(0, 9))
        self.number += 1
        event = order(f"o{self.number}", hour + self.number / 100, who=self._alias(name))
        self.orders.append((name, event))
        self.world.tell(event)

    def referred(self) -> None:
        name, host = self.data.draw(st.sampled_from(NAMES)), self.data.draw(st.sampled_from((*HOSTS, "ca")))
        hour = self.data.draw(st.integers(-3, 3))
        self.number += 1
        self.said.append((name, at(hour), host))
        self.world.tell(referred(f"r{self.number}", hour, self._alias(host), self._alias(name)))

    def _alias(self, name: str) -> str:
        return self.data.draw(st.sampled_from(sorted(self.component[name])))

    def bind(self) -> None:
        one, other = self.data.draw(st.permutations((*NAMES, *HOSTS)))[:2]
        self.world.merge(one, other)
        whole = self.component[one] | self.component[other]
        self.component |= dict.fromkeys(whole, whole)

    def work(self) -> None:
        self.world.work(self.data.draw(st.integers(0, PARTITIONS - 1)), self.data.draw(st.integers(1, 9)))

    def crash(self) -> None:
        self.world.relay(self.data.draw(st.integers(0, PARTITIONS - 1)), self.data.draw(st.integers(1, 9)))

    def end(self) -> None:
        """All merges are heard before time passes, and what is said then comes home."""
        self.world.settle()
        for hour in (60, 61):
            self.world.tell(tick(hour))
            self.world.settle()

    def ends(self) -> dict[str, int]:
        """By person who may be thanked, how often they were, as their record says."""
        place = CATALOG.index("friends_ordered_lifetime")
        found = {}
        for whole in {frozenset(whole) for whole in self.component.values()}:
            record = self.world.record(min(whole))[1]
            found[min(whole)] = int(INNER.core.row(record, at(70))[place]) if record else 0
        return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_person_is_brought_once_whoever_turns_out_to_be_whom(data: st.DataObject) -> None:
    story = Story(data)
    story.tell(30)
    story.end()
    wanted: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for whole in {frozenset(whole) for whole in story.component.values()}:
        times = [event.at_ms for name, event in story.orders if name in whole]
        said = [(at_ms, min(story.component[host])) for name, at_ms, host in story.said if name in whole]
        others = [(at_ms, host) for at_ms, host in said if host not in whole]
        if times and others:
            for host in {host for _, host in others}:
                most[host] += 1
        if times and said and others == said and min(times) >= max(at_ms for at_ms, _ in said):
            first_ms = min(at_ms for at_ms, _ in said)
            if len(hosts := {host for at_ms, host in said if at_ms == first_ms}) == 1:
                wanted[hosts.pop()] += 1
    ends = story.ends()
    assert {host: n for host, n in ends.items() if n < wanted[host]} == {}
    assert {host: n for host, n in ends.items() if n > most[host]} == {}
    again = World(JOB, story.world.logs)
    again.settle()
    story.world = again
    assert story.ends() == ends


def test_whoever_brought_a_friend_is_thanked_under_the_name_that_they_have_by_then() -> None:
    world = World(JOB)
    for event in (referred("r", 0, by="host"), order("1", 5)):
        world.tell(event)
    world.merge("a-host", "host")
    for hour in (29, 30):
        world.tell(tick(hour))
        world.settle()
    name, record = world.record("host")
    assert name == "a-host"
    assert INNER.core.row(record, at(70))[CATALOG.index("friends_ordered_lifetime")] == 1


def test_two_who_turn_out_to_be_one_have_not_brought_each_other() -> None:
    world = World(JOB)
    for event in (referred("r", 0, by="host"), order("1", 5)):
        world.tell(event)
    world.merge("friend", "host")
    world.settle()
    for hour in (29, 30):
        world.tell(tick(hour))
        world.settle()
    assert world.count("friends_ordered") == 0


def test_who_turns_out_to_be_an_old_customer_was_not_brought() -> None:
    for old, hours in ((1.0, 0), (9.0, 1)):
        world = World(JOB)
        for event in (order("0", old, who="elder"), referred("r", 2), order("1", 5)):
            world.tell(event)
        world.merge("elder", "friend")
        world.settle()
        for hour in (40, 41):
            world.tell(tick(hour))
            world.settle()
        assert world.count("friends_ordered") == hours


def test_who_has_to_wait_longer_than_was_said_is_looked_at_again() -> None:
    patient = customers_job([])
    patient.settling = Settling("events", 2 * DAY_MS)
    stores = run(JOB, batches("events", 0, encoded([referred("r", 0), order("1", 5)])))
    stores = run(Merging(patient, "events"), batches("events", 0, encoded([tick(30)]), first=2), stores)
    assert thanks(stores[0].sent) == []
    stores = run(Merging(patient, "events"), batches("events", 0, encoded([tick(60)]), first=3), stores)
    assert thanks(stores[0].sent) == [("host", 53)]


def test_who_brought_a_friend_and_was_forgotten_is_named_by_nobody_any_more() -> None:
    log = [referred("r", 0), order("1", 5)]
    stores = run(JOB, batches("events", 0, encoded(log)))
    assert b"host" in stores[0].records["friend"]
    word = e.Unname(id="u", customer="friend", at_ms=at(6), of=tombstone_key(name_hash("host")))
    stores = run(JOB, batches("events", 0, encoded([word, tick(29), tick(30)]), first=2), stores)
    assert b"host" not in stores[0].records["friend"]
    assert (thanks(stores[0].sent), [name for name in stores[0].timers if "referral" in name]) == ([], [])


def test_a_replay_after_that_names_nobody_either() -> None:
    job = customers_job([])
    job.settling, job.forgotten = SETTLING, Forgotten({name_hash("host"): at(6)})
    stores = run(Merging(job, "events"), batches("events", 0, encoded([referred("r", 0), order("1", 5), tick(60)])))
    assert b"host" not in stores[0].records["friend"]
    assert stores[0].sent == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_history_under_way_arrives_without_a_referrer_who_was_forgotten_meanwhile(gone: bool) -> None:
    job = customers_job([])
    job.settling = SETTLING
    leaving = [referred("r", 0, who="other"), e.Merge(id="m", customer="other", at_ms=at(1), into="friend")]
    [history] = run(Merging(job, "events"), batches("events", 0, encoded(leaving)))[0].sent
    assert b"host" in e.decode_control(history.value).record
    if gone:
        job.forgotten.add({name_hash("host"): at(2)})
    arriving = [history.value, *encoded([order("1", 5), tick(29), tick(30)])]
    stores = run(Merging(job, "events"), batches("events", 1, arriving[:2]))
    assert (b"host" in stores[1].records["friend"]) == (not gone)
    stores = run(Merging(job, "events"), batches("events", 1, arriving), stores)
    assert thanks(stores[1].sent) == ([] if gone else [("host", 29)])


def test_of_a_friend_who_was_forgotten_no_timer_is_left() -> None:
    log = [referred("r", 0), order("1", 5), e.Forget(id="f", customer="friend", at_ms=at(6)), tick(60)]
    for cuts in ([], [2]):
        job = customers_job([])
        job.settling = SETTLING
        stores = run(Merging(job, "events"), batches("events", 0, encoded(log), cuts))
        assert (stores[0].timers, stores[0].records, stores[0].sent) == ({}, {}, [])


def test_a_ledger_from_before_there_were_referrals_is_read() -> None:
    old = msgpack.encode(msgpack.decode(encode_ledger(Ledger(issued_ms=[7])))[:4])
    assert decode_ledger(old) == Ledger(issued_ms=[7])
    told = Ledger(referral=Referral("host", 5, {6: 100}))
    assert decode_ledger(encode_ledger(told)) == told
    assert replace(told, referral=None) == Ledger()
