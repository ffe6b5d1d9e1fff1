"""What docs/kpis.md tells of counters, ratios and settings is so."""

from __future__ import annotations

import re
from pathlib import Path

from alerts.kpis.catalog import PARTS
from alerts.kpis.declared import read_kpis
from alerts.kpis.kpi import COUNTERS
from alerts.kpis.rollup import FIVE, HOURS
from alerts.kpis.silence import PATIENCE, RETIRED_MS
from config.settings import Kpis
from features.times import DAY_MS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/kpis.md").read_text("utf-8")
SHIPPED = read_kpis((ROOT / "config/kpis.toml").read_text("utf-8"), "kpis.toml")


def rows(head: str) -> list[list[str]]:
    """Cells of the table whose first cell is `head`."""
    table = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_page_explains_every_counter_in_the_order_of_its_column() -> None:
    named = [name for row in rows("counter") for name in re.findall(r"`(\w+)`", row[0])]
    assert named == list(SHIPPED.names)
    assert named[len(COUNTERS) - 1] == "heartbeats", "the page calls these known by name"


def test_the_page_says_of_every_ratio_what_it_is_made_of() -> None:
    told = {name.strip("`"): set(re.findall(r"`(\w+)`", text)) for name, text in rows("ratio")}
    assert told.keys() == {ratio.name for ratio in SHIPPED.ratios}
    for ratio in SHIPPED.ratios:
        assert told[ratio.name] in ({name for name, _ in ratio.over} | {ratio.under}, set()), ratio.name


def test_the_page_names_what_may_be_counted_by_and_its_example_can_be_read() -> None:
    assert all(f"`{part}`" in PAGE for part in PARTS)
    example = PAGE.partition("```toml")[2].partition("```")[0]
    shipped = (ROOT / "config/kpis.toml").read_text("utf-8")
    lines = [re.sub(r" +", " ", line) for line in example.splitlines() if "=" in line and "why" not in line]
    assert lines
    assert all(line in re.sub(r" +", " ", shipped) for line in lines)


def test_times_are_those_of_the_code() -> None:
    kept = Kpis()
    assert f"`[kpis] retention_hours` ({kept.retention_hours} h)" in PAGE
    assert f"`five_minutes_days` ({kept.five_minutes_days} d)" in PAGE
    assert f"`hours_days` ({kept.hours_days} d)" in PAGE
    assert f"When none came for {PATIENCE} minutes" in PAGE
    assert f"offline for {RETIRED_MS // DAY_MS} days is no longer watched" in PAGE
    assert (FIVE.hours, HOURS.hours) == (24, 16 * 24)
