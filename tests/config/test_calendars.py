"""The shipped calendars are right by the moon, and a rule that names a holiday is in season on its days alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from math import radians, sin
from pathlib import Path

import pytest

from alerts.triggers.calendar import WrongCalendar, all_calendars, read_calendar
from alerts.triggers.gifts import WrongRule
from alerts.triggers.receipts.clauses import ask, clauses_of
from alerts.triggers.receipts.spoken import clause
from alerts.triggers.rule import read_rule
from config import settings as conf
from flows.files import texts
from flows.rules import load_calendars
from tests.alerts.triggers.jobs import customers_job

HOUSE = conf.load(environ={})
FILES = {Path(file).stem: read_calendar(text, file) for file, text in texts(HOUSE.path("calendars"), "*.toml")}
CALENDARS = load_calendars(HOUSE)
YEARS = range(2024, 2028)
MOONS = {  # months after the new year's moon, as the year has no leap month before it; day of the moon
    "spring-festival": (0, 1),
    "lantern": (0, 15),
    "dragon-boat": (4, 5),
    "qixi": (6, 7),
    "mid-autumn": (7, 15),
    "double-ninth": (8, 9),
}
LEAP = {2025: 6}  # the sixth month came twice


def new_moon(k: int) -> date:
    """The k-th after the first of 2000, on China's clocks. Meeus, Astronomical Algorithms, 49: the largest terms."""
    t = k / 1236.85
    m, mm, f = 2.5534 + 29.1053567 * k, 201.5643 + 385.81693528 * k, 160.7108 + 390.67050284 * k
    terms = [(-0.4072, mm), (0.17241, m), (0.01608, 2 * mm), (0.01039, 2 * f), (0.00739, mm - m), (-0.00514, mm + m)]
    days = 5.09766 + 29.530588861 * k + 0.00015437 * t * t + sum(a * sin(radians(x)) for a, x in terms)
    return date(2000, 1, 1) + timedelta(days=days + 0.5 + 8 / 24 - 0.0008)  # from noon, from Greenwich, from TT


def moon_day(year: int, months: int, day: int) -> date:
    moons = [new_moon(k) for k in range(290, 350)]
    first = next(i for i, moon in enumerate(moons) if date(year, 1, 21) <= moon <= date(year, 2, 20))
    return moons[first + months + (months >= LEAP.get(year, 99))] + timedelta(days=day - 1)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("holiday", MOONS)
def test_a_festival_of_the_moon_is_on_its_day(holiday: str, year: int) -> None:
    day = moon_day(year, *MOONS[holiday]).toordinal()
    [found] = [(first, last) for first, last in CALENDARS.days[holiday] if date.fromordinal(first).year == year]
    assert found[0] <= day <= found[1]


def test_every_calendar_knows_every_year_and_holidays_of_one_do_not_overlap() -> None:
    for name, holidays in FILES.items():
        for holiday, spans in holidays.items():
            assert [date.fromordinal(first).year for first, _ in spans] == [*YEARS], holiday
            assert all(last - first < 10 for first, last in spans), holiday
        days = [day for spans in holidays.values() for first, last in spans for day in range(first, last + 1)]
        shared = len(days) - len(set(days))
        assert shared == (3 if name == "china" else 0), "National Day and Mid-Autumn met in 2025"


RULE = """
id = "r"
on = ["app_open"]
when = "true"
then = { coupon = "X", face_value_cents = 100 }
cooldown = "1d"
schedule = { SCHEDULE }
[[test]]
name = "in"
events = [{ type = "login" }]
fires_at = ["+0s"]
[[test]]
name = "out"
events = [{ type = "login" }]
"""


def season(schedule: str) -> Callable[[date], bool]:
    """Whether a day is in it."""
    rule = read_rule(RULE.replace("SCHEDULE", schedule), "r.toml", CALENDARS)
    schema = customers_job([rule]).decider.conditions.schema
    clauses = clauses_of(rule, schema)
    return lambda day: all(one.holds for one in ask(clauses, {"local_day": day.toordinal()}, schema))


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("name", ["mid-autumn", "china", "qixi"])
def test_a_rule_is_in_season_on_the_days_of_its_holiday_or_outside_them(name: str, year: int) -> None:
    of = FILES[name].values() if name in FILES else [days[name] for days in FILES.values() if name in days]
    days = {day for spans in of for first, last in spans for day in range(first, last + 1)}
    inside, outside = season(f'holidays = ["{name}"]'), season(f'not_on_holidays = ["{name}"]')
    for day in (date(year, 1, 1) + timedelta(days=i) for i in range(365)):
        assert inside(day) == (day.toordinal() in days), day
        if day.day % 9 == 0:
            assert outside(day) == (day.toordinal() not in days), day


def test_holidays_and_other_keys_of_a_schedule_hold_together() -> None:
    inside = season('holidays = ["qixi", "mid-autumn"], not_on_holidays = ["mid-autumn"]')
    assert inside(date(2026, 8, 19))
    assert not inside(date(2026, 9, 25))


def test_the_schedule_is_told_by_the_names_of_its_holidays() -> None:
    text = RULE.replace("SCHEDULE", 'holidays = ["qixi"], not_on_holidays = ["china"]')
    rule = read_rule(text, "r.toml", CALENDARS)
    told = [clause(one, rule.schedule) for one in clauses_of(rule, customers_job([rule]).decider.conditions.schema)]
    assert told == ["on qixi", "not on china", "true"]


def test_a_rule_is_another_version_when_its_holidays_move() -> None:
    text = RULE.replace("SCHEDULE", 'holidays = ["qixi"]')
    moved = all_calendars({"mine": {"qixi": ((1, 2),)}})
    assert read_rule(text, "r", CALENDARS).version != read_rule(text, "r", moved).version
    plain = RULE.replace("SCHEDULE", "")
    assert read_rule(plain, "r", CALENDARS).version == read_rule(plain, "r").version


@pytest.mark.parametrize("key", ["holidays", "not_on_holidays"])
def test_a_holiday_that_no_calendar_knows_is_refused(key: str) -> None:
    with pytest.raises(
        WrongRule, match=f"r.toml:7: schedule.{key}: there is no holiday or calendar 'mid-autum'; did you"
    ):
        read_rule(RULE.replace("SCHEDULE", f'{key} = ["mid-autum"]'), "r.toml", CALENDARS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nname = 'A'\ndays = [[2026-01-02, 2026-01-01]]", r"c.toml: \[a\] days: found 2026-01-01 as the last day"),
        ("[a]\nname = 'A'\ndays = [2026-01-02]", "c.toml: Expected `array`, got `date`.*expected tables such as"),
        ("[a]\nname = 'A'\ndays = []\nday = 1", "unknown field `day`"),
        ("a =", "c.toml: Invalid value"),
    ],
)
def test_a_calendar_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(WrongCalendar, match=message):
        read_calendar(text, "c.toml")


def test_two_holidays_may_not_share_a_name() -> None:
    with pytest.raises(WrongCalendar, match="calendar b: the name 'x' is taken"):
        all_calendars({"a": {"x": ()}, "b": {"x": ()}})
