"""docs/rules.md and the types say the same: every key is named there, and every rule shown loads and passes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from alerts.triggers.calendar import At, read_calendar
from alerts.triggers.condition import FACTS, FUNCTIONS, OF_EVENTS
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.rule import SET_AT_LOAD, After, Rule, Timeline, read_rule
from alerts.triggers.schedule import Schedule
from alerts.triggers.timeline import failures
from config import settings as conf
from flows.files import load_catalog
from flows.rules import load_calendars

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/rules.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SHOWN = [block for block in BLOCKS if block.startswith("id")]
CALENDARS = [block for block in BLOCKS if block.startswith("[")]
HOUSE = conf.load(environ={})
CATALOG = load_catalog(HOUSE)


def rows(heading: str) -> set[str]:
    """What stands in the first column of the tables under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    first = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for row in first for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize(
    ("heading", "type"),
    [
        ("The keys of a rule", Rule),
        ("When it looks: `on`, `after`", After),
        ("At a holiday, or each month: `at`", At),
        ("What the customer gets: `then`", Then),
        ("Arms", Arm),
        ("In season: `schedule`", Schedule),
        ("Proof: `test`", Timeline),
    ],
)
def test_the_tables_name_every_key_and_no_other(heading: str, type: type) -> None:
    keys = {field.encode_name for field in msgspec.structs.fields(type)}
    assert rows(heading) == keys - (SET_AT_LOAD if type is Rule else set())


def test_the_table_of_outcomes_names_those_that_there_are() -> None:
    code = "".join((ROOT / f"alerts/triggers/{name}.py").read_text("utf-8") for name in ("gates", "campaign"))
    told = set(re.findall(r'(?:return |Gate\(|_quiet\(|_counted\()"(\w+)"', code))
    assert rows("What becomes of it") == told | {"stock", "budget", "paused", "control", "withheld"}


def test_the_page_names_all_that_a_condition_can_name_beside_features() -> None:
    for name in (*OF_EVENTS, *FACTS, *FUNCTIONS, *CATALOG.models):
        assert f"`{name}`" in PAGE, name


@pytest.mark.parametrize("text", SHOWN)
def test_a_rule_on_the_page_passes_its_timelines(text: str) -> None:
    assert failures(read_rule(text, "docs/rules.md", load_calendars(HOUSE)), "docs/rules.md", text, CATALOG) == []


def test_the_calendar_on_the_page_is_one() -> None:
    [shown] = CALENDARS
    assert read_calendar(shown, "docs/rules.md").keys() <= load_calendars(HOUSE).days.keys()


def test_the_page_shows_rules() -> None:
    assert len(SHOWN) >= 4
