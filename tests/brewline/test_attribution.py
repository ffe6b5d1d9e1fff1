"""Attribution from a history in a file: what is printed is what is written."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from alerts.triggers.backtests.backtest import Span
from brewline.attribution import show_attribution
from brewline.backtests.choice import FOREVER_MS
from brewline.histories.history import WrongHistory
from config import settings as conf
from features.times import DAY_MS, parse_time

LINES = [
    ("a", 1, {"type": "coupon_delivered", "coupon": "c1", "gateway": "push"}),
    ("a", 2, {"type": "app_open", "channel": "mini"}),
    ("a", 3, {"type": "order", "lines": [{"sku": "tea"}], "total_cents": 1_000}),
    ("b", 1, {"type": "coupon_delivered", "coupon": "c2", "gateway": "push"}),
    ("c", 1, {"type": "app_open", "channel": "mini"}),
    ("c", 2, {"type": "order", "lines": [{"sku": "tea"}], "total_cents": 500}),
    ("c", 20, {"type": "order", "lines": [{"sku": "tea"}], "total_cents": 900}),
    ("d", 25, {"type": "app_open", "channel": "mini"}),
]


def test_the_command_prints_what_it_writes_and_says_where_there_is_nothing(workdir: Path) -> None:
    file, out = workdir / "history.ndjson", Console(file=io.StringIO(), width=200)
    rows = [
        {**event, "id": f"{n}", "time": f"2026-01-{day:02}T12:00:00+08:00", "who": {"card": card}}
        for n, (card, day, event) in enumerate(LINES)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    asked = (conf.load(environ={}), str(file))
    figures = show_attribution(*asked, Span(0, FOREVER_MS), "channel", 7 * DAY_MS, workdir / "a.json", out)
    written = json.loads((workdir / "a.json").read_bytes())
    assert {name: written[name] for name in figures} == figures
    told = (figures["ways"], figures["orders"], figures["orders_alone"], figures["open"])
    assert told == (3, 2, 1, 1)
    effects = {touch["touch"]: (touch["removal_effect"], touch["orders"]) for touch in figures["touches"]}
    assert effects["app_open mini"] == pytest.approx((1.0, 4 / 3))
    assert effects["coupon_delivered push"] == pytest.approx((0.5, 2 / 3))
    assert "3 ways, of which 2 came to an order" in out.file.getvalue()  # type: ignore[attr-defined]
    late = Span(parse_time("2026-01-21T00:00:00+08:00"), FOREVER_MS)
    with pytest.raises(WrongHistory, match="nobody was touched"):
        show_attribution(*asked, late, "channel", 7 * DAY_MS, None, out)
