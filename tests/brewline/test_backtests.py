"""`brewline rules backtest`: figures that can be counted by hand, and plain errors."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from msgspec.structs import replace
from redis import Redis
from rich.console import Console

from alerts.triggers.backtests.backtest import Span
from brewline.backtests.choice import choose
from brewline.backtests.command import Asked, backtest
from brewline.backtests.plot import draw
from config import settings as conf
from features import events as e
from features.models import Curve, LinearModel, input_layouts
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from features.versions import sole
from operators.layout import RECORDS
from operators.servers import RedisServer
from operators.store import PartitionStore
from tests.brewline.small_life import CATALOG, HOUSE, NOON_MS, OUT, RULE, consent, life, ndjson, order, tried
from tests.brewline.test_cli import brewline


def test_the_figures_of_a_small_life_are_those_counted_by_hand(tmp_path: Path) -> None:
    figures = tried(ndjson(tmp_path, life()))
    rule = figures["rules"][RULE]
    assert (figures["events"], figures["customers"]) == (13, 3)
    assert rule["asked"] == 9
    assert rule["outcomes"] == {"issued": 1, "cooldown": 1, "no_consent": 1}
    assert (rule["customers"], rule["customers_reached"], rule["given_cents"]) == (2, 1, 300)
    assert rule["by_day"] == {"2026-05-06": {"coupons": 1, "cents": 300}}
    assert rule["by_week"] == {"2026-05-04": {"coupons": 1, "cents": 300}}
    issued, nearly = rule["lookalikes"]["issued"], rule["lookalikes"]["nearly"]
    assert (issued["moments"], issued["ordered"], issued["redeemed"], issued["own"]) == (1, 1, 1, 1)
    assert (nearly["moments"], nearly["ordered"]) == (1, 0), "ben's second order"


def test_requests_for_points_are_told_apart_and_what_the_history_says_was_spent_is_not_given_twice(
    tmp_path: Path,
) -> None:
    def asks(number: int, points: int) -> e.PointsExchange:
        return e.PointsExchange(id=f"x{number}", time=NOON_MS + number * HOUR_MS, who=e.Who(card="anna"), points=points)

    bought = [order("anna", NOON_MS - DAY_MS + n * HOUR_MS) for n in range(20)]  # 18 yuan each: 360 points
    spent = e.PointsSpent(id="s", time=NOON_MS + 2 * HOUR_MS, who=e.Who(card="anna"), points=100)
    events = [*bought, asks(0, 100), asks(1, 100), spent, asks(3, 100), asks(4, 50)]
    figures = tried(ndjson(tmp_path, events), "points-exchange")
    assert figures["rules"]["points-exchange"]["outcomes"] == {"issued": 2, "no_points": 2}


def test_a_budget_that_runs_out_is_shared_by_all_in_the_order_of_the_history(tmp_path: Path) -> None:
    """Each of three would get three coupons of 3 yuan; there is money for two, and all have one share."""
    (tmp_path / "thanks.toml").write_text('id = "thanks"\nbudget_cents = 899\n')
    house = replace(HOUSE, coupons=replace(HOUSE.coupons, campaigns=str(tmp_path)))
    names = ("anna", "ben", "cleo")
    events = [order(n, NOON_MS + d * DAY_MS + i * HOUR_MS) for d in range(30) for i, n in enumerate(names)]
    chosen, shown = choose(house, [RULE], [], False, Span()), StringIO()
    history = ndjson(tmp_path, [*map(consent, names), *events])
    figures = backtest(house, chosen, Asked(history, False, None, None), Console(file=shown, width=200))
    rule, campaign = figures["rules"][RULE], figures["campaigns"]["thanks"]
    assert (rule["outcomes"]["issued"], rule["given_cents"]) == (2, 600)
    assert rule["outcomes"]["budget"] > 2
    assert campaign["ran_out"] == {"budget": "2026-05-06T06:00:00.000Z"}
    assert rule["by_day"] == {"2026-05-06": {"coupons": 2, "cents": 600}}
    assert "budget 2026-05-06T06:00:00.000Z" in shown.getvalue()
    free = backtest(HOUSE, choose(HOUSE, [RULE], [], False, Span()), Asked(history, False, None, None), OUT)
    assert free["campaigns"]["thanks"]["ran_out"] == {}
    assert free["rules"][RULE]["outcomes"]["issued"] > 2


RISKY = """
id = "risky"
on = ["order"]
when = "churn_risk >= 0.5"
then = { coupon = "R", face_value_cents = 100 }
cooldown = "1h"
[[test]]
name = "at risk"
events = [{ type = "order" }]
scores = { churn_risk = 0.7 }
fires_at = ["+0s"]
[[test]]
name = "safe"
events = [{ type = "order" }]
scores = { churn_risk = 0.3 }
"""


def published(house: conf.Settings, layout: str) -> None:
    """As learning stores it: a model that calls everybody at risk who has ordered twice within a week."""
    names = [CATALOG.names[i] for i in CATALOG.models["churn_risk"]]
    curves = [Curve([1.0, 2.0], [-9.0, 9.0]) if name == "orders_7d" else Curve() for name in names]
    model = LinearModel("churn_risk", 7, layout, 9, names, curves, 0.0)
    redis = Redis.from_url(house.redis.url)
    store = PartitionStore(redis, house.redis.prefix, "learning")
    for record, raw in sole(model).items():
        redis.hset(store.key(0, RECORDS), record, raw)


@pytest.mark.servers
def test_with_scores_now_the_models_that_are_published_score_and_are_named(tmp_path: Path, redis: RedisServer) -> None:
    house = replace(HOUSE, redis=conf.Redis(url=redis.url, prefix=f"b{uuid4().hex[:8]}"))
    draft = tmp_path / "risky.toml"
    draft.write_text(RISKY)
    chosen, history = choose(house, [str(draft)], [], False, Span()), ndjson(tmp_path, life())

    def scored(scores: str) -> tuple[dict[str, int], dict[str, int], str]:
        shown = StringIO()
        figures = backtest(house, chosen, Asked(history, True, None, None, scores), Console(file=shown, width=200))
        return figures["scores"], figures["rules"]["risky"]["outcomes"], shown.getvalue()

    published(house, input_layouts(CATALOG)["churn_risk"])
    versions, outcomes, said = scored("now")
    assert (versions, outcomes) == ({"churn_risk": 7}, {"issued": 3 + 1 + 2})
    assert "scored by the models of today (churn_risk version 7)" in said
    assert scored("none")[:2] == ({}, {}), "as on the first day"
    published(house, "of other features")
    versions, outcomes, said = scored("now")
    assert (versions, outcomes) == ({}, {})
    assert "no model is published that fits the features" in said


def test_consent_can_be_assumed(tmp_path: Path) -> None:
    assert tried(ndjson(tmp_path, life()), consent=True)["rules"][RULE]["outcomes"] == {"issued": 2, "cooldown": 1}


def drafted(tmp_path: Path, orders: int) -> str:
    """The file of a draft of the same id, that looks for so many orders."""
    text = Path(HOUSE.path(HOUSE.coupons.rules), f"{RULE}.toml").read_text()
    draft = tmp_path / "draft.toml"
    draft.write_text(text.replace("orders_7d >= 3", f"orders_7d >= {orders}"))
    return str(draft)


@pytest.mark.parametrize("against", [True, False])
def test_a_draft_whose_id_is_taken_gets_another_name_and_the_shipped_rule_keeps_its_own(
    tmp_path: Path, against: bool
) -> None:
    draft = drafted(tmp_path, 2)
    names, others = ([draft], [RULE]) if against else ([draft, RULE], [])
    chosen = choose(HOUSE, names, others, False, Span())
    assert {rule.id: file for rule, file, _ in chosen.all}[f"{RULE}-draft"] == draft
    file, plot = tmp_path / "f.json", tmp_path / "f.svg"
    shown, asked = StringIO(), Asked(ndjson(tmp_path, life()), True, file, plot)
    backtest(HOUSE, chosen, asked, Console(file=shown, width=200))
    rules = orjson.loads(file.read_bytes())["rules"]
    shipped = tried(ndjson(tmp_path, life()), consent=True)["rules"][RULE]
    assert rules[RULE]["version"] == shipped["version"] != rules[f"{RULE}-draft"]["version"]
    assert [rules[f"{RULE}-draft"]["held"], rules[RULE]["held"]] == [6, 3]
    rows = [line.replace("│", " ").split() for line in shown.getvalue().splitlines()]
    assert [f"{RULE}-draft", "9", "6"] in [row[:3] for row in rows]
    assert plot.read_text().index(f">{RULE}-draft<")


def test_a_rule_and_what_may_replace_it_are_decided_as_if_the_other_did_not_exist(tmp_path: Path) -> None:
    """They are of one id, group and campaign, whose budget pays for two of each."""
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns/thanks.toml").write_text('id = "thanks"\nbudget_cents = 899\n')
    house = replace(HOUSE, coupons=replace(HOUSE.coupons, campaigns=str(tmp_path / "campaigns")))
    names = ("anna", "ben", "cleo")
    events = [order(n, NOON_MS + d * DAY_MS + i * HOUR_MS) for d in range(30) for i, n in enumerate(names)]
    history, shown = ndjson(tmp_path, [*map(consent, names), *events]), StringIO()

    def figures(names: list[str], against: list[str]) -> dict:
        chosen = choose(house, names, against, False, Span())
        return backtest(house, chosen, Asked(history, False, None, None), Console(file=shown, width=200))

    draft = drafted(tmp_path, 2)
    both = figures([draft, "second-order"], [RULE])
    first, second = figures([draft, "second-order"], []), figures([RULE, "second-order"], [])
    worlds = [[f"{RULE}-draft", "second-order"], [RULE, "second-order (against)"]]
    assert both["worlds"] == worlds
    alike = [(f"{RULE}-draft", first, RULE), ("second-order", first, "second-order"), (RULE, second, RULE)]
    alike += [("second-order (against)", second, "second-order")]
    for name, alone, its in alike:
        mine, wanted = both["rules"][name], alone["rules"][its]
        assert {k: v for k, v in mine.items() if k != "overlap"} == {k: v for k, v in wanted.items() if k != "overlap"}
    assert both["campaigns"]["thanks"] == first["campaigns"]["thanks"]
    assert both["campaigns"]["thanks (against)"] == second["campaigns"]["thanks"]
    assert both["rules"][RULE]["overlap"][f"{RULE}-draft"]["customers"] == 2
    assert "second-order" not in both["rules"][RULE]["overlap"], "it is not of its world, and was not held against it"
    assert f"each side as if the other did not exist, with budgets of its own: {', '.join(worlds[0])} | " in (
        shown.getvalue()
    )


def test_of_all_rules_only_what_is_named_is_held_against(tmp_path: Path) -> None:
    named = choose(HOUSE, ["second-order"], [RULE], True, Span())
    assert [rule.id for rule, _, _ in named.rules] == ["second-order"]
    assert [rule.id for rule, _, _ in named.against] == [RULE]
    assert not {RULE, "second-order"} & {rule.id for rule, _, _ in named.beside}
    without = choose(HOUSE, [], [RULE], True, Span())
    assert (len(without.beside), len(without.rules)) == (0, len(named.all) - 1)
    assert len(choose(HOUSE, [RULE], [RULE], False, Span()).worlds) == 1


def test_rules_overlap_where_they_reach_the_same_customers_within_a_day(tmp_path: Path) -> None:
    chosen = choose(HOUSE, [drafted(tmp_path, 2)], [RULE], False, Span())
    figures = backtest(HOUSE, chosen, Asked(ndjson(tmp_path, life()), True, None, None), OUT)
    both = {"customers": 2, "coupons_within_a_day": 2}
    assert figures["rules"][RULE]["overlap"] == {f"{RULE}-draft": both}


def test_all_rules_go_into_one_command_and_one_picture(tmp_path: Path) -> None:
    file, plot = tmp_path / "out/f.json", tmp_path / "out/f.html"
    chosen = choose(HOUSE, [], [], True, Span())
    backtest(HOUSE, chosen, Asked(ndjson(tmp_path, life()), False, file, plot), OUT)
    figures = orjson.loads(file.read_bytes())
    assert {"events", "events_per_s", "rules", "machine", "commit"} <= figures.keys()
    assert len(figures["rules"]) == len(chosen.rules) >= 6
    assert "<svg" in plot.read_text()
    assert RULE in plot.read_text()


def test_a_picture_of_rules_that_never_held_is_drawn_all_the_same(tmp_path: Path) -> None:
    assert f"no event they look at: {RULE}" in draw(tried(ndjson(tmp_path, [consent("anna")])))


def test_a_png_is_drawn_where_its_package_is(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    file = tmp_path / "f.png"
    backtest(HOUSE, choose(HOUSE, [RULE], [], False, Span()), Asked(ndjson(tmp_path, life()), False, None, file), OUT)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_command_ends_with_a_plain_line_and_shows_examples(tmp_path: Path) -> None:
    shown = brewline("rules", "backtest", RULE, "--history", ndjson(tmp_path, life()), COLUMNS="80")
    assert shown.returncode == 0, shown.stderr
    assert "what each rule would have decided" in shown.stdout
    assert "…" not in shown.stdout.partition("what each rule")[2]  # no figure is cut off on a narrow screen
    assert "no rule names the campaign" not in shown.stdout + shown.stderr  # other rules may
    wrong = brewline("rules", "backtest", "third-in-a-weak")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("brewline: there is no rule 'third-in-a-weak'; did you mean")


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    events = [order("anna", NOON_MS + n * MINUTE_MS) for n in range(150_000)]
    command = [sys.executable, "-m", "brewline", "rules", "backtest", RULE, "--history", ndjson(tmp_path, events)]
    screen, theirs = pty.openpty()
    running = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = os.read(screen, 4096)  # the progress bar: it is at work
    running.send_signal(signal.SIGINT)
    with suppress(OSError):  # the screen is gone with the process
        while more := os.read(screen, 65_536):
            shown += more
    os.close(screen)
    assert running.wait(60) in (1, 130), shown
    assert b"Traceback" not in shown
