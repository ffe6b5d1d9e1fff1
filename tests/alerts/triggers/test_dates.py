"""Rules that look at holidays: once each, for everybody, at an hour of the customer's own clock."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.calendar import At, Calendars
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.merging import Merging
from alerts.triggers.receipts.spoken import looks
from alerts.triggers.rule import Rule, read_rule
from alerts.triggers.schedule import read_quiet_hours
from alerts.triggers.timeline import failures
from features import events as e
from features.loop import Store, batches, run
from features.record import decode_record
from features.times import DAY_MS, HOUR_MS
from tests.alerts.triggers.jobs import CATALOG, FREE, customers_job, data_of, encoded
from tests.features.streams import ZONES
from tests.world import World

FEASTS = [date(2025, 10, 6), date(2026, 9, 25), date(2027, 9, 15)]
DAYS = tuple((day.toordinal(), day.toordinal() + 2) for day in FEASTS)
RULE = Rule("moon", "true", Then("M"), "1h", at=At(holiday="moon", time="10:00", days_before=3), dates=DAYS)
SHANGHAI, NEW_YORK = "Asia/Shanghai", "America/New_York"


def moment(day: date, hour: float, zone: str) -> int:
    """When the wall clock of a zone shows this."""
    wall = datetime.combine(day, time(), ZoneInfo(zone)) + timedelta(hours=hour)
    return round(wall.timestamp() * 1000)


def look(year: int, zone: str = SHANGHAI) -> int:
    """When the rule looks that year."""
    return moment(FEASTS[year - 2025] - timedelta(days=3), 10, zone)


def view(at_ms: int, zone: str = SHANGHAI, customer: str = "c") -> e.View:
    return e.View(id=f"v{at_ms}{zone}", customer=customer, at_ms=at_ms, tz=zone)


def tick(at_ms: int) -> e.Tick:
    return e.Tick(id=f"t{at_ms}", at_ms=at_ms, source="s", of=1)


def run_of(*log: e.Event, rule: Rule = RULE, quiet: str = "", cuts: tuple[int, ...] = ()) -> Store:
    job = customers_job([rule], replace(FREE, quiet=read_quiet_hours(quiet)))
    return run(job, batches("events", 0, encoded(list(log)), cuts))[0]


def changed(former: Rule, log: list[e.Event], rule: Rule, *more: e.Event) -> Store:
    """Under one rule, then under another."""
    store = run_of(*log, rule=former)
    return run(customers_job([rule]), batches("events", 0, encoded([*log, *more])), {0: store})[0]


def given_at(store: Store) -> list[int]:
    return [coupon["at_ms"] for coupon in data_of(store, "coupons")]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * 365), st.integers(0, DAY_MS)), min_size=1, max_size=6),
    st.sampled_from(ZONES),
    st.lists(st.integers(0, 3 * 365), max_size=6),
    st.lists(st.integers(1, 12), max_size=4),
)
def test_it_looks_at_each_date_after_the_first_event_and_until_now_whatever_else_the_customer_does(
    seen: list[tuple[int, int]], zone: str, ticked: list[int], cuts: list[int]
) -> None:
    start_ms = moment(date(2025, 1, 1), 0, zone)
    log: list[e.Event] = [view(start_ms + day * DAY_MS + ms, zone) for day, ms in seen]
    log = sorted([*log, *(tick(start_ms + day * DAY_MS) for day in ticked)], key=lambda one: one.at_ms)
    first_ms = min(one.at_ms for one in log if isinstance(one, e.View))
    now_ms = max((one.at_ms for one in log if isinstance(one, e.Tick)), default=0)
    dates = [look(year, zone) for year in (2025, 2026, 2027)]
    assert given_at(run_of(*log, cuts=tuple(cuts))) == [ms for ms in dates if first_ms < ms <= now_ms]


def test_who_moves_is_asked_by_the_clock_of_where_they_are_now() -> None:
    moved, back = view(look(2026) - DAY_MS, NEW_YORK), view(look(2026) + 9 * DAY_MS)
    assert given_at(run_of(view(look(2025)), moved, tick(look(2027)))) == [look(2026, NEW_YORK)]
    log = (view(look(2025)), moved, tick(look(2026, NEW_YORK)), back, tick(look(2027)))
    assert given_at(run_of(*log)) == [look(2026, NEW_YORK), look(2027)]


def test_a_date_that_is_over_waits_for_the_next_year() -> None:
    assert given_at(run_of(view(look(2026)), tick(look(2026) + DAY_MS))) == []
    assert given_at(run_of(view(look(2026) - 1), tick(look(2026)))) == [look(2026)]


def test_in_quiet_hours_it_is_held_until_they_end_and_comes_again_the_next_year() -> None:
    early = replace(RULE, at=At(holiday="moon", time="06:00", days_before=3))
    store = run_of(view(look(2026) - 99 * DAY_MS), tick(look(2027)), rule=early, quiet="22:00-08:00")
    assert given_at(store) == [look(2026) - 2 * HOUR_MS, look(2027) - 2 * HOUR_MS]


def test_a_rule_that_is_new_counts_from_a_customers_next_event_on() -> None:
    former, log = replace(RULE, id="another"), [view(look(2026) - 50 * DAY_MS)]
    assert given_at(changed(former, log, RULE, tick(look(2026)))) == []
    assert given_at(changed(former, log, RULE, view(look(2026) - DAY_MS), tick(look(2026)))) == [look(2026)]


def test_what_was_set_for_former_dates_is_not_asked_and_the_next_event_sets_the_new_ones() -> None:
    week, log = replace(RULE, at=At(holiday="moon", time="10:00", days_before=7)), [view(look(2026) - 50 * DAY_MS)]
    store = changed(RULE, log, week, view(look(2026) - 20 * DAY_MS), tick(look(2026) + DAY_MS))
    assert given_at(store) == [look(2026) - 4 * DAY_MS]


def test_dates_that_are_added_are_taken_up_at_the_next_event_after_the_last_one() -> None:
    former, log = replace(RULE, dates=DAYS[:1]), [view(look(2025) - DAY_MS), tick(look(2025))]
    assert not any(run_of(*log, rule=former).timers.values()), "there is nothing to wait for"
    store = changed(former, log, RULE, view(look(2026) - DAY_MS), tick(look(2026)))
    assert given_at(store) == [look(2025), look(2026)]


def test_customers_who_become_one_are_asked_once() -> None:
    world = World(Merging(customers_job([RULE]), "events"))
    for customer in ("ca", "cb"):
        world.tell(view(look(2026) - 9 * DAY_MS, customer=customer))
    world.merge("ca", "cb")
    world.settle()
    [timer] = decode_record(world.record("ca")[1], CATALOG.layout.id, CATALOG.cells).timers
    assert timer[:2] == (RULE.code, look(2026))


@pytest.mark.parametrize(("days", "words"), [(0, "at"), (1, "1 day before"), (3, "3 days before")])
def test_it_is_said_when_such_a_rule_looks(days: int, words: str) -> None:
    rule = replace(RULE, at=At(holiday="moon", time="10:00", days_before=days), quiet="send")
    assert looks(rule) == f"{words} moon, at 10:00 where the customer is"
    assert looks(replace(rule, on=["view"], quiet="")).endswith(", or when quiet hours end")


FILE = """
id = "moon"
at = {at}
when = "true"
then = {{ coupon = "M", face_value_cents = 100 }}
cooldown = "1h"
[[test]]
name = "in time"
events = [{{ type = "view" }}]
fires_at = ["+141d 10h"]
[[test]]
name = "never"
events = [{{ type = "view", at = "+142d" }}]
"""


def judged(at: str) -> list[str]:
    text = FILE.format(at=at)
    return failures(read_rule(text, "r.toml", Calendars({"moon": DAYS})), "r.toml", text, CATALOG)


def test_a_timeline_runs_until_the_next_date() -> None:
    assert judged('{ holiday = "moon", days_before = 3, time = "10:00" }') == [
        "r.toml:12: test 'never': fired at +496d 10h, expected no time"
    ]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ('{ holiday = "mon", time = "10:00" }', "r.toml:3: at.holiday: there is no holiday or calendar 'mon'; did you"),
        ('{ holiday = "moon", time = "10" }', "r.toml:3: at.time: found '10', expected a time of the day, such as"),
        ('{ holiday = "moon" }', "r.toml:3: at: `time` is missing"),
        ('{ holiday = "moon", time = "10:00", day_before = 1 }', "did you mean 'days_before'?"),
        ('{ holiday = "moon", time = "10:00" }\nafter = { event = "order", wait = "1d" }', "found at and after"),
        (
            '{ holiday = "moon", time = "10:00" }\nschedule = { stores = ["s1"] }',
            "a rule with `at` looks where nothing",
        ),
    ],
)
def test_a_wrong_date_is_refused_with_its_line_and_what_to_write(at: str, message: str) -> None:
    with pytest.raises(WrongRule) as raised:
        judged(at)
    assert message in str(raised.value)


MONTHLY = """
id = "points"
at = {{ {at} }}
when = "true"
then = {{ message = "points" }}
cooldown = "1h"
[[test]]
name = "on the 23rd, and on that of the next month"
events = [{{ type = "order" }}]
fires_at = ["+19d 10h"]
[[test]]
name = "not on the day before"
events = [{{ type = "login" }}]
"""


def test_a_rule_may_look_each_month() -> None:
    text = MONTHLY.format(at='day_of_month = 23, time = "10:00"')
    rule = read_rule(text, "points.toml")
    assert looks(rule) == "each month on day 23, at 10:00 where the customer is, or when quiet hours end"
    seen_ms = moment(date(2026, 5, 4), 12, SHANGHAI)
    store = run_of(view(seen_ms), tick(moment(date(2026, 8, 1), 0, SHANGHAI)), rule=rule)
    assert given_at(store) == [moment(date(2026, month, 23), 10, SHANGHAI) for month in (5, 6, 7)]


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ('time = "10:00"', "points.toml:3: at: found neither holiday nor day_of_month, expected one of them"),
        (
            'holiday = "moon", day_of_month = 3, time = "10:00"',
            "points.toml:3: at: found both holiday and day_of_month, expected one of them",
        ),
        (
            'day_of_month = 3, days_before = 2, time = "10:00"',
            "points.toml:3: at.days_before: counts back from a holiday; name the day_of_month itself",
        ),
    ],
)
def test_a_rule_looks_at_a_holiday_or_each_month(at: str, told: str) -> None:
    with pytest.raises(WrongRule) as refused:
        read_rule(MONTHLY.format(at=at), "points.toml")
    assert str(refused.value) == told


@pytest.mark.parametrize("moved", [date(2026, 9, 28), date(2026, 9, 22)])
def test_a_holiday_that_is_moved_in_its_calendar_is_looked_at_on_its_new_day_alone(moved: date) -> None:
    def on(day: date) -> Rule:
        return replace(RULE, at=At(holiday="moon", time="10:00"), dates=((day.toordinal(), day.toordinal()),))

    start = datetime(2026, 5, 4, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
    begins_ms = int(start.timestamp() * 1000)

    def ticks(days: range) -> list[e.Event]:
        return [e.Tick(id=f"t{n}", at_ms=begins_ms + n * DAY_MS, source="s", of=1) for n in days]

    seen = e.AppOpen(id="a", customer="c", at_ms=begins_ms, tz="Asia/Shanghai")
    stores = run(customers_job([on(date(2026, 9, 25))]), batches("events", 0, encoded([seen, *ticks(range(1, 2))])))
    stores[0].timers["lacks|c"] = begins_ms  # everybody is looked at once after rules have come
    run(customers_job([on(moved)]), batches("events", 0, encoded(ticks(range(2, 200))), first=2), stores)
    [coupon] = data_of(stores[0], "coupons")
    assert datetime.fromtimestamp(coupon["at_ms"] / 1000, start.tzinfo) == datetime.combine(
        moved, time(10), start.tzinfo
    )
