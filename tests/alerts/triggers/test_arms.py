"""Who gets which arm: always the same, in the shares that were asked for, and for no reason but chance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from alerts.triggers.arms import Arms, arm_shares, draw
from alerts.triggers.gifts import Arm, Then, WrongRule
from alerts.triggers.policy import held_out
from alerts.triggers.rule import Rule, read_rule
from features.arms import Weights

CUSTOMERS = [f"c{n}" for n in range(4_000)]
RARE = 1e-4  # how seldom chance alone may look so odd; the customers are fixed, so this never flickers
weights = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 100), min_size=2, max_size=6)
salts = st.text(min_size=1, max_size=8)


def share_of(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {arm: weight / total for arm, weight in weights.items()}


def drawn(weights: dict[str, float], salt: str = "s") -> list[str]:
    shares = share_of(weights)
    return [draw(shares, salt, customer) for customer in CUSTOMERS]


def rule(choose: str = "split", context: str = "", id: str = "r", **weights: float) -> Rule:
    arms = [Arm(n, w, nothing=n == "control", coupon=None if n == "control" else n) for n, w in weights.items()]
    return Rule(id=id, on=["order"], when="true", then=Then(arms=arms, choose=choose, context=context), cooldown="1d")


@settings(max_examples=60, deadline=None)
@given(weights, salts)
def test_an_arm_hangs_on_shares_salt_and_customer_alone(weights: dict[str, float], salt: str) -> None:
    backwards = dict(reversed(share_of(weights).items()))
    assert [draw(share_of(weights), salt, c) for c in CUSTOMERS[:30]] == [
        draw(backwards, salt, c) for c in CUSTOMERS[:30]
    ]


def test_the_same_arm_is_drawn_in_every_process_and_version() -> None:
    shares = {"a": 0.2, "b": 0.3, "c": 0.5}
    assert "".join(draw(shares, "arm|brewline|winback", f"c{n}") for n in range(24)) == "bacbbcbcbbccbccaccbccbbc"


@settings(max_examples=25, deadline=None)
@given(weights, salts)
def test_each_arm_gets_its_share_of_the_customers(weights: dict[str, float], salt: str) -> None:
    found, shares = Counter(drawn(weights, salt)), share_of(weights)
    several = {arm: share for arm, share in shares.items() if share * len(CUSTOMERS) >= 5}
    rest = 1 - sum(several.values())
    off = sum((found[arm] - share * len(CUSTOMERS)) ** 2 / share / len(CUSTOMERS) for arm, share in several.items())
    assert off < chi2.isf(1e-7, max(1, len(several) - (rest < 1e-9)))


@settings(max_examples=40, deadline=None)
@given(weights, st.data(), st.floats(0.01, 100))
def test_a_changed_weight_moves_customers_to_that_arm_or_from_it_only(
    before: dict[str, float], data: st.DataObject, weight: float
) -> None:
    arm = data.draw(st.sampled_from(sorted(before)))
    moved = {(a, b) for a, b in zip(drawn(before), drawn({**before, arm: weight}), strict=True) if a != b}
    assert all(b == arm for _, b in moved) if weight > before[arm] else all(a == arm for a, _ in moved)


def test_no_more_customers_move_than_the_shares_ask_for() -> None:
    before, after = {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0, "c": 2.0}
    moved = sum(a != b for a, b in zip(drawn(before), drawn(after), strict=True)) / len(CUSTOMERS)
    assert moved == pytest.approx(1 / 2 - 1 / 3, abs=0.02)


def test_an_arm_that_comes_or_goes_takes_or_leaves_its_own_customers_only() -> None:
    two, three = drawn({"a": 1.0, "b": 1.0}), drawn({"a": 1.0, "b": 1.0, "c": 1.0})
    assert {b for a, b in zip(two, three, strict=True) if a != b} == {"c"}


def table_of(some: list[str], others: list[str]) -> list[list[int]]:
    pairs = Counter(zip(some, others, strict=True))
    return [[pairs[a, b] for b in sorted(set(others))] for a in sorted(set(some))]


def test_the_arm_of_one_rule_tells_nothing_of_another_rule_or_of_the_holdout() -> None:
    arms = [
        [Arms([one], "salt", 0).given(one, c, "").arm.name for c in CUSTOMERS]
        for one in (  # type: ignore[union-attr]
            rule(id="winback", three=1, five=1, control=1),
            rule(id="slack", three=1, five=1, control=1),
        )
    ]
    held = [str(held_out(customer, "salt", 0.3)) for customer in CUSTOMERS]
    for some, others in ((arms[0], arms[1]), (arms[0], held), (arms[1], held)):
        assert chi2_contingency(table_of(some, others)).pvalue > RARE
    assert chi2_contingency(table_of(arms[0], arms[0])).pvalue < RARE, "the test would see it"


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(("a", "b", "c", "control", "gone")), st.floats(0, 1), max_size=5),
    st.floats(0, 0.5),
    st.floats(0.1, 10),
)
def test_learned_shares_sum_to_one_keep_the_floor_and_leave_the_control_alone(
    learned: dict[str, float], least: float, weight: float
) -> None:
    then = rule("learn", a=1, b=2, c=1, control=weight).then
    shares = arm_shares(then, learned, least)
    fixed = weight / (4 + weight)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares.keys() == {"a", "b", "c", "control"}
    assert shares["control"] == pytest.approx(fixed)
    assert min(shares.values()) >= min(least, (1 - fixed) / 3, fixed, (1 - fixed) / 4) - 1e-9


def test_a_new_arm_begins_with_the_mean_of_the_others_and_one_that_is_gone_takes_nothing() -> None:
    then = rule("learn", old=1, other=1, new=1).then
    assert arm_shares(then, {"old": 0.6, "other": 0.2, "gone": 0.2}, 0.0) == pytest.approx(
        {"old": 0.5, "other": 1 / 6, "new": 1 / 3}
    )


def test_a_rule_that_learns_begins_with_its_weights_and_follows_what_is_published_for_the_context() -> None:
    learning = rule("learn", "rfm_segment", a=1, b=3)
    arms = Arms([learning], "s", 0.05)
    first = arms.given(learning, "c1", "loyal").arm
    assert first is not None
    assert (first.propensity, first.weights_version) == ({"a": 0.25, "b": 0.75}[first.name], 0)
    arms.weights["r"] = Weights("r", 7, 100, {"loyal": {"a": 1.0, "b": 0.0}})
    of = Counter(arms.given(learning, c, "loyal").arm.name for c in CUSTOMERS)  # type: ignore[union-attr]
    assert of["a"] / len(CUSTOMERS) == pytest.approx(0.95, abs=0.015)
    told = arms.given(learning, "c1", "lost").arm
    assert told is not None
    assert (told.context, told.weights_version, told.propensity) == ("lost", 7, first.propensity)


def test_the_control_keeps_its_customers_whatever_is_learned_of_the_others() -> None:
    learning, groups = rule("learn", a=1, b=1, control=1), []
    for shares in ({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5}, {"a": 0.1, "b": 0.9}):
        arms = Arms([learning], "s", 0.05)
        arms.weights["r"] = Weights("r", 1, 100, {"": shares})
        groups.append([c for c in CUSTOMERS if arms.given(learning, c, "").nothing])
    assert groups[0] == groups[1] == groups[2]
    assert len(groups[0]) / len(CUSTOMERS) == pytest.approx(1 / 3, abs=0.025)


def test_the_propensity_is_what_the_arm_was_drawn_with() -> None:
    arms = Arms([one := rule(a=1, b=3)], "s", 0.0)
    for customer in CUSTOMERS[:20]:
        given = arms.given(one, customer, "")
        assert given.arm is not None
        assert given.arm.propensity == {"a": 0.25, "b": 0.75}[given.arm.name]
        assert given.then.coupon == given.arm.name


TEXT = """
id = "r"
on = ["order"]
when = "orders_7d >= 1"
cooldown = "1d"
[then]
coupon = "X"
face_value_cents = 300
campaign = "c"
{then}
[[then.arms]]
name = "three"
{three}
[[then.arms]]
name = "five"
{five}
[[test]]
name = "fires"
events = [{{ type = "order" }}]
fires_at = ["+0s"]
{test}
[[test]]
name = "is quiet"
events = [{{ type = "login" }}]
"""


def text(then: str = "", three: str = "", five: str = "face_value_cents = 500", test: str = "") -> str:
    return TEXT.format(then=then, three=three, five=five, test=test)


def test_an_arm_says_what_is_its_own_and_then_what_they_have_in_common() -> None:
    gifts = read_rule(text(), "r.toml").then.gifts
    assert {name: (g.coupon, g.face_value_cents, g.campaign) for name, g in gifts.items()} == {
        "three": ("X", 300, "c"),
        "five": ("X", 500, "c"),
    }


def test_the_dearest_arm_is_what_a_rule_is_worth() -> None:
    assert read_rule(text(), "r.toml").then.worth_cents == 500
    inline = (
        text()
        .replace(
            "[then]",
            'then = { coupon = "X", arms = [{ name = "a", face_value_cents = 7 },\n'
            '{ name = "b", nothing = true }] }\n[[after]]',
        )
        .partition("[[after]]")[0]
    )
    rest = "[[test]]" + text().partition("[[test]]")[2]
    assert read_rule(inline + rest, "r.toml").then.worth_cents == 7


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"three": "wieght = 2"}, "r.toml:13: then.arms: unknown key 'wieght'; did you mean 'weight'?"),
        ({"three": "weight = 0"}, "r.toml:6: then.arms.weight: found 0, expected `float` > 0.0"),
        ({"five": 'name = "three"'}, "r.toml: not valid TOML: Cannot overwrite a value"),
        ({"five": "percent = 10"}, "r.toml:15: then.arms: five: found face_value_cents and percent, expected one"),
        ({"five": "nothing = true\npercent = 10"}, "r.toml:15: then.arms: five: gives nothing and names percent: drop"),
        (
            {"three": "nothing = true", "five": "nothing = true"},
            "r.toml:6: then: found 2 arms, expected two or more, of",
        ),
        ({"then": 'choose = "lern"'}, "r.toml:6: then.choose: found 'lern'; did you mean 'learn'?"),
        ({"then": 'context = "tier"'}, 'r.toml:10: then.context: only choose = "learn" looks at it'),
        ({"then": 'choose = "learn"', "five": "nothing = true"}, 'r.toml:6: then: choose = "learn" needs two arms'),
        (
            {"then": 'choose = "learn"', "five": 'coupon = ""\nface_value_cents = 0\nmessage = "hi"'},
            'r.toml:15: then.arms: five: gives no coupon, and choose = "learn" learns from',
        ),
        ({"test": 'arm = "fiv"'}, "r.toml:18: test 'fires': there is no arm 'fiv'; did you mean 'five'?"),
        (
            {"five": "nothing = true", "test": 'arm = "five"'},
            "r.toml:18: test 'fires': the arm 'five' gives nothing: write fires_at = []",
        ),
    ],
)
def test_wrong_arms_are_refused_with_line_and_what_to_write(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(WrongRule) as refused:
        read_rule(text(**wrong), "r.toml")
    assert str(refused.value).startswith(message)


def test_choose_without_arms_is_refused() -> None:
    head, _, tail = text('choose = "learn"').partition("[[then.arms]]")
    with pytest.raises(WrongRule, match=r"r.toml:10: then.choose: is for rules with arms: add arms, or drop it"):
        read_rule(head + "[[test]]" + tail.partition("[[test]]")[2], "r.toml")


def test_a_quiet_test_of_the_control_proves_nothing() -> None:
    only_control = text(five="nothing = true").replace('name = "is quiet"', 'name = "is quiet"\narm = "five"')
    with pytest.raises(WrongRule, match="has no quiet test"):
        read_rule(only_control, "r.toml")
