"""What the board counts of decisions is exact, whatever comes twice, and takes no more memory the longer it runs."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from board import decided as d
from board.api.coupons import WAYS
from board.decided import Decided
from features.channels import CLOUDEVENTS
from features.times import DAY_MS, local_day, parse_time

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
ZONE = "Asia/Shanghai"


def message(
    id: str, rule: str, what: str, at_ms: int = NOON_MS, decision: str = "", campaign: str = "c"
) -> tuple[str, bytes]:
    """As the flows send it: a decision, or a turn of a coupon."""
    data = {"decision": decision or id, "rule": rule, "customer": "ca", "campaign": campaign, "at_ms": at_ms}
    if what in d.TURNS:
        topic = "deliveries" if what in ("delivered", "undeliverable") else "redemptions"
        if topic == "deliveries":
            data = {"decision": decision, "gateway": "g", "reason": "", "attempts": 1, "status": 200, "at_ms": at_ms}
        return topic, orjson.dumps({"id": id, "type": f"brewline.coupon.{what}", "data": data})
    topic = "coupons" if what == "issued" else "decisions"
    return topic, orjson.dumps(
        {"id": id, "type": "brewline.decision", "data": {**data, "outcome": what, "coupon": "X"}}
    )


RULES, OUTCOMES = st.sampled_from("abc"), st.sampled_from(["issued", "cooldown", "capped", "redeemed", "opened"])
CAME = st.lists(st.tuples(st.integers(0, 30), RULES, OUTCOMES, st.integers(0, 3)), max_size=40)


@given(CAME, st.integers(1, 7))
def test_counts_are_those_of_a_plain_count_of_each_message_once(
    came: list[tuple[int, str, str, int]], at_once: int
) -> None:
    counted, wanted, days, seen = Decided(ZONE), Counter[tuple[str, str]](), Counter[tuple[int, str, str]](), set[str]()
    told: dict[tuple[str, str], int] = {}
    messages = []
    for number, rule, what, day in came:
        at_ms = NOON_MS + day * DAY_MS
        messages.append(message(f"m{number}", rule, what, at_ms))
        if f"m{number}" not in seen:
            seen.add(f"m{number}")
            wanted[rule, what] += 1
            days[local_day(at_ms, ZONE), rule, what] += 1
    for start in range(0, len(messages), at_once):
        news = counted.take(messages[start : start + at_once])
        told |= {(count.rule, count.what): count.count for count in news.counts}
    assert told == dict(wanted), "a viewer who hears what has changed knows all"
    assert {(one.rule, one.what): one.count for one in counted.news().counts} == dict(wanted)
    for day in counted.days:
        found = {(rule, what): n for rule, ways in counted.funnel("rule", day).items() for what, n in ways.items()}
        assert found == {(rule, what): n for (on, rule, what), n in days.items() if on == day}


def test_the_way_of_a_coupon_has_the_steps_that_flows_tell_of_and_no_others() -> None:
    told = {name.removeprefix("coupon.") for name in CLOUDEVENTS if name.startswith("coupon.")}
    assert ({*WAYS}, len(WAYS)) == (told, len(told))
    page = Path("board/static/pages/coupons.funnel.js").read_text()
    assert {*re.findall(r'"(\w+)"', page.partition("STEPS = [")[2].partition("]")[0])} <= told


def test_a_delivery_counts_for_the_rule_whose_coupon_it_was_even_if_it_is_read_before_the_coupon() -> None:
    came = [message("i", "welcome", "issued", decision="d1"), message("v", "", "delivered", decision="d1")]
    for order in (came, came[::-1]):
        counted = Decided(ZONE)
        told = [counted.take([each]).counts for each in (*order, message("w", "", "delivered", decision="of-before"))]
        assert counted.funnel("rule") == {"welcome": Counter(issued=1, delivered=1)}
        assert counted.funnel("campaign")["c"] == Counter(issued=1, delivered=1)
        assert [one for counts in told for one in counts] == [
            d.Count("welcome", "delivered", 1),
            d.Count("welcome", "issued", 1),
        ][:: -1 if order is came else 1]


def test_a_delivery_counts_whichever_topic_tells_of_its_coupon_first() -> None:
    _, raw = message("i", "welcome", "issued", decision="d1")
    for topics in (("coupons", "decisions"), ("decisions", "coupons")):
        counted = Decided(ZONE)
        counted.take([*((topic, raw) for topic in topics), message("v", "", "delivered", decision="d1")])
        assert counted.funnel("rule") == {"welcome": Counter(issued=1, delivered=1)}


def test_a_coupon_that_several_gateways_take_is_delivered_once() -> None:
    counted = Decided(ZONE)
    turns = ("delivered", "delivered", "undeliverable", "delivered")
    counted.take([message(f"v{n}", "", turn, decision="d1") for n, turn in enumerate(turns[:2])])
    counted.take([message("i", "welcome", "issued", decision="d1")])
    counted.take([message(f"w{n}", "", turn, decision="d1") for n, turn in enumerate(turns[2:])])
    assert counted.funnel("rule") == {"welcome": Counter(issued=1, delivered=1, undeliverable=1)}


def test_many_decisions_at_once_are_told_by_the_latest_of_each_kind() -> None:
    counted = Decided(ZONE)
    flood = [message(f"f{n}", "hot-day", "cooldown", NOON_MS + n) for n in range(3_000)]
    news = counted.take([message("rare", "welcome", "issued", NOON_MS), *flood])
    assert (news.came, [(one.rule, one.at_ms - NOON_MS) for one in news.items]) == (
        3_001,
        [("welcome", 0), ("hot-day", 2_999)],
    )
    assert [one.rule for one in counted.news(outcome="issued").items] == ["welcome"], "it is found among all others"
    assert [one.at_ms - NOON_MS for one in counted.news("hot-day", "", 2).items] == [2_998, 2_999]


def test_memory_does_not_grow_with_what_is_decided(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(d, "REMEMBERED", 100)
    counted = Decided(ZONE)
    for day in range(20):
        counted.take([message(f"{day}-{n}", "r", "issued", NOON_MS + day * DAY_MS) for n in range(200)])
    counted.take([message(f"v{n}", "", "delivered", decision=f"of-before-{n}") for n in range(200)])
    assert (len(counted.seen), len(counted.whose), len(counted.early), len(counted.days)) == (100, 100, 100, d.DAYS)
    assert sum(map(len, counted.latest.values())) == d.EACH
    assert counted.news().counts[0].count == 4_000


def test_who_looks_away_begins_to_count_anew() -> None:
    counted = Decided(ZONE)
    counted.begin(1)
    counted.take([message("a", "r", "issued")])
    counted.begin(2)
    assert (counted.news().counts, counted.news().since_ms) == ([], 2)


def refused(id: str, *decisions: str, rule: str = "a") -> tuple[str, bytes]:
    """As the customers flow tells of many at once."""
    of = {"rule": rule, "rule_version": "v", "outcome": "no_consent", "coupon": "X", "face_value_cents": 5}
    of |= dict.fromkeys(("percent", "at_most_cents", "cap", "channel_cap"), 0)
    of |= dict.fromkeys(("message", "channel"), "") | {name: {} for name in ("terms", "values", "models")}
    columns = {"decision": decisions, "customer": decisions, "cause": decisions, "holdout": [False] * len(decisions)}
    times = ("at_ms", "expires_ms", "trigger_stamp_ms", "clock_ms")
    data = {**of, "campaign": "c", **columns, **dict.fromkeys(times, [NOON_MS] * len(decisions))}
    return "decisions", orjson.dumps({"id": id, "type": "brewline.refusals", "data": data})


def test_each_of_those_that_are_told_together_counts_once_however_they_are_put_together() -> None:
    counted = Decided(ZONE)
    news = counted.take([refused("m1", "d1", "d2"), message("d3", "a", "cooldown")])
    assert (news.came, [count.count for count in news.counts]) == (3, [1, 2])
    again = counted.take([refused("m2", "d2"), refused("m3", "d1", "d4")])
    assert (again.came, [(count.what, count.count) for count in again.counts]) == (1, [("no_consent", 3)])
    [latest] = counted.news("a", "no_consent", most=1).items
    assert (latest.decision, latest.customer, latest.gift, latest.worth_cents) == ("d4", "d4", "X", 5)
