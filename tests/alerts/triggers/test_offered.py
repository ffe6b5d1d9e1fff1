"""What models learn from: every coupon that is given, with what was seen then, and whoever would have got one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.campaign import Campaign, Campaigns
from alerts.triggers.condition import over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.gifts import Arm, Then, WrongRule
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.rule import Rule
from features import events as e
from features.labels import NO_LABELS
from features.loop import Store, batches, run
from features.models import Curve, LinearModel, input_layouts, score, terms
from features.models.curves import squash
from features.offers import BUCKETS, GIVEN, MOMENT, WORTH, Offer, input_row, inputs, inputs_of, seen_by
from features.tasks import OF_COUPONS
from features.times import DAY_MS, HOUR_MS, parse_time
from features.trials import HOLDOUT
from tests.alerts.triggers.jobs import CATALOG, FREE, customers_job, data_of, encoded, trials_of
from tests.features.streams import cuts
from tests.world import World

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
INPUTS = inputs_of(CATALOG)
NOTHING_KNOWN = np.full((1, len(CATALOG.models["propensity"])), np.nan)


def rule(id: str = "tea", when: str = "true", on: str = "view", cooldown: str = "0s", **more: object) -> Rule:
    then = more.pop("then", Then("T", 300, valid="2d", min_spend_cents=900))
    return Rule(id=id, on=[on], when=when, then=then, cooldown=cooldown, **more)  # type: ignore[arg-type]


def event(kind: type[e.Event], id: str, day: float, customer: str = "c1", **fields: object) -> e.Event:
    at_ms = NOON_MS + round(day * DAY_MS)
    more = {"lines": [e.Line("tea")], "total_cents": 1500} if kind is e.Order else {}
    return kind(id=id, customer=customer, at_ms=at_ms, tz="UTC", **{**more, **fields})  # type: ignore[arg-type]


def lived(job: CustomersJob, *events: e.Event) -> Store:
    return run(job, batches("events", 0, encoded(list(events))))[0]


def model(name: str, **weights: float) -> LinearModel:
    names = INPUTS[name]
    steps = np.geomspace(1.0, 1e5, 200)
    knots = [*-steps[::-1], 0.0, *steps]
    curves = [Curve(knots, (weights.get(n, 0.0) * squash(np.array(knots))).tolist()) for n in names]
    return LinearModel(name, 3, input_layouts(CATALOG)[name], 9, names, curves, -1.0)


def scored(job: CustomersJob, *models: LinearModel) -> CustomersJob:
    job.decider.models = {one.name: one for one in models}
    return job


def test_a_coupon_of_a_rule_without_arms_is_followed_until_what_comes_of_it_is_known() -> None:
    store = lived(
        customers_job([rule()], lifecycle=None),
        event(e.View, "v", 0),
        event(e.Order, "o", 0.5),
        event(e.CouponRedeemed, "x", 0.6, coupon=data_of_one(event(e.View, "v", 0)), order="o"),
    )
    told = trials_of(store)
    assert [(t.arm, t.propensity, t.ordered, t.redeemed, t.nothing) for t in told] == [
        ("", 1.0, False, False, False),
        ("", 1.0, True, False, False),
        ("", 1.0, True, True, False),
    ]
    assert [bool(t.scored) for t in told] == [True, False, False]


def data_of_one(view: e.Event) -> str:
    """The decision that it leads to."""
    (one,) = data_of(lived(customers_job([rule()], lifecycle=None), view), "decisions")
    return str(one["decision"])


def test_it_is_told_with_exactly_what_the_models_saw_of_that_moment() -> None:
    past = [event(e.Order, f"o{n}", n * 3, total_cents=1_000 + n) for n in range(4)]
    store = lived(customers_job([rule()]), *past, event(e.View, "v", 10))
    (trial,) = trials_of(store)
    core = customers_job([rule()]).core
    row = core.rows({"c1": store.records["c1"]}, trial.at_ms)
    layouts = input_layouts(CATALOG)
    for name, target in (("propensity", "redeemed"), ("uplift", "uplift")):
        seen, names = trial.scored[name], INPUTS[name]
        features = [CATALOG.names[i] for i in CATALOG.models[name]]
        known = dict(zip(features, row[0, CATALOG.models[name]], strict=True))
        known |= dict(zip(WORTH, (300, 0, 0, 900), strict=True)) | {"offer_valid_hours": 48, GIVEN: 1}
        known |= dict.fromkeys(MOMENT[1:], 0)
        (bucket,) = [n for n in MOMENT[1:] if dict(zip(names, seen.row, strict=True))[n]]
        known[bucket] = 1
        known |= {f"{name}_if_given": value for name, value in known.items()}
        wanted = [None if np.isnan(known[n]) else known[n] for n in names]
        assert (seen.target, seen.layout, seen.row) == (target, layouts[name], wanted)


@pytest.mark.parametrize("nothing", [False, True])
def test_the_control_teaches_uplift_alone_and_as_one_who_got_nothing(nothing: bool) -> None:
    arms = [Arm("a", coupon="A", face_value_cents=100, weight=1e-6 if nothing else 1), Arm("b", nothing=True)]
    job = customers_job([rule(then=Then(arms=arms, valid="2d"))])
    views = [event(e.View, f"v{n}", 0, f"c{n}") for n in range(20)]
    for trial in trials_of(lived(job, *views)):
        assert {*trial.scored} == ({"uplift"} if trial.nothing else {"propensity", "uplift"})
        told = dict(zip(INPUTS["uplift"], trial.scored["uplift"].row, strict=True))
        assert told[GIVEN] == (not trial.nothing)
        treated = [told[name] for name in told if name.endswith("_if_given") or name in WORTH]
        assert any(treated) == (not trial.nothing)


def test_a_message_that_gives_no_coupon_is_not_followed() -> None:
    store = lived(customers_job([rule(then=Then(message="hello"))]), event(e.View, "v", 0))
    assert (data_of(store, "decisions")[0]["outcome"], trials_of(store)) == ("issued", [])


def test_without_a_model_that_learns_from_them_coupons_without_arms_are_not_followed() -> None:
    models, tasks = ({"churn_risk": of["churn_risk"]} for of in (CATALOG.models, CATALOG.tasks))
    bare = replace(CATALOG, models=models, tasks=tasks)
    decider = Decider(bare, over_catalog([(rule(), "", "")], bare), FREE, "coupons", "decisions")
    job = CustomersJob(bare, decider, NO_LABELS, "examples", "d")
    store = lived(job, event(e.View, "v", 0))
    assert (len(data_of(store, "coupons")), trials_of(store)) == (1, [])
    assert job.core.unpacked(store.records["c1"]).ledger.choices == {}


def test_each_rule_is_scored_by_the_coupon_that_it_offers_itself() -> None:
    when = "propensity >= 0.5"
    rules = [rule("dear", when, then=Then("D", 900)), rule("cheap", when, then=Then("C", 100))]
    one = model("propensity", offer_cents=0.2)
    job = scored(customers_job(rules), one)
    decisions = data_of(lived(job, event(e.View, "v", 0)), "decisions")
    assert [d["rule"] for d in decisions] == ["dear"]
    seen = inputs("redeemed", NOTHING_KNOWN, Offer("dear", 900, 0, 0, 0, 7 * DAY_MS))
    assert decisions[0]["values"]["propensity"] == pytest.approx(float(score(one, seen)[0]), abs=1e-6)
    moved = {name: term for name, term in decisions[0]["terms"]["propensity"].items() if term}
    added = terms(one, seen)[0, INPUTS["propensity"].index("offer_cents")]
    assert moved == {"offer_cents": pytest.approx(added, abs=1e-4)}


def test_a_rule_with_arms_is_scored_by_the_first_that_gives_something() -> None:
    arms = [Arm("none", nothing=True), Arm("dear", coupon="D", face_value_cents=900), Arm("cheap", coupon="C")]
    one = model("propensity", offer_cents=0.2)
    job = scored(customers_job([rule(when="propensity > 0", then=Then(arms=arms))]), one)
    views = [event(e.View, f"v{n}", 0, f"c{n}") for n in range(9)]
    told = {round(d["values"]["propensity"], 4) for d in data_of(lived(job, *views), "decisions")}
    seen = inputs("redeemed", NOTHING_KNOWN, Offer("tea", 900, 0, 0, 0, 7 * DAY_MS))
    assert told == {round(float(score(one, seen)[0]), 4)}


def test_uplift_is_the_difference_that_the_coupon_makes_and_its_terms_say_what_of() -> None:
    job = scored(customers_job([rule(when="uplift > 0")]), model("uplift", offer_given=2.0, offer_valid_hours=0.1))
    (decision,) = data_of(lived(job, event(e.View, "v", 0)), "decisions")
    one = model("uplift", offer_given=2.0, offer_valid_hours=0.1)
    offer, at = Offer("tea", 300, 0, 0, 900, 2 * DAY_MS), INPUTS["uplift"].index(GIVEN)
    unknown = NOTHING_KNOWN[:, : len(CATALOG.models["uplift"])]
    rows = [inputs("uplift", unknown, offer, given) for given in (True, False)]
    both, added = [float(score(one, of)[0]) for of in rows], [terms(one, of)[0, at] for of in rows]
    assert decision["values"]["uplift"] == pytest.approx(both[0] - both[1], abs=1e-6)
    moved = {name: term for name, term in decision["terms"]["uplift"].items() if term}
    assert moved == {GIVEN: pytest.approx(added[0] - added[1], abs=1e-4)}


def test_before_there_is_a_model_its_score_is_unknown_and_coalesce_lets_rules_go_on() -> None:
    rules = [rule("sure", "propensity >= 0"), rule("bold", "COALESCE(propensity, 1) >= 0.1")]
    decisions = data_of(lived(customers_job(rules), event(e.View, "v", 0)), "decisions")
    assert [(d["rule"], d["values"]["propensity"]) for d in decisions] == [("bold", None)]


@pytest.mark.parametrize("name", ["propensity", "uplift"])
def test_a_rule_without_a_coupon_cannot_ask_for_the_chance_of_its_coupon(name: str) -> None:
    text = f'id = "r"\nwhen = "{name} > 0.5"\n'
    wanted = f"^r.toml:2: when: {name} is of the rule's own coupon, and it gives none: name a coupon"
    with pytest.raises(WrongRule, match=wanted):
        over_catalog([(rule(when=f"{name} > 0.5", then=Then(message="m")), "r.toml", text)], CATALOG)


def test_rules_of_one_worth_that_share_a_bucket_are_the_same_to_a_model() -> None:
    rows = np.zeros((1, 0))
    seen = {tuple(inputs("redeemed", rows, Offer(f"r{n}", 1, 2, 3, 4, HOUR_MS))[0]) for n in range(200)}
    assert len(seen) == BUCKETS
    assert all(sum(row[-BUCKETS:]) == 1 for row in seen)


@given(
    st.sampled_from(OF_COUPONS),
    st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=3, max_size=3), min_size=1, max_size=3),
    st.builds(Offer, st.text(), *[st.integers(0, 2_000)] * 4, st.integers(0, 9 * DAY_MS)),
    st.booleans(),
)
def test_one_row_is_seen_as_rows_are(target: str, rows: list[list[float]], offer: Offer, given: bool) -> None:
    whole = inputs(target, np.array(rows), offer, given)
    each = [input_row(target, row, offer, given or target == "redeemed") for row in rows]
    np.testing.assert_array_equal(whole, np.array(each))
    assert whole.shape[1] == len(seen_by(target, ["a", "b", "c"]))


# who is held out

FEW = Then("C", 50, campaign="few")
DRAWN = Then("D", valid="1d", arms=[Arm("x", coupon="X"), Arm("y", nothing=True)])
GROUPED = [
    rule("a", cooldown="2d", group="g", priority=2),
    rule("b", cooldown="1d", group="g"),
    rule("c", "true", "order", capped=False, then=FEW),
    rule("e", capped=False, exit="orders_24h >= 1", exit_on=["order"]),
    rule("d", "orders_lifetime >= 1", capped=False, then=DRAWN),
    rule("m", cooldown="1d", group="g", priority=1, then=Then(message="hello")),
]
KINDS = (e.View, e.View, e.Order)
OPEN = Policy(2, 4 * DAY_MS, 0.0, "salt", "", channel_caps={"push": Cap(3, 2 * DAY_MS)})


def grouped(holdout: float) -> CustomersJob:
    few = Campaigns([Campaign("few", coupons_per_customer=2)])
    return customers_job(GROUPED, replace(OPEN, holdout=holdout), campaigns=few)


FREE_JOB, HELD_JOB = grouped(0.0), grouped(1.0)


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    steps = draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(("c1", "c2")), st.integers(0, 40)), max_size=40)
    )
    days = np.cumsum([hours / 24 for _, _, hours in steps])
    return [event(kind, f"e{n}", day, who) for n, ((kind, who, _), day) in enumerate(zip(steps, days, strict=True))]


@settings(max_examples=80, deadline=None)
@given(streams(), cuts)
def test_who_is_held_out_is_tried_exactly_when_they_would_have_got_something(
    log: list[e.Event], cuts: list[int]
) -> None:
    if not log:
        return
    free, held = (run(job, batches("events", 0, encoded(log), cuts))[0] for job in (FREE_JOB, HELD_JOB))
    began = [[(t.decision, t.at_ms, t.expires_ms) for t in trials_of(s) if not t.revision] for s in (free, held)]
    assert began[0] == began[1]
    assert {t.arm for t in trials_of(held)} <= {HOLDOUT}
    assert all(t.nothing and not t.redeemed for t in trials_of(held))
    told = [{t.decision: t.ordered for t in trials_of(s)} for s in (free, held)]
    assert told[0] == told[1]
    assert {d["outcome"] for d in data_of(held, "decisions")} <= {"holdout"}
    assert data_of(held, "coupons") == []
    assert not held.spent


@settings(max_examples=20, deadline=None)
@given(streams(), cuts)
def test_any_cuts_of_the_log_try_the_held_out_alike(log: list[e.Event], cuts: list[int]) -> None:
    if not log:
        return
    whole, cut = (run(HELD_JOB, batches("events", 0, encoded(log), c))[0] for c in ([], cuts))
    assert [*map(repr, trials_of(whole))] == [*map(repr, trials_of(cut))]
    assert whole.records == cut.records


def test_two_records_of_one_who_is_held_out_become_one() -> None:
    world = World(Merging(customers_job([rule(cooldown="9d")], replace(OPEN, holdout=1.0)), "events"))
    for day, who in enumerate(("ca", "cb")):
        world.tell(event(e.View, f"v{day}", day, who))
    world.settle()
    world.merge("ca", "cb", NOON_MS + 2 * DAY_MS)
    world.settle()
    for day in (9.5, 10.5):
        world.tell(event(e.View, f"v{day}", day, "ca"))
    world.settle()
    told = sorted(t.at_ms for store in world.stores.values() for t in trials_of(store))
    assert [(ms - NOON_MS) / DAY_MS for ms in told] == [0, 1, 10.5]
