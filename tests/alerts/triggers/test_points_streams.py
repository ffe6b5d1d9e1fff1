"""Points for coupons over random lives, against a jar of single points; and of customers who become one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.backtests.backtest import Backtest
from alerts.triggers.condition import over_catalog
from alerts.triggers.merging import Merging
from alerts.triggers.points import spending_id
from alerts.triggers.rule import Rule
from features import events as e
from features.job import Batch, Clock
from features.loop import Store
from features.partitions import partition_of
from features.purse import Purse
from features.times import DAY_MS
from tests.alerts.triggers.exchanges import (
    JOB,
    NOON_MS,
    RULE,
    SMALL,
    SMALL_GIFT,
    asks,
    at,
    balance,
    bought,
    exchanging,
    gave,
    lived,
    outcomes,
    purse,
    spent_by,
)
from tests.alerts.triggers.jobs import CATALOG, FREE, data_of, encoded
from tests.features.test_points import jar, month_of
from tests.world import PARTITIONS, World


class Twin:
    """One customer, judged event by event: the balance is that of a jar of single points."""

    def __init__(self) -> None:
        self.log: list[e.Event] = []
        self.ids: set[str] = set()
        self.promised: dict[str, int] = {}
        self.spent_ms = 0
        self.told: list[str] = []

    def hear(self, event: e.Event) -> None:
        if event.id in self.ids:
            return
        self.ids.add(event.id)
        self.log.append(event)
        if isinstance(event, e.PointsSpent):
            self.promised.pop(event.id, None)
            self.spent_ms = max(self.spent_ms, event.at_ms)
        if isinstance(event, e.PointsExchange):
            self.told.append(self.judge(event))

    def judge(self, event: e.PointsExchange) -> str:
        if event.points < 10:
            return "too_few"
        if event.points > 100:
            return "too_many"
        month = month_of(event.at_ms)
        if month < month_of(self.spent_ms):
            return "late"
        past = [one for one in self.log if month_of(one.at_ms) <= month]
        if event.points > jar(past, event.at_ms)["points_balance"] - sum(self.promised.values()):
            return "balance"
        self.promised[spending_id(event.id)] = event.points
        self.spent_ms = max(self.spent_ms, event.at_ms)
        return "issued"


@st.composite
def streams(draw: st.DrawFn, others: bool) -> list[e.Event]:
    """What comes of a customer: orders, requests, each perhaps late or again; `others`: points spent at a till."""
    log, day = list[e.Event](), 0.0
    for n in range(draw(st.integers(1, 20))):
        day += draw(st.sampled_from((0, 0, 1 / 24, 1, 20, 60)))
        then = day - draw(st.sampled_from((0, 0, 0, 1, 35)))
        kind = draw(st.sampled_from("oooxxxxs" if others else "oooxxxxx"))
        points = draw(st.sampled_from((5, 10, 12, 20, 30, 101)))
        match kind:
            case "o":
                log.append(bought(then, draw(st.sampled_from((3, 12, 50))), id=f"o{n}"))
            case "x":
                log.append(asks(then, points, f"x{n}"))
            case _:
                spent = gave(then, points)
                spent.id = f"s{n}"
                log.append(spent)
        if draw(st.integers(0, 4)) == 0:
            log.append(draw(st.sampled_from(log)))
    return log


@st.composite
def topics(draw: st.DrawFn, others: bool = True) -> tuple[list[e.Event], Store]:
    """A log as the flow reads it: what it has said itself stands in it, some batches later, perhaps twice; and what the
    flow came to as it read."""
    coming, log, store, said = draw(streams(others)), list[e.Event](), Store(), 0
    while coming or said < len(spent_by(store)):
        size = draw(st.integers(1, 6))
        batch, coming = coming[:size], coming[size:]
        ours = spent_by(store)[said : said + draw(st.integers(0, 3) if batch else st.just(3))]
        said += len(ours)
        place = draw(st.integers(0, len(batch)))
        batch = [*batch[:place], *ours, *(ours if draw(st.booleans()) else []), *batch[place:]]
        log += batch
        if batch:
            lived(batch, SMALL, store=store)
    return log, store


@settings(max_examples=100, deadline=None)
@given(topics(), st.lists(st.integers(1, 60), max_size=6))
def test_requests_are_judged_as_one_by_one_however_batches_are_cut(
    topic: tuple[list[e.Event], Store], cuts: list[int]
) -> None:
    log, store = topic
    twin = Twin()
    for event in log:
        twin.hear(event)
    assert outcomes(store) == twin.told
    for cut in (cuts, []):
        again = lived(log, SMALL, cut)
        assert (outcomes(again), spent_by(again)) == (twin.told, spent_by(store))
        assert (again.records, again.position) == (store.records, store.position)


@settings(max_examples=100, deadline=None)
@given(topics(others=False))
def test_coupons_never_take_more_points_than_there_were(topic: tuple[list[e.Event], Store]) -> None:
    """Where nothing else takes any and no order is undone, nobody ever owes points, in no month."""
    log, store = topic
    sent = list({event.id: event for event in log if not isinstance(event, e.PointsExchange)}.values())
    taken = [event for event in sent if isinstance(event, e.PointsSpent)]
    assert Counter(one["points"]["asked"] for one in data_of(store, "coupons")) == Counter(one.points for one in taken)
    assert all(one["face_value_cents"] == 10 * one["points"]["asked"] for one in data_of(store, "coupons"))
    newest_ms = max(event.at_ms for event in log)
    for later in range(0, 400, 60):
        assert jar(sent, newest_ms + later * DAY_MS)["points_balance"] >= 0
    assert purse(store).promised == {}
    if sent:
        day = (newest_ms - NOON_MS) / DAY_MS
        assert balance(store, day) == jar(sent, newest_ms)["points_balance"]


@settings(max_examples=30, deadline=None)
@given(topics(), st.integers(1, 3))
def test_a_log_that_is_read_anew_takes_no_point_twice(topic: tuple[list[e.Event], Store], times: int) -> None:
    """All that is said anew stands at its end, when the records have long forgotten its ids."""
    log, store = topic
    others = [e.AppOpen(id=f"a{n}", customer="c", at_ms=at(0), tz="UTC", day=1) for n in range(70)]
    for n in range(times):
        for one in others:
            one.id = f"{n}{one.id}"
        again = lived(log, SMALL)
        assert spent_by(again) == spent_by(store)
        log = [*log, *others, *spent_by(again)]
    ended = lived(log, SMALL)
    for day in (0, 100, 400):
        assert balance(ended, day) == balance(store, day)


def backtested(log: list[e.Event], rules: list[Rule], rationed: bool) -> list[str]:
    """As a back-test of such a rule decides."""
    backtest = Backtest(CATALOG, over_catalog([(rule, "r.toml", "") for rule in rules], CATALOG), FREE)
    values = encoded(log)
    columns = backtest.job.core.columns(Batch("events", 0, -1, [*range(len(log))], values, [0] * len(log)), Clock())
    if not rationed:
        return backtest.judge(columns)[0].outcome.tolist()
    return [noted[3] for noted in backtest.ration(backtest.hold(columns)).noted[0]]


@settings(max_examples=60, deadline=None)
@given(topics(), st.booleans())
def test_a_back_test_takes_the_points_that_live_has_taken(topic: tuple[list[e.Event], Store], rationed: bool) -> None:
    """Under whatever id the rule is tried: what live has said to be spent takes the place of its own promise."""
    log, store = topic
    draft = Rule(id="draft", on=["points_exchange"], when="true", then=SMALL_GIFT, cooldown="0s")
    assert backtested(log, [draft], rationed) == [one["outcome"] for one in data_of(store, "decisions")]


def merging() -> World:
    return World(Merging(exchanging([RULE]), "events"))


def now(world: World, name: str, day: float) -> tuple[float, dict[int, int]]:
    raw = world.record(name)[1]
    mine = JOB.core.unpacked(raw).ledger.purse or Purse()
    return JOB.core.row(raw, at(day))[CATALOG.names.index("points_balance")], mine.promised


def decided(world: World) -> list[str]:
    return [one for store in world.stores.values() for one in outcomes(store)]


@pytest.mark.parametrize("lands", ["before", "after"])
def test_of_two_who_become_one_points_and_promises_add_up_wherever_the_word_on_them_lands(lands: str) -> None:
    story, of_loser = merging(), partition_of("cb", PARTITIONS)
    for customer, asked in (("ca", 200), ("cb", 100)):
        story.tell(bought(0, 300, customer))
        story.tell(asks(1, asked, customer=customer))
    for partition in range(PARTITIONS):
        story.work(partition, 4 if lands == "before" else 2 + 2 * (of_loser == partition_of("ca", PARTITIONS)))
    if lands == "before":
        story.settle()
    # the loser's own points_spent is moved behind the word that merges them: it finds the note, and goes on
    said = [story.logs[of_loser].pop() for _ in range(lands == "after")]
    story.merge("ca", "cb", at(1.5))
    story.logs[of_loser] += said
    story.work(of_loser, story.logs[of_loser].index(said[0]) - story.position(of_loser).offset - 1 if said else 100)
    story.tell(asks(2, 301, "too-many", "ca"))
    story.tell(asks(2, 300, "all", "ca"))
    story.settle()
    assert Counter(decided(story)) == Counter({"issued": 3, "balance": 1})
    assert now(story, "cb", 3) == (0, {})
    for partition in range(PARTITIONS):
        story.relay(partition, again=99)
    story.settle()
    assert now(story, "ca", 3) == (0, {}), "a word that comes again has gone the same way"


def test_who_was_forgotten_leaves_no_points_behind() -> None:
    story = merging()
    story.tell(bought(0, 300, "ca"))
    story.tell(asks(1, 200, customer="ca"))
    relay, story.relay = story.relay, lambda *_: None  # type: ignore[method-assign]
    story.settle()
    story.tell(e.Forget(id="f", customer="ca", at_ms=at(1)))
    story.relay = relay  # type: ignore[method-assign]
    for partition in range(PARTITIONS):
        story.relay(partition)
    story.settle()
    assert story.stored("ca") == b""


def test_a_request_that_comes_again_while_two_become_one_is_paid_as_often_as_it_is_granted() -> None:
    """The app says it again under the new name before the history of the old one has come."""
    story = merging()
    for customer in ("ca", "cb"):
        story.tell(bought(0, 300, customer))
    story.tell(asks(1, 300, "X", customer="cb"))
    story.settle()
    story.tell(e.Merge(id="cb>ca", customer="cb", at_ms=at(1), into="ca"))
    story.tell(asks(1.01, 300, "X", customer="ca"))
    story.work(partition_of("ca", PARTITIONS), 9)
    story.settle()
    granted = decided(story).count("issued")
    assert granted == 2
    assert now(story, "ca", 2) == (600 - 300 * granted, {})
    story.tell(asks(1.02, 300, "X", customer="ca"))
    story.settle()
    assert decided(story).count("issued") == granted
    assert now(story, "ca", 2) == (600 - 300 * granted, {})
