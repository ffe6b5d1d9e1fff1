"""What a rule file can say: seasons, fields of the event, percentages, messages; priority, groups and stale events."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.triggers.calendar import all_calendars, read_calendar
from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.happenings import ZONE
from alerts.triggers.rule import After, Rule, read_rule
from alerts.triggers.schedule import Schedule
from alerts.triggers.timeline import failures
from features import events as e
from features.loop import batches, run
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, local_day
from tests.alerts.triggers.jobs import CATALOG, customers_job, data_of, encoded

MONDAY_MS = 1_777_824_000_000  # 4 May 2026 in the store's zone
FILE = """
id = "r"
on = ["{on}"]
when = "{when}"
then = {{ coupon = "X", face_value_cents = 100 }}
cooldown = "1m"
schedule = {{ {schedule} }}
[[test]]
name = "here"
events = [{event}]
fires_at = ["{at}"]
[[test]]
name = "not here"
events = [{other}]
"""


def judged(event: str, other: str, at: str = "+0s", schedule: str = "", when: str = "true", on: str = "order") -> Any:
    text = FILE.format(on=on, when=when, schedule=schedule, event=event, other=other, at=at)
    return failures(read_rule(text, "r.toml"), "r.toml", text, CATALOG)


@pytest.mark.parametrize(
    ("schedule", "inside", "outside"),
    [
        ("from = 2026-05-06, until = 2026-05-07", "+2d", "+1d 23h 59m"),
        ("from = 2026-05-06, until = 2026-05-07", "+3d 23h 59m", "+4d"),
        ('hours = ["14:00-17:30"]', "+14h", "+17h 30m"),
        ('hours = ["14:00-17:30"]', "+17h 29m", "+13h 59m"),
        ('hours = ["06:00-09:00", "22:00-02:00"]', "+1d 1h 59m", "+2h"),
        ('hours = ["06:00-09:00", "22:00-02:00"]', "+22h", "+21h 59m"),
        ('hours = ["18:00-24:00"]', "+23h 59m", "+1d"),
        ('weekdays = ["sat", "sun"]', "+5d", "+4d 23h"),
        ("not_on = [2026-05-05]", "+2d", "+1d 12h"),
    ],
)
def test_a_schedule_goes_by_the_stores_own_clock(schedule: str, inside: str, outside: str) -> None:
    event = '{{ type = "order", at = "{}" }}'
    assert judged(event.format(inside), event.format(outside), inside, schedule) == []


@pytest.mark.parametrize(
    ("schedule", "inside", "outside"),
    [
        ('weekdays = ["fri"]', ["+4d 22h", "+5d 1h 59m"], ["+4d 1h", "+5d 22h"]),
        ('weekdays = ["sun"]', ["+6d 23h", "+7d"], ["+6d 1h", "+7d 22h"]),
        ("from = 2026-05-05", ["+1d 22h", "+2d 1h"], ["+23h", "+1d 1h"]),
        ("until = 2026-05-05", ["+1d 22h", "+2d 1h 59m"], ["+2d 22h", "+3d 1h"]),
        ("not_on = [2026-05-05]", ["+1d 1h", "+2d 22h"], ["+1d 22h", "+2d 1h"]),
        ('holidays = ["may"]', ["+1d 22h", "+2d 23h", "+3d 1h"], ["+1d 1h", "+3d 22h"]),
        ('not_on_holidays = ["may"]', ["+1d 1h", "+3d 22h"], ["+1d 22h", "+2d 23h", "+3d 1h"]),
    ],
)
def test_the_hours_past_midnight_belong_to_the_evening_on_which_they_began(
    schedule: str, inside: list[str], outside: list[str]
) -> None:
    calendars = all_calendars({"c": read_calendar('[may]\nname = "May"\ndays = [[2026-05-05, 2026-05-06]]', "c")})
    events = [", ".join(f'{{ type = "order", at = "{at}" }}' for at in ats) for ats in (inside, outside)]
    written = {"on": "order", "when": "true", "schedule": f'hours = ["22:00-02:00"], {schedule}'}
    text = FILE.format(**written, event=events[0], other=events[1], at='", "'.join(inside))
    rule = read_rule(text, "r.toml", calendars)
    assert failures(rule, "r.toml", text, CATALOG) == []
    assert rule.condition.count("CASE") >= 1, "the clock's day is not the one that counts"


@pytest.mark.parametrize(
    ("schedule", "inside", "outside"),
    [
        ('stores = ["s1", "s\'2"]', 'store = "s\'2"', 'store = "s3"'),
        ('regions = ["east"]', 'region = "east"', 'region = "west"'),
        ('tiers = ["silver", "gold"]', "total_cents = 60000", "total_cents = 100"),
    ],
)
def test_a_schedule_lists_stores_regions_and_tiers(schedule: str, inside: str, outside: str) -> None:
    event = '{{ type = "order", {} }}'
    assert judged(event.format(inside), event.format(outside), schedule=schedule) == []


@pytest.mark.parametrize(
    ("on", "when", "inside", "outside"),
    [
        ("order", "total_cents >= 5000 AND campaign = ''", "total_cents = 5000", "total_cents = 4999"),
        ("rating", "stars < 2.5", "stars = 2.4", "stars = 2.5"),
        ("view", "sku LIKE 'oolong%'", 'sku = "oolong-l"', 'sku = "boba"'),
        ("complaint", "topic = 'food safety'", 'case = "1", topic = "food safety"', 'case = "1", topic = "waiting"'),
        ("order", "month = 5 AND day_of_month = 4", "total_cents = 1", 'at = "+1d"'),
        ("order", "minute_of_day = 61", 'at = "+0s"', 'at = "+1h 1m", total_cents = 1'),
    ],
)
def test_a_condition_looks_at_the_event_and_the_clock(on: str, when: str, inside: str, outside: str) -> None:
    event = f'{{{{ type = "{on}", {{}} }}}}'
    if "minute" in when:
        assert judged(event.format(outside), event.format(inside), "+1h 1m", when=when, on=on) == []
    else:
        assert judged(event.format(inside), event.format(outside), when=when, on=on) == []


def test_an_event_that_has_no_such_field_is_not_told_apart_by_it() -> None:
    rule = Rule("r", "total_cents IS NULL OR total_cents = 0", Then("X"), "1m", on=["order", "view"])
    log = [at(e.View(id="v"), 1), at(e.Order(id="o", lines=[e.Line("t")], total_cents=5), 2)]
    assert [d["cause"] for d in decided([rule], log)] == ["v"]


def at(event: e.Event, minute: int) -> e.Event:
    event.customer, event.at_ms, event.tz = "c", MONDAY_MS + minute * MINUTE_MS, ZONE
    event.day = local_day(event.at_ms, ZONE)
    return event


def tick(minute: int) -> e.Tick:
    return e.Tick(id=f"t{minute}", at_ms=MONDAY_MS + minute * MINUTE_MS, source="s", of=1)


def decided(rules: list[Rule], log: list[e.Event], topic: str = "decisions") -> list[dict]:
    return data_of(run(customers_job(rules), batches("events", 0, encoded(log)))[0], topic)


def given(rules: list[Rule], *log: e.Event) -> list[tuple[str, str]]:
    return [(d["rule"], d["outcome"]) for d in decided(rules, list(log))]


def grouped(id: str, priority: int, group: str = "g", cooldown: str = "1d") -> Rule:
    return Rule(id, "true", Then(id), cooldown, on=["view"], priority=priority, group=group)


def test_of_a_group_the_rule_with_the_greatest_priority_comes_first_and_keeps_the_others_out() -> None:
    rules = [grouped("a", 1), grouped("b", 5), grouped("c", 9, group="")]
    day = DAY_MS // MINUTE_MS
    found = given(rules, at(e.View(id="1"), 0), at(e.View(id="2"), day - 1), at(e.View(id="3"), day))
    assert found == [
        *[("c", "issued"), ("b", "issued"), ("a", "excluded")],
        *[("c", "cooldown"), ("b", "cooldown"), ("a", "excluded")],
        *[("c", "issued"), ("b", "issued"), ("a", "excluded")],
    ]


def test_a_cooldown_of_a_second_keeps_a_rule_out_of_what_its_group_gives_at_the_same_moment() -> None:
    rules = [grouped("a", 1, cooldown="1s"), grouped("b", 5, cooldown="1s")]
    assert given(rules, at(e.View(id="1"), 0)) == [("b", "issued"), ("a", "excluded")]


def test_rules_of_one_priority_keep_their_order() -> None:
    assert [rule for rule, _ in given([grouped(id, 0, "") for id in "bca"], at(e.View(id="1"), 0))] == ["b", "c", "a"]


@pytest.mark.parametrize(("late", "outcome"), [(120, "issued"), (121, "stale")])
def test_an_event_of_a_till_that_was_offline_gives_nothing_stale(late: int, outcome: str) -> None:
    rule = Rule("r", "true", Then("X"), "1m", on=["view"], max_event_age="2h")
    assert given([rule], tick(late), at(e.View(id="1"), 0)) == [("r", outcome)]
    assert given([rule], at(e.View(id="1"), 0), tick(late)) == [("r", "issued")]


def test_a_timer_that_an_outage_held_up_is_stale_too() -> None:
    rule = Rule("r", "true", Then("X"), "1m", after=After("view", "1h"), max_event_age="2h")
    hours = HOUR_MS // MINUTE_MS
    assert given([rule], tick(0), at(e.View(id="1"), 0), tick(3 * hours)) == [("r", "issued")]
    assert given([rule], tick(0), at(e.View(id="1"), 0), tick(3 * hours + 1)) == [("r", "stale")]


def test_a_message_and_a_percentage_are_told_to_the_channel() -> None:
    told = Rule("m", "true", Then(message="hello", channel="sms"), "1m", on=["view"])
    share = Rule("p", "true", Then("P", percent=10, at_most_cents=800), "1m", on=["view"])
    message, coupon = decided([told, share], [at(e.View(id="1"), 0)], "coupons")
    assert (message["message"], message["channel"], message["coupon"]) == ("hello", "sms", "")
    assert (coupon["percent"], coupon["at_most_cents"], coupon["coupon"]) == (10, 800, "P")


def test_a_rule_without_a_schedule_asks_what_it_says_and_no_more() -> None:
    assert Rule("r", "a OR b", Then("X"), "1m").condition == "a OR b"
    winter = Schedule(weekdays=["mon", "tue"], hours=["08:00-09:00"])
    assert Rule("r", "a OR b", Then("X"), "1m", schedule=winter).condition == (
        "((minute_of_day >= 480 AND minute_of_day < 540)) AND (weekday = 1 OR weekday = 2) AND (a OR b)"
    )


def test_a_timeline_looks_at_a_wait_when_it_is_over_so_that_nothing_is_stale_by_then() -> None:
    text = FILE.format(
        on="order",
        when="views_24h = 1",
        schedule="",
        event='{ type = "view" }, { type = "order", at = "+3h" }',
        at="+1h",
        other='{ type = "view" }, { type = "view", at = "+30m" }',
    ).replace('on = ["order"]', 'after = { event = "view", wait = "1h" }\nmax_event_age = "1s"')
    assert failures(read_rule(text, "r.toml"), "r.toml", text, CATALOG) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cooldown", "999999999999d"),
        ("cooldown", "36501d"),
        ("max_event_age", "999999999999d"),
        ("wait", "999999999999d"),
        ("wait", "1001 rhythms"),
        ("valid", "99999d"),
    ],
)
def test_a_duration_that_nobody_lives_to_see_is_refused_with_its_line(key: str, value: str) -> None:
    event = '{ type = "order" }'
    text = FILE.format(on="order", when="true", schedule="", event=event, other=event, at="+0s")
    written = {
        "cooldown": ('cooldown = "1m"', f'cooldown = "{value}"'),
        "max_event_age": ("schedule", f'max_event_age = "{value}"\nschedule'),
        "wait": ('on = ["order"]', f'after = {{ event = "order", wait = "{value}" }}'),
        "valid": ('coupon = "X"', f'coupon = "X", valid = "{value}"'),
    }
    with pytest.raises(WrongRule, match=rf"r.toml:\d+: {key}: found '{value}'"):
        read_rule(text.replace(*written[key], 1), "r.toml")


@pytest.mark.parametrize("when", ["greatest() > 1", "least() > 1", "coalesce() = 1"])
def test_a_function_without_what_it_is_asked_of_is_refused(when: str) -> None:
    rule = Rule(id="r", on=["view"], when=when, then=Then("A"), cooldown="0s")
    with pytest.raises(WrongRule, match=r"r.toml:1: when: .*; found"):
        over_catalog([(rule, "r.toml", "when")], CATALOG)
