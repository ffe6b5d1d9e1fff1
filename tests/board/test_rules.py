"""Rules on the board: what they say, how their tests come out, and the switch."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from board import backtests as b
from board.app import API
from board.backtests import Backtests
from board.trying import Asked
from config import settings as conf
from features import events as e
from features.times import HOUR_MS, parse_time
from operators.redis_link import connect_redis
from operators.servers import RedisServer
from operators.trail import Trail
from tests.board.conftest import SignedIn
from tests.brewline.test_switch import FAILING, OFF, RULE

pytestmark = pytest.mark.servers


@pytest.fixture
def board_settings(redis: RedisServer, topic_prefix: str, tmp_path: Path) -> conf.Settings:
    """A house of its own with two rules; the tests of one of them fail."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/thanks.toml").write_text(RULE)
    (tmp_path / "rules/wrong.toml").write_text(OFF + FAILING.replace('"thanks"', '"wrong"'))
    return conf.Settings(
        kafka=conf.Kafka(brokers="127.0.0.1:1", topic_prefix=topic_prefix, start_timeout_s=0.1),
        redis=conf.Redis(url=redis.url, prefix=topic_prefix.rstrip("-")),
        coupons=conf.Coupons(rules=str(tmp_path / "rules"), campaigns=""),
        folder=str(conf.HERE),
    )


@pytest.fixture
def marketing(signed_in: SignedIn) -> TestClient:
    return signed_in("marketing")


def test_a_rule_is_told_in_words_and_as_its_file_says_it(marketing: TestClient) -> None:
    listed = marketing.get(f"{API}/rules").json()
    assert {row["id"]: (row["state"], row["gift"], row["looks"]) for row in listed["items"]} == {
        "thanks": ("on", "G (1.00 off)", "at each order"),
        "wrong": ("off", "G (1.00 off)", "at each order"),
    }
    told = marketing.get(f"{API}/rules/thanks").json()
    assert told["source"] == RULE
    assert [(clause["text"], clause["words"]) for clause in told["clauses"]] == [
        ("orders_7d >= 1", "orders_7d 1 or more")
    ]
    assert [(test["name"], test["wanted_ms"], len(test["events"])) for test in told["tests"]] == [
        ("fires", [0], 1),
        ("is quiet", [], 1),
    ]
    unknown = marketing.get(f"{API}/rules/thank")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "there is no rule 'thank'; did you mean 'thanks'?")


def test_tests_are_run_and_told_timeline_by_timeline(marketing: TestClient) -> None:
    assert marketing.post(f"{API}/rules/thanks/tests", json={}).json()["failed"] == 0
    failed = marketing.post(f"{API}/rules/wrong/tests", json={}).json()
    assert [(one["name"], one["fired_ms"], one["ok"]) for one in failed["items"]] == [
        ("fires", [0], False),
        ("is quiet", [], True),
    ]


def test_a_rule_is_switched_in_its_file_by_who_may_and_it_is_noted(
    signed_in: SignedIn, marketing: TestClient, board_settings: conf.Settings
) -> None:
    path, file = f"{API}/rules/thanks/switch", Path(board_settings.coupons.rules, "thanks.toml")
    for role in ("auditor", "security"):
        assert signed_in(role).post(path, json={"on": False}).status_code == 403
    assert file.read_text() == RULE
    assert marketing.post(path, json={"on": False}).json()["state"] == "off"
    assert "enabled = false" in file.read_text()
    assert marketing.get(f"{API}/rules/thanks").json()["rule"]["state"] == "off", "the board follows the files"
    redis = connect_redis(board_settings.redis.url, 5.0)
    trail = Trail(redis, board_settings.redis.prefix, {}, "")
    noted = [raw.decode() for raw in redis.lrange(trail.waiting_key, 0, -1)]
    [entry] = [entry for entry in noted if "rule_off" in entry]
    assert all(word in entry for word in ("rule thanks", "marketing-1"))


def test_a_switch_that_cannot_be_meant_is_refused_with_the_reason(
    marketing: TestClient, board_settings: conf.Settings
) -> None:
    refused = marketing.post(f"{API}/rules/wrong/switch", json={"on": True})
    assert refused.status_code == 409
    assert "its tests fail, so it stays off" in refused.json()["detail"]
    board_settings.coupons.rules = str(conf.HERE / "rules/coupons")
    shipped = marketing.post(f"{API}/rules/thanks/switch", json={"on": False})
    assert shipped.status_code == 409
    assert "copy them to a folder of your own" in shipped.json()["detail"]


def test_while_a_file_is_wrong_the_former_rules_are_told_and_what_is_wrong(
    marketing: TestClient, board_settings: conf.Settings
) -> None:
    marketing.get(f"{API}/rules")
    Path(board_settings.coupons.rules, "thanks.toml").write_text(RULE.replace("orders_7d", "ordres_7d"))
    told = marketing.get(f"{API}/rules").json()
    assert len(told["items"]) == 2
    assert "ordres_7d" in told["wrong"]


def past(file: Path) -> str:
    """Three customers who each order four times."""
    at_ms = parse_time("2026-05-01T10:00:00+08:00")
    orders = [
        e.Order(
            id=f"o{n}", time=at_ms + n * HOUR_MS, who=e.Who(card=f"K{n % 3}"), lines=[e.Line("tea")], total_cents=1800
        )
        for n in range(12)
    ]
    file.write_bytes(b"\n".join(map(e.encode, orders)))
    return str(file)


def test_a_back_test_runs_beside_the_board_one_at_a_time_and_leaves_its_report(
    board_settings: conf.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", "k" * 32)
    backtests = Backtests(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix)
    asked = Asked(board_settings, "thanks", past(tmp_path / "past.ndjson"), True)
    begun = backtests.begin(asked, "anna")
    assert begun is not None
    assert backtests.begin(replace(asked, rule="wrong"), "ben") is None
    assert (backtests.running().rule, backtests.running().by) == ("thanks", "anna")  # type: ignore[union-attr]
    until = time.monotonic() + 60
    while backtests.running() and time.monotonic() < until:
        time.sleep(0.1)
    report = backtests.report("thanks")
    assert report is not None
    assert report.error == ""
    assert report.figures is not None
    assert report.figures["rules"]["thanks"]["customers_reached"] == 3


def test_a_back_test_that_takes_too_long_is_ended_and_says_so(
    board_settings: conf.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(b, "LIMIT_S", 0.05)
    backtests = Backtests(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix)
    monkeypatch.setattr(backtests.redis, "set", allowing_part_seconds(backtests.redis.set))
    backtests.begin(Asked(board_settings, "thanks", "kafka", True), "anna")
    until = time.monotonic() + 30
    while backtests.running() and time.monotonic() < until:
        time.sleep(0.05)
    report = backtests.report("thanks")
    assert report is not None
    assert "it was ended after" in report.error


def allowing_part_seconds(keep):  # type: ignore[no-untyped-def]
    return lambda key, value, **options: keep(key, value, **({**options, "ex": 60} if "ex" in options else options))


def test_a_rule_may_be_called_running(board_settings: conf.Settings) -> None:
    backtests = Backtests(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix)
    now = b.Running("running", "kafka", "anna", 0)
    backtests.redis.set(f"{backtests.start}running", msgspec.json.encode(now))
    assert (backtests.report("running"), backtests.running()) == (None, now)
