"""Conditions ask for the weather that an event was told; where none was told, they do not hold."""

from __future__ import annotations

import pytest

from alerts.triggers.calendar import Calendars
from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.rule import Rule, read_rule
from alerts.triggers.timeline import failures
from features import events as e
from tests.alerts.triggers.jobs import CATALOG
from tests.alerts.triggers.test_rule_language import FILE, at, decided

LOG = [
    at(e.AppOpen(id="hot", temp_c=31.5, rain_mm=0.0, weather_ms=1), 1),
    at(e.AppOpen(id="freezing", temp_c=0.0, rain_mm=0.4, weather_ms=1), 2),
    at(e.AppOpen(id="unknown"), 3),
    at(e.Share(id="never told"), 4),
]


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("temp_c >= 30", ["hot"]),
        ("temp_c <= 0", ["freezing"]),
        ("temp_c < 50 AND rain_mm = 0", ["hot"]),
        ("NOT rain_mm > 0", ["hot"]),
        ("temp_c IS NULL", ["unknown", "never told"]),
        ("weather_ms IS NOT NULL", ["hot", "freezing"]),
    ],
)
def test_a_condition_asks_for_the_weather_where_it_is_known(when: str, found: list[str]) -> None:
    assert [d["cause"] for d in decided([Rule("r", when, Then("X"), "1m", on=["app_open", "share"])], LOG)] == found


def test_a_decision_shows_the_weather_that_it_saw() -> None:
    [receipt] = decided([Rule("r", "temp_c >= 30", Then("X"), "1m", on=["app_open"])], LOG)
    assert receipt["values"] == {"temp_c": 31.5}


def test_a_timeline_writes_the_weather_where_it_is_asked_for() -> None:
    def text(event: str) -> str:
        more = {"on": "app_open", "when": "temp_c <= 0", "schedule": "", "at": "+0s"}
        return FILE.format(**more, event=event, other='{ type = "app_open" }')

    assert failures(read_rule(cold := text('{ type = "app_open", temp_c = 0 }'), "r"), "r", cold, CATALOG) == []
    wrong = text('{ type = "weather", place = "east", temp_c = 0 }')
    with pytest.raises(WrongRule, match="write temp_c, rain_mm there"):
        failures(read_rule(wrong, "r"), "r", wrong, CATALOG)


@pytest.mark.parametrize("name", ["temp_c", "rain_mm", "store_load"])
@pytest.mark.parametrize(
    "waits", ['after = { event = "order", wait = "1h" }', 'at = { holiday = "moon", time = "10:00" }']
)
def test_a_rule_that_looks_where_nothing_happens_cannot_ask_for_what_events_are_told(name: str, waits: str) -> None:
    calendars = Calendars({"moon": ((739_885, 739_885),)})

    def load(when: str, on: str = "") -> None:
        text = f"""id = "r"\n{on}\n{waits}\nwhen = "{when}"\nthen = {{ message = "m" }}\ncooldown = "1d"\n{TESTS}"""
        over_catalog([(read_rule(text, "r.toml", calendars), "r.toml", text)], CATALOG)

    with pytest.raises(WrongRule) as wrong:
        load(f"{name} > 0")
    assert f"r.toml:4: when: a rule with `{waits.split()[0]}` looks where nothing happens, and {name}" in str(
        wrong.value
    )
    load("orders_7d > 0")
    load(f"{name} IS NULL OR {name} > 0", on='on = ["view"]')


TESTS = """
[[test]]
name = "a"
events = [{ type = "login" }]
fires_at = ["+1d"]
[[test]]
name = "b"
events = [{ type = "login" }]
"""
