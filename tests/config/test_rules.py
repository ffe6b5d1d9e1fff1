"""The shipped rules prove themselves; a wrong rule is refused with file, line, what was found and what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts.triggers.gifts import WrongRule
from alerts.triggers.rule import read_rule
from alerts.triggers.timeline import failures
from config import settings as conf
from features.kernel.arrays import TIMERS
from flows.files import load_catalog, texts
from flows.rules import load_calendars, load_conditions, load_rules

HOUSE = conf.load(environ={})
CATALOG = load_catalog(HOUSE)
SHIPPED = texts(HOUSE.path(HOUSE.coupons.rules), "*.toml")
GOOD = """\
id = "winback"
name = "when a cooldown is on, order: then test"
on = ["order"]
when = "orders_7d >= 3"
then = { coupon = "X", face_value_cents = 100 }
cooldown = "7d"

[[test]]
name = "the third order"
events = [{ type = "order", repeat = 3 }]
fires_at = ["+2d"]

[[test]]
name = "one order"
events = [{ type = "order" }]
"""
TEST = "r.toml:9: test 'the third order': "


def judged(text: str) -> list[str]:
    return failures(read_rule(text, "r.toml"), "r.toml", text, CATALOG)


@pytest.mark.parametrize(("file", "text"), SHIPPED, ids=[Path(file).stem for file, _ in SHIPPED])
def test_a_shipped_rule_passes_its_own_timelines(file: str, text: str) -> None:
    rule = read_rule(text, file, load_calendars(HOUSE))
    assert failures(rule, file, text, CATALOG) == []
    assert rule.id == Path(file).stem
    assert rule.name


def test_all_shipped_rules_load_together() -> None:
    rules = load_rules(HOUSE)
    assert len(load_conditions(CATALOG, rules).rules) == len(SHIPPED) >= 35


def test_no_shipped_rule_gives_a_stale_coupon_or_one_that_nobody_counts() -> None:
    for rule, _, _ in load_rules(HOUSE):
        assert rule.max_event_age_ms, f"{rule.id}: the events of a till that was offline come late"
        assert rule.then.campaign, f"{rule.id}: what is given is counted by campaign"
        if not rule.then.spends:
            assert rule.then.worth_cents <= 2_000, f"{rule.id}: no coupon that is given costs more than a drink"


def test_the_win_back_family_offers_more_the_longer_somebody_stays_away() -> None:
    family = [rule for rule, _, _ in load_rules(HOUSE) if rule.group == "winback" and rule.after.event == "order"]
    steps = sorted((rule.after.wait_ms, rule.then.worth_cents) for rule in family if not rule.after.rhythms)
    assert [worth for _, worth in steps] == sorted(worth for _, worth in steps)
    assert len({wait for wait, _ in steps}) == len(steps) == 4


def test_the_good_rule_is_good() -> None:
    assert judged(GOOD) == []


@pytest.mark.parametrize(
    ("found", "broken", "message"),
    [
        ('on = ["order"]', 'on = ["order"', "r.toml: not valid TOML: Unclosed array (at line 4"),
        ('id = "winback"\n', "", "r.toml:1: `id` is missing"),
        ('when = "orders_7d >= 3"\n', "", "r.toml:1: `when` is missing"),
        ('cooldown = "7d"\n', "", "r.toml:1: `cooldown` is missing"),
        ('coupon = "X"', 'message = "hi"', "r.toml:5: then: a message alone is worth nothing: name"),
        (
            'coupon = "X", face_value_cents = 100',
            'message = "hi", stores = ["s1"]',
            "r.toml:5: then: a message alone is good nowhere: name the coupon",
        ),
        (
            'coupon = "X", face_value_cents = 100',
            "",
            'r.toml:5: then: gives nothing: write coupon = "WB5" or message =',
        ),
        ("= 100", "= 100, percent = 5", "r.toml:5: then: found face_value_cents and percent, expected one of them"),
        ("face_value_cents = 100", "percent = 5", "r.toml:5: then: percent needs at_most_cents, the most that"),
        (
            ", face_value_cents = 100",
            "",
            "r.toml:5: then: the coupon 'X' takes nothing off: write face_value_cents = 500, or percent = 20 with",
        ),
        ("= 100", "= 0", "r.toml:5: then: the coupon 'X' takes nothing off: write"),
        ("= 100", "= 100, at_most_cents = 50", "r.toml:5: then: at_most_cents limits a percentage: write percent = 20"),
        (
            "face_value_cents = 100",
            'arms = [{ name = "a", face_value_cents = 100 }, { name = "b" }]',
            "r.toml:5: then.arms: b: the coupon 'X' takes nothing off: write",
        ),
        ('"X"', '"X", channel = "fax"', "r.toml:5: then.channel: found 'fax'; known are email, push, sms, wechat"),
        ('"7d"', '"7d"\nquiet = "hld"', "r.toml:7: quiet: found 'hld'; did you mean 'hold'?"),
        ("= 100", '= 100, valid = "0d"', "r.toml:5: valid: found '0d': it would be over at once"),
        ('"7d"', '"7d"\nquiet = "hold"', "r.toml:7: quiet: found 'hold', but a rule on events looks when they come"),
        ('"7d"', '"7d"\nmax_event_age = "2w"', "r.toml:7: max_event_age: expected a duration such as"),
        ('"7d"', '"7d"\nschedule = { hour = ["9"] }', "r.toml:7: schedule: unknown key 'hour'; did you mean 'hours'?"),
        (
            '"7d"',
            '"7d"\nschedule = { hours = ["9-17"] }',
            "r.toml:7: schedule: hours: found '9-17', expected for example '14:00-17:00' or '22:00-02:00'",
        ),
        (
            '"7d"',
            '"7d"\nschedule = { hours = ["22:00-02:00", "01:00-03:00"] }',
            "r.toml:7: schedule: hours: found '01:00-03:00', which begins in the night of another: say where",
        ),
        (
            '"7d"',
            '"7d"\nschedule = { weekdays = ["Monday"] }',
            "r.toml:7: schedule: weekdays: found 'Monday', expected some of mon, tue,",
        ),
        (
            '"7d"',
            '"7d"\nschedule = { from = 2026-06-02, until = 2026-06-01 }',
            "r.toml:7: schedule: until: found 2026-06-01, which is before from = 2026-06-02",
        ),
        (
            'on = ["order"]',
            'after = { event = "order", wait = "1d" }\nschedule = { stores = ["s1"] }',
            "r.toml:4: schedule.stores: a rule with `after` looks where nothing happens: ask for last_store",
        ),
        ("cooldown =", "cooldwn =", "r.toml:6: unknown key 'cooldwn'; did you mean 'cooldown'?"),
        (
            "face_value_cents",
            "face_value",
            "r.toml:5: then: unknown key 'face_value'; did you mean 'face_value_cents'?",
        ),
        ("fires_at =", "fire_at =", "r.toml:11: test: unknown key 'fire_at'; did you mean 'fires_at'?"),
        ('"7d"', '"7d"\nversion = "3"', "r.toml:7: unknown key 'version'; known are after, at, capped, cooldown"),
        ('"winback"', '"Win back"', "r.toml:1: id: found 'Win back', expected lower-case letters, digits and"),
        ('["order"]', '"order"', "r.toml:3: on: found 'order', expected `array`, got `str`"),
        ("= 100", "= -1", "r.toml:5: then.face_value_cents: found -1, expected `int` >= 0"),
        ('"7d"', "7", "r.toml:6: cooldown: found 7, expected `str`, got `int`"),
        (
            '"7d"',
            '"0s"\ngroup = "g"',
            "r.toml:6: cooldown: found '0s', in which no other rule of the group 'g' keeps this one out, not even",
        ),
        ('"7d"', '"1w"', "r.toml:6: cooldown: expected a duration such as '90s', '30m', '24h' or '14d', found '1w'"),
        ("= 100", '= 100, valid = "soon"', "r.toml:5: valid: expected a duration such as"),
        ('on = ["order"]\n', "", 'r.toml: says neither when to look: write on = ["order"] or after = '),
        ('["order"]', '["oder"]', "r.toml:3: there is no event 'oder'; did you mean 'order'?"),
        ('["order"]', '["tick"]', "r.toml:3: there is no event 'tick'; known are "),
        (
            'on = ["order"]',
            'after = { event = "ordr", wait = "3d" }',
            "r.toml:3: there is no event 'ordr'; did you mean",
        ),
        (
            'on = ["order"]',
            'after = { event = "order", wait = "3 days" }',
            "r.toml:3: wait: expected a duration such as",
        ),
        ('on = ["order"]', 'after = { event = "order" }', "r.toml:3: after: `wait` is missing"),
        (
            "orders_7d >=",
            "order_7d >=",
            "r.toml:4: when: there is no feature or function 'order_7d'; did you mean 'orders_7d'?",
        ),
        (
            "orders_7d >= 3",
            "churn > 0.5",
            "r.toml:4: when: there is no feature or function 'churn'; did you mean 'churn_risk'?",
        ),
        (
            "orders_7d >= 3",
            'tier = \\"gold\\"',
            "r.toml:4: when: there is no feature or function 'gold'; a text stands in single quotes: 'gold'",
        ),
        (
            '"7d"',
            '"7d"\nschedule = { tiers = ["platin"] }',
            "r.toml:7: schedule: tiers: there is no 'platin'; known are gold, ordinary, silver",
        ),
        (
            "orders_7d >= 3",
            "stddev(orders_7d) > 3",
            "r.toml:4: when: there is no feature or function 'stddev'; known are abs",
        ),
        (
            '"7d"',
            '"7d"\nexit = "order_7d < 2"',
            "r.toml:7: exit: there is no feature or function 'order_7d'; did you mean 'orders_7d'?",
        ),
        (
            '"7d"',
            '"7d"\nexit = "orders_7d"',
            "r.toml:7: exit: yields Float64, expected true or false; found 'orders_7d'",
        ),
        ('"7d"', '"7d"\nexit = "orders_7d <"', "r.toml:7: exit: not a condition: "),
        ('"7d"', '"7d"\nexit_on = ["order"]', "r.toml:7: exit_on: found ['order'], but no exit: write exit = "),
        (
            '"7d"',
            '"7d"\nexit = "orders_7d < 2"\nexit_on = ["ordr"]',
            "r.toml:8: there is no event 'ordr'; did you mean 'order'?",
        ),
        ("= 100", '= 100, send = "later"', "r.toml:5: then.send: found 'later'; known are now, their-hour"),
        ("orders_7d >= 3", "orders_7d", "r.toml:4: when: yields Float64, expected true or false; found 'orders_7d'"),
        ("orders_7d >= 3", "channel >= 3", "r.toml:4: when: channel is a text, which stands in single quotes"),
        ('fires_at = ["+2d"]\n', "", 'r.toml: has no firing test: add a [[test]] with events and fires_at = ["+0s"]'),
        (
            '[{ type = "order" }]',
            '[{ type = "order" }]\nfires_at = ["+0s"]',
            "r.toml: has no quiet test: add a [[test]]",
        ),
        ('"+2d"', '"2d"', TEST + "fires_at: expected a time from the start such as '+14d' or '+1d 9h'"),
        *[
            ("repeat = 3", written, f'{TEST}event {{ type = "order", {shown or written} }}: {told}')
            for written, shown, told in (
                ('repeat = 3, every = "x"', "", "every: expected a duration such as"),
                ('repeat = "x"', "", "repeat: found 'x', expected `int`, got `str`"),
                ("repeat = 0", "", "repeat: found 0, expected `int` >= 1"),
                ("repeat = -3", "", "repeat: found -3, expected `int` >= 1"),
                ("at = 5", "", "at: found 5, expected `str`, got `int`"),
                ('at = "5h"', "", "at: expected a time from the start such as '+14d' or '+1d 9h', found '5h'"),
                ("totl_cents = 5", "", "unknown key 'totl_cents'; did you mean 'total_cents'?"),
                ('total_cents = "5"', "", "total_cents: found '5', expected `int`, got `str`"),
                ('time = "2026-05-01"', "", "unknown key 'time': when it happens is written as at = \"+1d 9h\""),
                ('tz = "UTC"', "", "unknown key 'tz': a timeline is in Asia/Shanghai"),
                ('who = { card = "1" }', 'who = {"card": "1"}', "unknown key 'who': a timeline is of one customer"),
            )
        ],
        (
            'type = "order", repeat',
            'type = "ordr", repeat',
            TEST + 'event { type = "ordr", repeat = 3 }: type: there is',
        ),
        (
            'type = "order", repeat',
            'tpye = "order", repeat',
            TEST + 'event { tpye = "order", repeat = 3 }: `type` is missing',
        ),
        *[
            (
                'type = "order", repeat = 3',
                f'type = "{kind}", {key} = "{said}"',
                f'{TEST}event {{ type = "{kind}", {key} = "{said}" }}: {told}',
            )
            for kind, key, said, told in (
                (
                    "profile",
                    "birthday",
                    "1990-02-30",
                    "birthday: found '1990-02-30', expected a month and a day, such as",
                ),
                ("profile", "birthday", "02-30", "birthday: day is out of range for month"),
                ("suppress", "until_time", "2d", "until_time: expected a time from the start"),
            )
        ],
        (
            '[{ type = "order" }]',
            "[]",
            "r.toml:14: test 'one order': nothing happens in it, which proves",
        ),
        ('["+2d"]', '["+2d"]\narm = "five"', TEST + "found arm = 'five', but the rule has no arms: leave it out"),
        (
            '["+2d"]',
            '["+2d"]\nscores = { churn = 0.4 }',
            TEST + "scores: there is no model 'churn'; did you mean 'churn_risk'?",
        ),
        (
            "face_value_cents = 100",
            "face_value_cents = 99999999999999999999",
            "r.toml:5: then.face_value_cents: found 99999999999999999999, expected `int` <= 1000000000000",
        ),
        (
            "repeat = 3",
            'at = "+99999999999999d"',
            TEST + 'event { type = "order", at = "+99999999999999d" }: at: expected a time within a century',
        ),
        (
            "repeat = 3",
            'repeat = 3, every = "99999999999999d"',
            TEST
            + 'event { type = "order", repeat = 3, every = "99999999999999d" }: the last time is more than a century',
        ),
        (
            '["+2d"]',
            '["+2d"]\nscores = { churn_risk = 4 }',
            TEST + "scores: found churn_risk = 4, expected a probability, from 0 to 1",
        ),
    ],
)
def test_a_wrong_rule_is_refused_by_place(found: str, broken: str, message: str) -> None:
    assert found in GOOD
    with pytest.raises(WrongRule) as wrong:
        judged(GOOD.replace(found, broken, 1))
    assert str(wrong.value).startswith(message)


def test_a_timeline_that_does_not_come_out_is_told_with_both_moments() -> None:
    assert judged(GOOD.replace("+2d", "+1d 9h")) == ["r.toml:9: test 'the third order': fired at +2d, expected +1d 9h"]
    assert judged(GOOD.replace("repeat = 3", "repeat = 2")) == [
        "r.toml:9: test 'the third order': fired at no time, expected +2d"
    ]


def test_a_rule_that_is_off_is_still_tested() -> None:
    assert judged(GOOD.replace('"7d"', '"7d"\nenabled = false')) == []


@pytest.mark.parametrize("waits", [{}, {"b.toml": "1d"}, {"a.toml": "1d", "b.toml": "2d"}])
def test_two_files_may_not_share_an_id(waits: dict[str, str], tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        after = f'after = {{ event = "order", wait = "{waits.get(name)}" }}'
        text = GOOD.replace('on = ["order"]', after) if name in waits else GOOD
        (tmp_path / name).write_text(text, "utf-8")
    house = conf.Settings(coupons=conf.Coupons(rules=str(tmp_path)))
    with pytest.raises(WrongRule, match=r"b\.toml: the id 'winback' is taken by .*a\.toml: choose another"):
        load_rules(house)


def test_a_rule_has_another_version_as_soon_as_its_text_differs() -> None:
    versions = {read_rule(text, "r.toml").version for text in (GOOD, GOOD, GOOD.replace("100", "200"))}
    assert len(versions) == 2


def test_more_rules_that_wait_than_a_record_has_timers_for_are_refused(tmp_path: Path) -> None:
    waits = GOOD.replace('on = ["order"]', 'after = { event = "order", wait = "1d" }')
    for number in range(TIMERS + 1):
        (tmp_path / f"{number}.toml").write_text(re.sub(r"(?m)^id = .*$", f'id = "wait-{number}"', waits))
    house = conf.Settings(coupons=conf.Coupons(rules=str(tmp_path)))
    with pytest.raises(WrongRule, match=f"{TIMERS + 1} rules wait, .* has room for the timers of {TIMERS}"):
        load_rules(house)


def test_a_timeline_can_show_a_suppression() -> None:
    word = '{ type = "suppress", reason = "vip", until_time = "+2d", at = "+12h" }'
    before, until = (
        GOOD.replace("repeat = 3 }", f"repeat = 3, every = '{days}' }}, {word}", 1) for days in ("12h", "1d")
    )
    assert judged(before.replace('"+2d"]', '"+1d"]')) == [TEST + "fired at no time, expected +1d"]
    assert judged(until) == []
