"""Points for a coupon: never more than there are, each request once, and a reason for every no."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.backtests.backtest import Backtest
from alerts.triggers.campaign import Campaign, Campaigns
from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from alerts.triggers.points import spending_id
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.receipts.kept import Keeping, decode_kept
from alerts.triggers.receipts.spoken import points as spell_points
from alerts.triggers.referrals import Settling
from alerts.triggers.rule import Rule, read_rule
from alerts.triggers.worth import Worth
from features import events as e
from features.job import Batch, Clock
from features.loop import Store, batches, run
from features.outgoing import Points
from features.purse import SETTLED, Purse
from features.quiet import QuietHours
from features.record import Ledger, decode_ledger, encode_ledger
from features.times import DAY_MS, parse_time
from tests.alerts.triggers.jobs import CATALOG, FREE, customers_job, data_of, encoded
from tests.features.test_points import jar, month_of
from tests.world import World

NOON_MS = parse_time("2026-05-04T12:00:00Z")
WORTH = Worth("points", cents_each=10, least=100, at_most_cents=20_000)
GIFT = Then("POINTS", worth=WORTH, spends=True, campaign="points")
RULE = Rule(id="exchange", on=["points_exchange"], when="true", then=GIFT, cooldown="0s")


def exchanging(rules: list[Rule], policy: Policy = FREE, **more: Any) -> CustomersJob:
    job = customers_job(rules, policy, **more)
    job.settling = Settling("events", DAY_MS)
    return job


JOB = exchanging([RULE])
SMALL_GIFT = Then("POINTS", worth=Worth("points", cents_each=10, least=10, at_most_cents=1_000), spends=True)
SMALL = exchanging([Rule(id="exchange", on=["points_exchange"], when="true", then=SMALL_GIFT, cooldown="0s")])


def at(day: float) -> int:
    return NOON_MS + round(day * DAY_MS)


def bought(day: float, yuan: int, customer: str = "c", id: str = "") -> e.Order:
    common = {"customer": customer, "tz": "UTC", "lines": [e.Line("tea")], "total_cents": 100 * yuan, "day": 1}
    return e.Order(id=id or f"o{customer}{day}", at_ms=at(day), **common)


def asks(day: float, points: int, id: str = "", customer: str = "c") -> e.PointsExchange:
    id = id or f"x{customer}{day}"
    return e.PointsExchange(id=id, customer=customer, at_ms=at(day), tz="UTC", points=points, day=1)


def gave(day: float, points: int, customer: str = "c") -> e.PointsSpent:
    return e.PointsSpent(id=f"s{customer}{day}", customer=customer, at_ms=at(day), tz="UTC", points=points, day=1)


def lived(log: list[e.Event], job: Any = JOB, cuts: list[int] | None = None, store: Store | None = None) -> Store:
    first = store.position.offset + 1 if store else 0
    return run(job, batches("events", 0, encoded(log), cuts or (), first), {0: store or Store()})[0]


def outcomes(store: Store) -> list[str]:
    return [one["because"] or one["outcome"] for one in data_of(store, "decisions")]


def spent_by(store: Store) -> list[e.PointsSpent]:
    return [e.decode_clean(message.value) for message in store.sent if message.topic == "events"]


def balance(store: Store, day: float, customer: str = "c") -> float:
    return JOB.core.row(store.records[customer], at(day))[CATALOG.names.index("points_balance")]


def purse(store: Store, customer: str = "c") -> Purse:
    return JOB.core.unpacked(store.records[customer]).ledger.purse or Purse()


def test_a_request_is_granted_exactly_and_its_points_are_said_to_be_spent_in_the_same_commit() -> None:
    store = lived([bought(0, 300), asks(1, 250)])
    [coupon], [spent] = data_of(store, "coupons"), spent_by(store)
    assert (coupon["face_value_cents"], coupon["points"]) == (2_500, {"asked": 250, "balance": 300, "promised": 0})
    assert spent == e.PointsSpent(id=spending_id("xc1"), customer="c", at_ms=at(1), points=250, what="POINTS")
    assert (balance(store, 1), purse(store).points) == (300, 250)
    lived([spent], store=store)
    assert (balance(store, 1), purse(store).points) == (50, 0)
    assert store.position.counts["own"] == 1


def test_each_no_has_its_reason() -> None:
    log = [
        *(bought(0, 3_000), asks(1, 99), asks(2, 2_001), asks(3, 2_000), asks(4, 1_001), asks(5, 1_000)),
        *(asks(6, 100), asks(-8, 100)),
    ]
    assert outcomes(lived(log)) == ["too_few", "too_many", "issued", "balance", "issued", "balance", "late"]
    told = data_of(lived(log), "decisions")
    assert {one["outcome"] for one in told} == {"issued", "no_points"}
    assert told[5]["points"] == {"asked": 100, "balance": 3_000, "promised": 3_000}


def test_what_was_spent_in_a_later_month_is_not_given_once_more_by_a_request_that_comes_late() -> None:
    log = [bought(-40, 300), gave(30, 300), asks(-1, 300), bought(31, 50), asks(30.5, 50, "last")]
    assert outcomes(lived(log)) == ["late", "too_few"]
    assert outcomes(lived([bought(-40, 300), gave(2, 300), asks(1, 300)])) == ["balance"]


def test_a_request_that_comes_again_long_after_its_id_is_forgotten_is_granted_once() -> None:
    others = [e.AppOpen(id=f"a{n}", customer="c", at_ms=at(1), tz="UTC", day=1) for n in range(200)]
    store = lived([bought(0, 900), asks(1, 200), *others, asks(1, 200)])
    assert outcomes(store) == ["issued", "again"]
    lived([*spent_by(store), asks(1, 200)], store=store)
    assert (outcomes(store)[2:], balance(store, 2)) == ([], 700)
    lived([*others, asks(1, 200)], store=store)
    assert (outcomes(store)[2:], balance(store, 2)) == (["again"], 700)


def test_two_rules_do_not_grant_the_same_request_twice() -> None:
    other = Rule(id="other", on=["points_exchange"], when="true", then=GIFT, cooldown="0s", priority=-1)
    store = lived([bought(0, 900), asks(1, 200)], exchanging([RULE, other]))
    assert (outcomes(store), len(spent_by(store))) == (["issued", "again"], 1)


def test_neither_consent_nor_holdout_nor_caps_nor_quiet_hours_keep_back_what_is_paid_for_and_it_counts_for_none() -> (
    None
):
    plain = Rule(id="plain", on=["app_open"], when="true", then=Then("P", face_value_cents=1), cooldown="0s")
    night = QuietHours(0, DAY_MS)
    policy = Policy(1, DAY_MS, 1.0, "s", "marketing", night, channel_caps={"push": Cap(1, DAY_MS)})
    log = [bought(0, 900), asks(1, 100, "a"), asks(1, 100, "b")]
    assert outcomes(lived(log, exchanging([RULE], policy))) == ["issued", "issued"]
    opened = e.AppOpen(id="o", customer="c", at_ms=at(1), tz="UTC", day=1)
    capped = Policy(1, DAY_MS, 0.0, "s", "", channel_caps={"push": Cap(1, DAY_MS)})
    assert outcomes(lived([*log, opened], exchanging([RULE, plain], capped))) == ["issued"] * 3


def test_suppression_cooldown_budget_and_stock_bind() -> None:
    held = e.Suppress(id="s", customer="c", at_ms=at(0.5), tz="UTC", reason="review", day=1)
    assert outcomes(lived([bought(0, 900), held, asks(1, 100)])) == ["review"]
    slow = Rule(id="slow", on=["points_exchange"], when="true", then=GIFT, cooldown="1d")
    assert outcomes(lived([bought(0, 900), asks(1, 100), asks(1.5, 100), asks(2, 100)], exchanging([slow]))) == [
        *("issued", "cooldown", "issued")
    ]
    small = Campaigns([Campaign("points", budget_cents=3_000)])
    store = lived([bought(0, 900), asks(1, 200), asks(2, 200), asks(3, 100)], exchanging([RULE], campaigns=small))
    assert outcomes(store) == ["issued", "budget", "issued"]
    assert [one.points for one in spent_by(store)] == [200, 100], "what was not given costs nothing"


def test_a_refund_leaves_less_and_what_is_owed_is_not_given() -> None:
    back = e.Refund(
        id="r", customer="c", at_ms=at(2), tz="UTC", order="oc0", ordered_time=0, ordered_ms=at(0), amount_cents=25_000
    )
    store = lived([bought(0, 300), asks(1, 300), back, bought(3, 200), asks(4, 100)])
    assert outcomes(store) == ["issued", "balance"]
    assert data_of(store, "decisions")[1]["points"] == {"asked": 100, "balance": 250, "promised": 300}


def test_receipts_are_kept_with_the_points_and_told_in_words() -> None:
    store = lived([bought(0, 250), asks(1, 100), asks(2, 200)], exchanging([RULE], keeping=Keeping(receipts=9)))
    yes, no = (decode_kept(raw) for raw in store.receipts["c"])
    assert (yes.points, no.points) == (Points(100, 250, 0), Points(200, 250, 100))
    assert spell_points(no.points, no.because) == "asked 200 points, has 250, of which 100 are promised"
    assert spell_points(Points(50, 250, 0), "too_few") == (
        "asked 50 points, has 250: fewer than the rule takes at once"
    )


def test_a_ledger_from_before_there_were_purses_is_read() -> None:
    old = orjson.loads(orjson.dumps([{"r": 5}, [1, 2]]))
    assert decode_ledger(encode_ledger(old)) == Ledger({"r": 5}, [1, 2])  # type: ignore[arg-type]
    kept = Ledger(purse=Purse({-(2**62): 5}, [7], 9))
    assert decode_ledger(encode_ledger(kept)) == kept


purses = st.builds(
    Purse,
    st.dictionaries(st.integers(-50, -1), st.integers(1, 9)),
    st.lists(st.integers(0, 50), unique=True),
    st.integers(0, 99),
)


@given(purses, purses)
def test_of_two_purses_that_become_one_all_is_promised_that_is_not_settled(one: Purse, other: Purse) -> None:
    both = one.merge(other)
    assert both.promised == {**one.promised, **other.promised, **one.promised}
    assert {*both.settled} == {*one.settled, *other.settled}
    assert both.spent_ms == max(one.spent_ms, other.spent_ms)
    [id] = [*one.promised][:1] or [-99]
    one.settle(id, 0)
    assert id not in one.merge(other).promised or id not in one.settled


def test_a_purse_keeps_a_bounded_number_of_what_is_settled() -> None:
    mine = Purse()
    for id in range(2 * SETTLED):
        mine.promise(id, 1, id)
        mine.settle(id, id)
    assert (len(mine.settled), mine.points, mine.spent_ms) == (SETTLED, 0, 2 * SETTLED - 1)


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


@settings(max_examples=200, deadline=None)
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


@settings(max_examples=200, deadline=None)
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
    """With the ids of events at hand, as a back-test of such a rule has them."""
    backtest = Backtest(CATALOG, over_catalog([(rule, "r.toml", "") for rule in rules], CATALOG), FREE, ids=True)
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
    story = merging()
    for customer, asked in (("ca", 200), ("cb", 100)):
        story.tell(bought(0, 300, customer))
        story.tell(asks(1, asked, customer=customer))
    relay, story.relay = story.relay, (lambda *_: None) if lands == "after" else story.relay  # type: ignore[method-assign]
    story.settle()
    story.merge("ca", "cb", at(1.5))
    for partition in range(len(story.logs)):
        story.work(partition, 100)
    story.relay = relay  # type: ignore[method-assign]
    for partition in range(len(story.logs)):
        story.relay(partition)
    story.settle()
    story.tell(asks(2, 301, "too-many", "ca"))
    story.tell(asks(2, 300, "all", "cb"))
    story.settle()
    assert Counter(decided(story)) == Counter({"issued": 3, "balance": 1})
    assert now(story, "cb", 3) == (0, {})
    for partition in range(len(story.logs)):
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
    for partition in range(len(story.logs)):
        story.relay(partition)
    story.settle()
    assert story.stored("ca") == b""


TEXT = """\
id = "r"
on = ["points_exchange"]
when = "true"
cooldown = "0s"
[then]
coupon = "P"
worth = { of = "points", cents_each = 10, least = 100, at_most_cents = 20000 }
spends = true
[[test]]
name = "a"
events = [{ type = "points_exchange", points = 100 }]
fires_at = ["+0s"]
[[test]]
name = "b"
events = [{ type = "points_exchange", points = 99 }]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '"points_exchange"]\nwhen',
            '"points_spent"]\nwhen',
            "r.toml:2: on: a rule with then.spends answers a customer",
        ),
        ('"points_exchange"]\nwhen', '"points_exchange", "order"]\nwhen', 'write on = ["points_exchange"]'),
        (
            'of = "points"',
            'of = "points_balance"',
            "r.toml:7: then.worth.of: found 'points_balance', expected 'points'",
        ),
        ("cents_each = 10, least = 100, at_most_cents = 20000", "steps = [[1, 1]]", "then.spends: found it without"),
        (
            'worth = { of = "points", cents_each = 10, least = 100, at_most_cents = 20000 }',
            "face_value_cents = 5",
            "r.toml",
        ),
        ("spends = true", 'spends = true\nsend = "their-hour"', "found it beside send = 'their-hour'"),
        ('cooldown = "0s"', 'cooldown = "1s"\ngroup = "g"', "r.toml:5: group: found 'g'"),
        ('cooldown = "0s"', 'cooldown = "0s"\nquiet = "drop"', "r.toml:5: quiet: found 'drop'"),
        ("spends = true", "spends = 1", "then.spends"),
    ],
)
def test_what_cannot_be_paid_with_points_is_refused_with_its_place(old: str, new: str, told: str) -> None:
    text = TEXT.replace(old, new)
    assert text != TEXT
    with pytest.raises(WrongRule) as refused:
        over_catalog([(read_rule(text, "r.toml"), "r.toml", text)], CATALOG)
    assert told in str(refused.value)


def test_an_event_that_asks_for_no_points_at_all_is_no_event() -> None:
    with pytest.raises(Exception, match="points"):
        e.decode_event(b'{"type":"points_exchange","id":"1","points":0}')
