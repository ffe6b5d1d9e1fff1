"""Rules that wait by the customer's rhythm, until a promised time, for a birthday; and what quiet hours do to all."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.happenings import ZONE
from alerts.triggers.rule import After, Rule, read_rule
from alerts.triggers.schedule import read_quiet_hours
from alerts.triggers.timeline import failures
from features import events as e
from features.kernel.clocks import year_ms
from features.loop import Store, batches, run
from features.quiet import ALWAYS_AWAKE, QuietHours
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, local_day, midnight_ms, next_day
from tests.alerts.triggers.jobs import CATALOG, FREE, customers_job, data_of, encoded

MONDAY_MS = 1_777_824_000_000  # 4 May 2026, 00:00 in the store's zone
NIGHT = read_quiet_hours("22:00-08:00")
FILE = """
id = "r"
{looks}
when = "{when}"
then = {{ coupon = "X", face_value_cents = 100 }}
cooldown = "1m"
[[test]]
name = "in time"
events = {events}
fires_at = {fires}
[[test]]
name = "never"
events = [{{ type = "login" }}]
"""


def judged(looks: str, events: str, fires: str, when: str = "true") -> list[str]:
    text = FILE.format(looks=looks, when=when, events=events, fires=fires)
    return failures(read_rule(text, "r.toml"), "r.toml", text, CATALOG)


@pytest.mark.parametrize(
    ("events", "fires"),
    [
        ('[{ type = "order" }]', "[]"),  # one order has no rhythm
        ('[{ type = "order", repeat = 2, every = "4d" }]', '["+10d"]'),
        ('[{ type = "order", repeat = 3, every = "4d" }]', '["+14d"]'),
        (
            '[{ type = "order" }, { type = "order", at = "+2d" }, { type = "order", at = "+10d" }]',
            '["+5d", "+17d 12h"]',
        ),
    ],
)
def test_a_rule_waits_one_and_a_half_of_the_customers_own_rhythm(events: str, fires: str) -> None:
    looks = 'after = { event = "order", wait = "1.5 rhythm" }'
    if fires == "[]":
        events, fires = events[:-1] + ', { type = "order", at = "+2d" }]', '["+5d"]'
    assert judged(looks, events, fires) == []


PROMISED = 'after = { event = "delivery_promised", until = "promised_time", wait = "10m" }'


@pytest.mark.parametrize(
    ("delivered", "fires"),
    [("", ["+11h"]), (', { type = "delivery_delivered", order = "o", at = "+10h 59m" }', [])],
)
def test_a_promise_is_looked_at_when_it_should_have_been_kept(delivered: str, fires: list[str]) -> None:
    promised = '{ type = "delivery_promised", order = "o", promised_time = "+10h 50m", at = "+10h" }'
    events = f"[{promised}{delivered}]"
    when = "minutes_since_delivery IS NULL OR minutes_since_delivery > minutes_since_promise"
    if fires:
        assert judged(PROMISED, events, str(fires).replace("'", '"'), when) == []
    else:
        assert judged(PROMISED, events, '["+11h"]', when) == [
            "r.toml:8: test 'in time': fired at no time, expected +11h"
        ]


@pytest.mark.parametrize(
    ("looks", "events", "fires"),
    [
        (
            'after = { event = "profile", until = "birthday", wait = "10h" }',
            '[{ type = "profile", birthday = "05-18", at = "+9h" }]',
            "+14d 10h",
        ),
        (
            PROMISED,
            '[{ type = "delivery_promised", order = "o", promised_time = "+3d 10h", at = "+10h" }]',
            "+3d 10h 10m",
        ),
        (
            'after = { event = "order", wait = "1.5 rhythm" }',
            '[{ type = "order" }, { type = "order", at = "+80d" }]',
            "+200d",
        ),
    ],
)
def test_a_timeline_runs_until_the_moment_that_an_event_names_and_the_wait_behind_it(
    looks: str, events: str, fires: str
) -> None:
    assert judged(looks, events, f'["{fires}"]') == []
    late = judged(looks, '[{ type = "login" }]', '["+1h"]')
    assert late == ["r.toml:8: test 'in time': fired at no time, expected +1h"]


def test_a_moment_is_waited_for_at_the_event_that_names_it_only() -> None:
    looks = 'after = { event = "order", until = "birthday", wait = "10h" }'
    with pytest.raises(WrongRule, match=r"after\.until: birthday is named by event = 'profile' only"):
        judged(looks, "[]", '["+0s"]')


def at(event: e.Event, at_ms: int) -> e.Event:
    event.customer, event.at_ms, event.tz = "c", at_ms, ZONE
    event.day = local_day(at_ms, ZONE)
    return event


def tick(at_ms: int) -> e.Tick:
    return e.Tick(id=f"t{at_ms}", at_ms=at_ms, source="s", of=1)


def decided(rule: Rule, log: list[e.Event], quiet: QuietHours = ALWAYS_AWAKE, cuts: tuple[int, ...] = ()) -> Store:
    return run(customers_job([rule], replace(FREE, quiet=quiet)), batches("events", 0, encoded(log), cuts))[0]


def test_a_birthday_comes_every_year_at_ten_by_the_customers_clock() -> None:
    rule = Rule("b", "true", Then("B"), "1d", after=After("profile", "10h", "birthday"))
    profile = e.Profile(id="p", birthday="06-01")
    profile.birthday_ms = midnight_ms(date(2026, 6, 1).toordinal(), ZONE)
    years = [midnight_ms(date(year, 6, 1).toordinal(), ZONE) + 10 * HOUR_MS for year in (2026, 2027, 2028)]
    log = [at(profile, MONDAY_MS), *(tick(ms + 1) for ms in years)]
    assert [d["at_ms"] for d in data_of(decided(rule, log), "coupons")] == years
    assert [d["at_ms"] for d in data_of(decided(rule, log, cuts=(1, 2, 3)), "coupons")] == years


def test_a_birthday_that_a_condition_refuses_this_year_is_asked_again_the_next() -> None:
    rule = Rule("b", "orders_lifetime >= 1", Then("B"), "1d", after=After("profile", "10h", "birthday"))
    profile = e.Profile(id="p", birthday="06-01", birthday_ms=midnight_ms(date(2026, 6, 1).toordinal(), ZONE))
    order = e.Order(id="o", lines=[e.Line("t")], total_cents=5)
    log = [at(profile, MONDAY_MS), tick(MONDAY_MS + 60 * DAY_MS)]
    log += [at(order, MONDAY_MS + 61 * DAY_MS), tick(MONDAY_MS + 400 * DAY_MS)]
    [coupon] = data_of(decided(rule, log), "coupons")
    assert local_day(coupon["at_ms"], ZONE) == date(2027, 6, 1).toordinal()


@pytest.mark.parametrize(
    ("month_day", "today", "expected"),
    [
        ("05-04", date(2026, 5, 4), date(2026, 5, 4)),
        ("05-03", date(2026, 5, 4), date(2027, 5, 3)),
        ("02-29", date(2026, 3, 2), date(2027, 3, 1)),
        ("02-29", date(2027, 3, 2), date(2028, 2, 29)),
        ("12-31", date(2026, 1, 1), date(2026, 12, 31)),
    ],
)
def test_the_next_day_of_the_year(month_day: str, today: date, expected: date) -> None:
    assert date.fromordinal(next_day(month_day, today.toordinal())) == expected


@given(start=st.integers(0, 1439), length=st.integers(1, 1439), local_ms=st.integers(0, 40_000 * DAY_MS))
def test_quiet_hours_end_as_a_walk_by_minutes_finds_them(start: int, length: int, local_ms: int) -> None:
    quiet, end = QuietHours(start, (start + length) % 1440), (start + length) % 1440
    minutes = {(start + i) % 1440 for i in range(length)}
    minute = local_ms // MINUTE_MS
    if minute % 1440 not in minutes:
        assert quiet.left_ms(local_ms) == 0
    else:
        while minute % 1440 != end:
            minute += 1
        assert quiet.left_ms(local_ms) == minute * MINUTE_MS - local_ms


def test_without_quiet_hours_nothing_is_quiet() -> None:
    assert {read_quiet_hours("").left_ms(hour * HOUR_MS) for hour in range(24)} == {0}


def outcomes(rule: Rule, log: list[e.Event], cuts: tuple[int, ...] = ()) -> list[tuple[str, float]]:
    found = data_of(decided(rule, log, NIGHT, cuts), "decisions")
    return [(d["outcome"], (d["at_ms"] - MONDAY_MS) / HOUR_MS) for d in found]


def wait(quiet: str = "", hours: int = 23, when: str = "true") -> Rule:
    return Rule("r", when, Then("X"), "1m", after=After("view", f"{hours}h"), quiet=quiet)  # type: ignore[arg-type]


LOG = [at(e.View(id="v"), MONDAY_MS), tick(MONDAY_MS + 24 * HOUR_MS), tick(MONDAY_MS + 40 * HOUR_MS)]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)])
def test_a_waiting_rule_is_held_until_the_quiet_hours_end_and_asked_again(cuts: tuple[int, ...]) -> None:
    assert outcomes(wait(), LOG, cuts) == [("issued", 32)]
    assert outcomes(wait("drop"), LOG, cuts) == [("quiet_hours", 23)]
    assert outcomes(wait("send"), LOG, cuts) == [("issued", 23)]
    assert outcomes(wait(hours=21), LOG, cuts) == [("issued", 21)]


def test_what_no_longer_holds_in_the_morning_is_not_sent() -> None:
    order = at(e.Order(id="o", lines=[e.Line("t")], total_cents=5), MONDAY_MS + 31 * HOUR_MS)
    log = [*LOG[:2], order, tick(MONDAY_MS + 40 * HOUR_MS)]
    assert outcomes(wait(when="orders_lifetime = 0"), log) == []


def test_a_rule_on_an_event_sends_at_night_unless_it_says_otherwise() -> None:
    night = [at(e.View(id="v"), MONDAY_MS + 23 * HOUR_MS), tick(MONDAY_MS + 40 * HOUR_MS)]
    rules = {quiet: Rule("r", "true", Then("X"), "1m", on=["view"], quiet=quiet) for quiet in ("", "drop")}
    assert outcomes(rules[""], night) == [("issued", 23)]
    assert outcomes(rules["drop"], night) == [("quiet_hours", 23)]


@given(day=st.dates(date(1970, 1, 1), date(2199, 12, 31)), ms=st.integers(0, DAY_MS - 1))
def test_a_year_later_is_the_same_date(day: date, ms: int) -> None:
    local_ms = (day - date(1970, 1, 1)).days * DAY_MS + ms
    later = date(1970, 1, 1) + timedelta(milliseconds=local_ms + year_ms(local_ms))
    assert later == (date(day.year + 1, 3, 1) if (day.month, day.day) == (2, 29) else day.replace(year=day.year + 1))
