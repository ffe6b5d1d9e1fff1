"""Points for a coupon: never more than there are, each request once, and a reason for every no."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.triggers.campaign import Campaign, Campaigns
from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.points import spending_id
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.receipts.kept import Keeping, decode_kept
from alerts.triggers.receipts.spoken import points as spell_points
from alerts.triggers.rule import Rule, read_rule
from features import events as e
from features.outgoing import Points
from features.purse import SETTLED, Purse
from features.quiet import QuietHours
from features.record import Ledger, decode_ledger, encode_ledger
from features.times import DAY_MS
from tests.alerts.triggers.exchanges import (
    GIFT,
    RULE,
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
from tests.alerts.triggers.jobs import CATALOG, data_of


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
