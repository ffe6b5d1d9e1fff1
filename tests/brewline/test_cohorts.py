"""Cohorts of a real past, against its own file read by hand."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from alerts.triggers.backtests.backtest import Span
from brewline.backtests.choice import FOREVER_MS
from brewline.cohorts import counted, show_cohorts
from brewline.histories.archives import Archive, open_archive
from brewline.histories.history import WrongHistory, package_folder
from config import settings as conf
from features.times import parse_time

needs_data = pytest.mark.skipif(not find_spec("lifetimes"), reason="needs the extra `data`")
ALWAYS = Span(0, FOREVER_MS)


def by_hand() -> dict[str, list[tuple[int, int, int]]]:
    """Of CDNOW's own file: by month of the first purchase, (customers, purchases, cents) for each month since."""
    file = package_folder("lifetimes", "cdnow") / "datasets" / "CDNOW_master.txt"
    bought: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for line in file.read_text("ascii").splitlines()[1:]:
        customer, day, _, dollars = line.split()
        bought[customer].append((day, round(float(dollars) * 100)))
    cells: dict[str, dict[int, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for customer, purchases in bought.items():
        first = min(day for day, _ in purchases)
        for day, cents in purchases:
            age = int(day[:4]) * 12 + int(day[4:6]) - int(first[:4]) * 12 - int(first[4:6])
            cells[f"{first[:4]}-{first[4:6]}"][age][customer].append(cents)
    return {
        month: [
            (len(ages[age]), sum(map(len, ages[age].values())), sum(sum(cents) for cents in ages[age].values()))
            for age in range(7)
        ]
        for month, ages in cells.items()
    }


@pytest.fixture(scope="module")
def cdnow() -> Archive:
    return open_archive(conf.load(environ={}), "cdnow", lambda done, total: None)


@needs_data
def test_cohorts_of_cdnow_are_those_of_its_file_to_the_cent(cdnow: Archive) -> None:
    figures = counted(cdnow, ALWAYS)
    told = {
        row["month"]: [(cell["active"], cell["orders"], cell["revenue_cents"]) for cell in row["months"]]
        for row in figures["cohorts"]
    }
    assert told == by_hand()
    assert sum(row["customers"] for row in figures["cohorts"]) == figures["customers"] == 23_570


@needs_data
def test_as_of_a_day_later_months_are_not_told_and_earlier_cohorts_are_left_out(cdnow: Archive) -> None:
    span = Span(parse_time("1997-02-01T00:00:00-05:00"), parse_time("1997-05-01T00:00:00-04:00"))
    figures = counted(cdnow, span)
    assert [(row["month"], len(row["months"])) for row in figures["cohorts"]] == [("1997-02", 3), ("1997-03", 2)]
    assert figures["end"] == "1997-05-01T04:00:00.000Z"


def test_the_command_prints_what_it_writes_and_says_where_there_is_nothing(workdir: Path) -> None:
    orders = [("a", "2026-01-05"), ("a", "2026-02-05"), ("b", "2026-01-20"), ("b", "2026-03-02")]
    lines = [
        {"type": "order", "id": f"{n}", "time": f"{day}T12:00:00+08:00", "who": {"card": card}, "total_cents": 1_000}
        for n, (card, day) in enumerate(orders)
    ]
    file, out = workdir / "orders.ndjson", Console(file=io.StringIO(), width=200)
    file.write_text("\n".join(json.dumps({**line, "lines": [{"sku": "tea"}]}) for line in lines))
    settings = conf.load(environ={})
    figures = show_cohorts(settings, str(file), ALWAYS, workdir / "c.json", out)
    assert json.loads((workdir / "c.json").read_bytes())["cohorts"] == figures["cohorts"]
    told = out.file.getvalue()  # type: ignore[attr-defined]
    assert "2026-01" in told
    assert "2 customers; 100.0% ordered twice or more; loyalty index 50.0 of 100" in told
    with pytest.raises(WrongHistory, match="no month that is over has a first order"):
        show_cohorts(settings, str(file), Span(parse_time("2026-03-01T00:00:00+08:00"), FOREVER_MS), None, out)
