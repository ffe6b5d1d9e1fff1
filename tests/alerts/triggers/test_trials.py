"""What becomes of arms: the control is asked like the others and takes nothing; rewards are those of the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from alerts.triggers.arms import Given, design_of
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.merging import Merging
from alerts.triggers.receipts.receipt import decision_id
from alerts.triggers.rule import Rule
from alerts.triggers.trials import KEPT, chosen
from features import events as e
from features.loop import Store, batches, run
from features.record import Choice, Ledger, decode_ledger, encode_ledger
from features.times import DAY_MS, HOUR_MS
from features.trials import Trial
from tests.alerts.triggers.armed import CONTROL, FIFTH, NOON_MS, THREE, drawn_for, event, job_of, lived, outcomes, rule
from tests.alerts.triggers.jobs import LIFECYCLE, customers_job, data_of, encoded, trials_of
from tests.features.streams import cuts
from tests.world import World

Story = Callable[[str, str], list[e.Event]]


def story(*told: tuple) -> Story:
    """What a customer does after a view on day 0; COUPON stands for the coupon of that view's decision."""

    def events(customer: str, coupon: str) -> list[e.Event]:
        return [
            event(kind, id, day, customer, **{k: coupon if v == "COUPON" else v for k, v in fields.items()})
            for kind, id, day, fields in told
        ]

    return events


REDEEMED = {"coupon": "COUPON"}


@pytest.mark.parametrize(
    ("arm", "then", "reward"),
    [
        # 1500 paid, 300 taken off: 60 % of 1800 is 1080, less 300
        ("three", story((e.Order, "o", 1, {}), (e.CouponRedeemed, "x", 1, {**REDEEMED, "order": "o"})), 780),
        ("three", story((e.CouponRedeemed, "x", 1, {**REDEEMED, "order": "o"}), (e.Order, "o", 1, {})), 780),
        ("three", story((e.CouponRedeemed, "x", 1, REDEEMED), (e.Order, "o", 1, {})), 780),
        ("three", story((e.Order, "o", 1, {}), (e.CouponRedeemed, "x", 1, REDEEMED)), 780),
        # the order that it names, not the one behind it
        (
            "three",
            story(
                (e.Order, "p", 1, {"total_cents": 9_000}),
                (e.CouponRedeemed, "x", 2, {**REDEEMED, "order": "o"}),
                (e.Order, "q", 2, {"total_cents": 7_000}),
                (e.Order, "o", 2, {}),
            ),
            780,
        ),
        # what the event itself says goes first, before the coupon: 60 % of 1300 is 780, less 300
        (
            "three",
            story((e.Order, "o", 1, {}), (e.CouponRedeemed, "x", 1, {**REDEEMED, "order": "o", "total_cents": 1_300})),
            480,
        ),
        # a fifth of 1000 + 250 (at most 250, for 1500 paid are 1875 less 375): 60 % of 1750 is 1050, less 250
        ("fifth", story((e.Order, "o", 1, {}), (e.CouponRedeemed, "x", 1, REDEEMED)), 800),
        # a fifth of 500 is 100: 60 % of 500 is 300, less 100
        ("fifth", story((e.CouponRedeemed, "x", 1, {**REDEEMED, "total_cents": 500})), 200),
        ("three", story((e.Order, "o", 1, {})), 0),
        ("three", story((e.CouponRedeemed, "x", 1, {"coupon": "another"})), 0),
        # twice is once
        (
            "three",
            story(
                (e.Order, "o", 1, {}),
                (e.CouponRedeemed, "x", 1, REDEEMED),
                (e.CouponRedeemed, "y", 2, {**REDEEMED, "total_cents": 90_000}),
            ),
            780,
        ),
    ],
)
def test_the_reward_is_the_margin_of_the_order_less_what_the_coupon_took_off(
    arm: str, then: Story, reward: int
) -> None:
    job = job_of(THREE, FIFTH)
    who = drawn_for(arm, job)
    told = trials_of(lived(job, event(e.View, "v", 0, who), *then(who, decision_id("r", who, "v"))))
    assert [trial.revision for trial in told] == list(range(len(told)))
    assert (told[0].arm, told[0].reward_cents, told[-1].reward_cents) == (arm, 0, reward)
    assert told[-1].redeemed == (reward > 0)


def test_a_redemption_by_code_is_a_reward_where_it_was_accepted() -> None:
    job = job_of(THREE, FIFTH, lifecycle=LIFECYCLE)
    who = drawn_for("three", job)
    views = event(e.View, "v", 0, who), event(e.View, "w", 0, "other")
    (mine,) = (c["code"] for c in data_of(lived(job, *views), "coupons") if c["customer"] == who)
    used = {"coupon": mine, "order": "o", "total_cents": 1_300}
    for customer, day, rewards in ((who, 1, [0, 480]), (who, 8, [0]), ("other", 1, [0])):
        told = trials_of(lived(job, *views, event(e.CouponRedeemed, "x", day, customer, **used)))
        assert [trial.reward_cents for trial in told if trial.arm == "three" and trial.at_ms == views[0].at_ms][
            : len(rewards) + 1
        ] == rewards, "late, or somebody else's, it was refused"


def test_an_order_of_the_control_counts_as_that_of_others_does_while_a_coupon_would_be_valid() -> None:
    job = job_of(THREE, CONTROL)
    for arm in ("control", "three"):
        who = drawn_for(arm, job)
        for day, ordered in ((6.9, True), (7.1, False)):
            told = trials_of(lived(job, event(e.View, "v", 0, who), event(e.Order, "o", day, who)))
            assert told[-1].ordered is ordered


def test_nobody_elses_redemption_is_a_reward() -> None:
    job = job_of(THREE, FIFTH)
    who = drawn_for("three", job)
    stolen = event(e.CouponRedeemed, "x", 1, "thief", coupon=decision_id("r", who, "v"))
    assert [t.redeemed for t in trials_of(lived(job, event(e.View, "v", 0, who), stolen))] == [False]


def test_the_order_that_led_to_a_decision_does_not_count_for_it() -> None:
    told = Rule(id="r", on=["order"], when="true", then=rule(THREE, FIFTH).then, cooldown="1d")
    assert [t.ordered for t in trials_of(lived(customers_job([told]), event(e.Order, "o", 0, "c1")))] == [False]


def test_messages_without_arms_tell_nothing_and_note_nothing() -> None:
    plain = Rule(id="r", on=["view"], when="true", then=Then(message="hello"), cooldown="1d")
    store = lived(customers_job([plain]), event(e.View, "v", 0, "c1"), event(e.Order, "o", 1, "c1"))
    assert trials_of(store) == []
    assert data_of(store, "coupons")[0]["arm"] is None


def test_of_a_customers_choices_the_first_is_told_as_such_and_the_others_tell_when_it_was() -> None:
    job = job_of(THREE, CONTROL, cooldown="1d")
    views = [event(e.View, f"v{n}-{day}", day + n / 100, f"c{n}") for day in range(3) for n in range(2)]
    told = trials_of(lived(job, *views))
    assert [(trial.first, trial.design != "") for trial in told] == [(True, True)] * 2 + [(False, False)] * 4
    assert [trial.exposed_ms for trial in told] == [trial.at_ms for trial in told[:2]] * 3


def test_of_two_who_become_one_the_earlier_first_choice_counts() -> None:
    merged = Ledger(exposed_ms={"r": 5, "s": 7}).merge(Ledger(exposed_ms={"r": 3, "t": 9}))
    assert merged.exposed_ms == {"r": 3, "s": 7, "t": 9}


def test_arms_whose_shares_are_learned_or_changed_are_not_held_against_those_of_before() -> None:
    one, other = Then("c", arms=[THREE, CONTROL]), Then("c", arms=[THREE, Arm("control", 2.0, nothing=True)])
    assert design_of(one) == design_of(replace(one, message="hello")) != design_of(other)
    assert design_of(replace(one, choose="learn")) == design_of(Then("c")) == ""


def test_a_ledger_of_before_is_read_and_one_with_choices_comes_back() -> None:
    assert decode_ledger(msgpack.encode([{"r": 1}, [1], {}, {"c": 2}])) == Ledger({"r": 1}, [1], {}, {"c": 2})
    ledger = Ledger(choices={"d" * 24: Choice("r", "a", "", 0.5, 1, 2)})
    assert decode_ledger(encode_ledger(ledger)) == ledger
    assert b"\xb8" in encode_ledger(ledger)


CUSTOMERS = ("ca", "cb")


days = st.integers(0, 40).map(lambda quarter: quarter / 4)


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    """Views, orders and redemptions of coupons that views may have led to, in any order, some of them twice."""
    log: list[e.Event] = []
    for number in range(draw(st.integers(0, 25))):
        who, day = draw(st.sampled_from(CUSTOMERS)), draw(days)
        kind = draw(st.sampled_from((e.View, e.Order, e.Order, e.CouponRedeemed)))
        fields: dict[str, object] = {}
        if kind is e.CouponRedeemed:
            coupon = decision_id("r", draw(st.sampled_from(CUSTOMERS)), f"e{draw(st.integers(0, 25))}")
            fields = {"coupon": coupon, "order": draw(st.sampled_from(("", f"e{draw(st.integers(0, 25))}")))}
        log.append(event(kind, f"e{number}", day, who, **fields))
    for again in draw(st.lists(st.integers(0, 100), max_size=4)) if log else ():
        log.insert(draw(st.integers(0, len(log))), log[again % len(log)])
    return log


JOB = job_of(THREE, FIFTH, CONTROL, cooldown="1d")


@settings(max_examples=80, deadline=None)
@given(streams(), cuts)
def test_any_cuts_of_the_log_tell_the_same_trials_and_leave_the_same_records(log: list[e.Event], cuts: list) -> None:
    stores = [
        run(JOB, batches("events", 0, encoded(log), c), {0: Store()})[0] for c in ([], list(range(len(log))), cuts)
    ]
    told = [Counter(map(repr, trials_of(store))) for store in stores]
    assert told[0] == told[1] == told[2]
    assert stores[0].records == stores[1].records == stores[2].records
    assert [trial.revision for trial in trials_of(stores[0])].count(0) == told_choices(stores[0])


def told_choices(store: Store) -> int:
    return sum(outcome in ("issued", "control") for outcome in outcomes(store))


@settings(max_examples=30, deadline=None)
@given(streams(), cuts, st.integers(0, 25), st.integers(0, 25))
def test_a_process_that_dies_tells_the_same_again(log: list[e.Event], cuts: list, first: int, second: int) -> None:
    kept, lost = sorted((first, second))
    store = run(JOB, batches("events", 0, encoded(log[:kept]), cuts)).get(0, Store())
    dead = run(JOB, batches("events", 0, encoded(log[:lost])), {0: deepcopy(store)})[0]
    replayed = run(JOB, batches("events", 0, encoded(log)), {0: store})[0]
    unharmed = run(JOB, batches("events", 0, encoded(log)))[0] if log else Store()
    assert replayed.records == unharmed.records
    assert {*map(repr, trials_of(dead)), *map(repr, trials_of(replayed))} == set(map(repr, trials_of(unharmed)))


@settings(max_examples=80, deadline=None)
@given(streams())
def test_a_slow_look_over_the_log_finds_the_same_orders_and_redemptions(log: list[e.Event]) -> None:
    store = run(JOB, batches("events", 0, encoded(log)))[0] if log else Store()
    last: dict[str, Trial] = {trial.decision: trial for trial in trials_of(store)}
    fresh = list({(one.customer, one.id): one for one in reversed(log)}.values())[::-1]
    firsts = [one for i, one in enumerate(log) if (one.customer, one.id) not in {(o.customer, o.id) for o in log[:i]}]
    assert len(fresh) == len(firsts)
    for i, view in enumerate(firsts):
        decision = decision_id("r", view.customer, view.id)
        if decision not in last:
            continue
        later = [one for one in firsts[i + 1 :] if one.customer == view.customer]
        inside = [o for o in later if isinstance(o, e.Order) and 0 <= o.at_ms - view.at_ms <= 7 * DAY_MS]
        used = [r for r in later if isinstance(r, e.CouponRedeemed) and r.coupon == decision]
        over = [d.at_ms for d in later if d.at_ms >= view.at_ms + 8 * DAY_MS]
        if over:
            continue  # what comes after the time is over is not followed
        assert last[decision].ordered == bool(inside)
        assert last[decision].redeemed == (bool(used) and last[decision].arm != "control")


def taken_back(kind: type[e.Refund], id: str, day: float, order: e.Order, cents: int) -> e.Event:
    fields = {"order": order.id, "ordered_time": order.at_ms, "ordered_ms": order.at_ms, "amount_cents": cents}
    return event(kind, id, day, order.customer, **fields)


def last_of(store: Store) -> dict[str, tuple[bool, bool, int]]:
    return {trial.decision: (trial.ordered, trial.redeemed, trial.reward_cents) for trial in trials_of(store)}


@settings(max_examples=80, deadline=None)
@given(streams(), st.integers(0, 30), st.booleans())
@example([], 29, True)  # redeemed a little late, by an order that is behind the time in which orders count
def test_a_void_leaves_all_as_if_the_order_had_not_been(log: list[e.Event], which: int, used: bool) -> None:
    order = event(e.Order, "gone", which / 4, "ca")
    first = event(e.View, "e99", 0, "ca")
    more = [first, order]
    if used:
        coupon = decision_id("r", "ca", "e99")
        more.append(event(e.CouponRedeemed, "used", which / 4, "ca", coupon=coupon, order="gone"))
    log = [one for one in log if one.at_ms <= NOON_MS or not isinstance(one, e.CouponRedeemed)]
    void = taken_back(e.Void, "void", 7.75, order, 1500)
    bare = run(JOB, batches("events", 0, encoded([*log, first])))[0]
    back = run(JOB, batches("events", 0, encoded([*log, *more, void])))[0]
    assert last_of(back) == last_of(bare)


def test_after_a_void_the_coupon_may_be_redeemed_once_more_and_a_refund_makes_it_bring_less() -> None:
    job = job_of(THREE, FIFTH)
    who = drawn_for("three", job)
    coupon, first, second = decision_id("r", who, "v"), event(e.Order, "o1", 1, who), event(e.Order, "o2", 3, who)
    store = lived(
        job,
        event(e.View, "v", 0, who),
        first,
        event(e.CouponRedeemed, "x1", 1, who, coupon=coupon, order="o1"),
        taken_back(e.Void, "b1", 2, first, 1_500),
        second,
        event(e.CouponRedeemed, "x2", 3, who, coupon=coupon, order="o2"),
        taken_back(e.Refund, "b2", 4, second, 500),
        taken_back(e.Refund, "b3", 4, event(e.Order, "o3", 3, who), 500),
    )
    told = [(one.ordered, one.redeemed, one.reward_cents) for one in trials_of(store)]
    assert told == [
        (False, False, 0),
        (True, False, 0),
        (True, True, 1_800 * 60 // 100 - 300),
        (False, False, 0),
        (True, False, 0),
        (True, True, 1_800 * 60 // 100 - 300),
        (True, True, 1_300 * 60 // 100 - 300),
    ]


def test_a_choice_goes_on_with_the_customer_whom_somebody_becomes() -> None:
    job = job_of(THREE, FIFTH)
    world = World(Merging(job, "events"))
    world.tell(event(e.View, "v", 0, "cb"))
    world.settle()
    world.merge("ca", "cb", NOON_MS + HOUR_MS)
    world.settle()
    world.tell(event(e.CouponRedeemed, "x", 1, "ca", coupon=decision_id("r", "cb", "v"), total_cents=1_500))
    world.settle()
    told = [trial for store in world.stores.values() for trial in trials_of(store)]
    assert sorted((t.revision, t.redeemed) for t in told) == [(0, False), (1, True)]


def withdrawn(trials: list[Trial]) -> list[str]:
    """The decisions, in order."""
    return [trial.decision for trial in trials if trial.withdrawn]


def test_of_more_choices_than_are_followed_the_oldest_are_withdrawn_though_they_were_redeemed() -> None:
    views = [event(e.View, f"v{n}", n / 100, "c") for n in range(KEPT + 2)]
    ids = [decision_id("r", "c", view.id) for view in views]
    used = [event(e.CouponRedeemed, f"x{n}", 0.5, "c", coupon=id, total_cents=1_500) for n, id in enumerate(ids)]
    store = lived(job_of(THREE, FIFTH), *views[:3], used[0], *views[3:], *used[1:])
    assert withdrawn(trials_of(store)) == ids[:2]
    assert {trial.decision for trial in trials_of(store) if trial.redeemed and not trial.withdrawn} == {
        ids[0],
        *ids[2:],
    }


def test_choices_that_are_over_crowd_out_none_that_is_open() -> None:
    ledger = Ledger()
    for number in range(2 * KEPT):
        then = Then("A", face_value_cents=100, valid="90d" if number == 0 else "2h")
        told = chosen(rule(THREE), Given(then), f"d{number}", NOON_MS + number * 2 * DAY_MS, ledger)
        assert withdrawn(told) == []
    assert list(ledger.choices) == ["d0", f"d{number}"]


def test_of_two_who_become_one_as_many_choices_are_followed_as_of_anybody() -> None:
    world = World(Merging(job_of(THREE, FIFTH), "events"))
    for number in range(KEPT):
        world.tell(event(e.View, f"v{number}", number / 100, ("ca", "cb")[number % 4 > 0]))
    world.tell(event(e.View, "w", 0.9, "ca"))
    world.settle()
    world.merge("ca", "cb", NOON_MS + DAY_MS)
    world.settle()
    told = [trial for store in world.stores.values() for trial in trials_of(store)]
    assert withdrawn(told) == [decision_id("r", "ca", "v0")]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), cuts)
def test_each_partition_is_told_each_hour_once_whether_anybody_has_come_or_not(moves: list[int], cut: list) -> None:
    """`moves`: thirds of an hour from tick to tick."""
    job, at_ms, log, hours = customers_job([]), NOON_MS, list[e.Event](), set[int]()
    job.partition_keys, job.sources = ["p0", "p1"], 3
    for move in moves:
        at_ms += move * HOUR_MS // 3
        log.append(e.Tick(id="t", at_ms=at_ms, source="pos/0", of=1))
        hours.add(at_ms // HOUR_MS)
    store = run(job, batches("events", 2, encoded(log), cut), {2: Store()})[2]
    told = [(message.key, e.decode_clean(message.value)) for message in store.sent]
    assert [(key, tick.at_ms, tick.source, tick.of) for key, tick in told] == [
        (key, hour * HOUR_MS, "2", 3) for hour in sorted(hours) for key in ("p0", "p1")
    ]
