"""A campaign that is paused at a place gives nothing there, from that word of the log on until the next."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.brake import Brakes, decode_brake
from alerts.triggers.gifts import Then
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.receipts.kept import Keeping, decode_kept
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.times import DAY_MS, HOUR_MS, local_day, parse_time
from tests.alerts.triggers.campaigns import campaigns_of
from tests.alerts.triggers.jobs import customers_job, data_of, encoded, trials_of
from tests.features.streams import cuts

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
CUSTOMERS = ("ca", "cb", "cc")  # of whom the last is held out
SALT = next(s for s in map(str, range(999)) if [held_out(c, s, 0.2) for c in CUSTOMERS] == [False, False, True])
POLICY = Policy(cap=1_000_000, cap_window_ms=DAY_MS, holdout=0.2, holdout_salt=SALT, consent="")
REGIONS = {"s1": "east", "s2": "east", "s3": "west", "": ""}
RULES = [
    Rule(id="spring", on=["view"], when="true", then=Then("s", 300, campaign="spring"), cooldown="0s"),
    Rule(id="winter", on=["view"], when="true", then=Then("w", 200, campaign="winter"), cooldown="0s"),
    Rule(id="plain", on=["view"], when="true", then=Then("p", 100), cooldown="0s"),
    Rule(id="wait", after=After("view", "1h"), when="true", then=Then("t", 100, campaign="spring"), cooldown="0s"),
]
JOB = Merging(
    customers_job(RULES, POLICY, campaigns=campaigns_of('id = "spring"\nbudget_cents = 9000'), keeping=Keeping(50)),
    "events",
)


def view(number: int, store: str = "", customer: str = "ca") -> e.View:
    at_ms, zone = NOON_MS + number * HOUR_MS // 4, "Asia/Shanghai"
    where = {"store": store, "region": REGIONS[store]}
    return e.View(id=f"v{number}", customer=customer, at_ms=at_ms, day=local_day(at_ms, zone), tz=zone, **where)


def brake(revision: int, paused: bool, campaign: str = "spring", place: str = "store:s1") -> e.Brake:
    return e.Brake(
        id=f"brake|{campaign}/{place}|{revision}",
        at_ms=NOON_MS,
        campaign=campaign,
        place=place,
        revision=revision,
        paused=paused,
        by="anna",
        reason="tills take coupons twice",
    )


def lived(log: list[e.Event], cuts: list[int] | None = None, store: Store | None = None) -> Store:
    return run(JOB, batches("events", 0, encoded(log), cuts or []), {0: store or Store()})[0]


def outcomes(store: Store, rule: str = "spring") -> list[str]:
    return [decision["outcome"] for decision in data_of(store, "decisions") if decision["rule"] == rule]


def test_between_pause_and_resume_a_campaign_gives_nothing_in_that_store_and_everywhere_else_goes_on() -> None:
    log = [view(0, "s1"), brake(1, True), view(1, "s1"), view(2, "s2"), view(3), brake(2, False), view(4, "s1")]
    store = lived(log)
    assert outcomes(store) == ["issued", "paused", "issued", "issued", "issued"]
    assert outcomes(store, "winter") == outcomes(store, "plain") == ["issued"] * 5
    assert store.spent["spring/budget"] == 4 * 300


def test_the_receipt_tells_who_has_paused_it_where_when_and_why() -> None:
    store = lived([brake(1, True), view(1, "s1")])
    [decision] = [one for one in data_of(store, "decisions") if one["rule"] == "spring"]
    told = {
        "campaign": "spring",
        "place": "store:s1",
        "revision": 1,
        "by": "anna",
        "at_ms": NOON_MS,
        "reason": "tills take coupons twice",
        "incident": "",
    }
    assert decision["brake"] == told
    kept = [*map(decode_kept, store.receipts["ca"])]
    assert [one.brake.by for one in kept if one.brake] == ["anna"]


def test_a_region_is_all_of_its_stores_and_everywhere_is_also_where_nobody_knows() -> None:
    places = ("s1", "s2", "s3", "")
    views = [view(n, store) for n, store in enumerate(places)]
    assert outcomes(lived([brake(1, True, place="region:east"), *views])) == ["paused", "paused", "issued", "issued"]
    assert outcomes(lived([brake(1, True, place=""), *views])) == ["paused"] * 4


def test_what_comes_of_a_timer_is_paused_only_where_all_of_the_campaign_is() -> None:
    ticks = [e.Tick(id="t", at_ms=NOON_MS + 9 * HOUR_MS, source="s", of=1)]
    for place, outcome in (("store:s1", "issued"), ("", "paused")):
        assert outcomes(lived([view(0, "s1"), brake(1, True, place=place), *ticks]), "wait") == [outcome]


def test_of_those_held_out_nothing_is_compared_either_while_the_campaign_is_paused() -> None:
    held = lived([view(0, "s1", "cc"), brake(1, True), view(1, "s1", "cc"), view(2, "s2", "cc")])
    assert [trial.at_ms for trial in trials_of(held) if trial.rule == "spring"] == [
        NOON_MS,
        NOON_MS + HOUR_MS // 2,
    ]


def test_a_word_that_comes_again_behind_a_later_one_changes_nothing() -> None:
    log = [brake(1, True), brake(2, False), brake(1, True), view(0, "s1")]
    assert outcomes(lived(log)) == ["issued"]
    assert outcomes(lived([brake(2, False), brake(1, True), view(0, "s1")])) == ["issued"]


def test_a_partition_that_never_heard_of_a_brake_keeps_nothing_and_asks_for_nothing() -> None:
    assert lived([view(0, "s1")]).brakes == {}
    assert Brakes.of({}).keys == []


steps = st.one_of(
    st.tuples(st.just("view"), st.sampled_from(sorted(REGIONS)), st.sampled_from(CUSTOMERS)),
    st.tuples(st.just("brake"), st.sampled_from(("store:s1", "store:s3", "region:east", "")), st.booleans()),
    st.tuples(st.just("again"), st.integers(0, 9), st.booleans()),
)


def log_of(plan: list[tuple]) -> list[e.Event]:
    """Views, pauses and their ends, some said again later on."""
    log, words = list[e.Event](), list[e.Brake]()
    for number, (what, one, two) in enumerate(plan):
        if what == "view":
            log.append(view(number, one, two))
        elif what == "brake":
            words.append(brake(1 + sum(word.place == one for word in words), two, place=one))
            log.append(words[-1])
        elif words:
            log.append(words[one % len(words)])
    return log


def paused(log: list[e.Event]) -> list[bool]:
    """By view, by the letter: whether the last word on any of its places is a pause."""
    known, found = dict[str, e.Brake](), list[bool]()
    for event in log:
        if isinstance(event, e.Brake):
            if event.place not in known or event.revision > known[event.place].revision:
                known[event.place] = event
        elif event.customer != "cc":
            places = {"", f"store:{event.store}", f"region:{event.region}"}
            found.append(any(place in known and known[place].paused for place in places))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=30).map(log_of), cuts)
def test_wherever_the_log_is_cut_exactly_what_stands_behind_a_pause_is_paused(
    log: list[e.Event], cuts: list[int]
) -> None:
    whole, single, cut = lived(log), lived(log, list(range(len(log)))), lived(log, cuts)
    not_held = [one for one in data_of(whole, "decisions") if one["rule"] == "spring" and one["outcome"] != "holdout"]
    assert [one["outcome"] == "paused" for one in not_held] == paused(log)
    for other in (single, cut):
        assert Counter(map(repr, other.sent)) == Counter(map(repr, whole.sent))
        assert (other.brakes, other.records, other.spent) == (whole.brakes, whole.records, whole.spent)


@settings(max_examples=30, deadline=None)
@given(st.lists(steps, max_size=30).map(log_of), st.integers(0, 30), st.integers(0, 30))
def test_what_is_lost_and_replayed_is_paused_as_it_was(log: list[e.Event], first: int, second: int) -> None:
    kept, lost = sorted((first, second))
    store = lived(log[:kept])
    snapshot = deepcopy(store)
    lived(log[:lost], [], store)
    replayed = lived(log, [], snapshot)
    assert {*map(repr, store.sent)} <= {*map(repr, replayed.sent)}, "what had left comes again as it was"
    assert {name: decode_brake(raw).paused for name, raw in replayed.brakes.items()} == {
        name: decode_brake(raw).paused for name, raw in lived(log).brakes.items()
    }
