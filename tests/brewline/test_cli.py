"""The command line: help that shows examples, plain errors that say what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from typer.main import get_group
from typer.testing import CliRunner

from alerts.coupons.code import Codes
from brewline.cli import _speed, app
from brewline.commands import rules
from brewline.commands.shared import WIDE, moment, timed
from brewline.doctor import _holidays
from brewline.servers_checked import Advice
from config.settings import HERE, load
from features.times import parse_time
from flows.rules import load_rules
from operators.servers import free_port
from tests.config.test_rules import GOOD

COMMANDS = [
    "demo",
    "run",
    "replay",
    "customer",
    "why",
    "forget",
    "suppress",
    "campaigns",
    "tickets",
    "doctor",
    "demand",
    "rules",
    "rules check",
    "rules test",
    "rules backtest",
    "history",
    "history export",
    "training-set",
    "coupons list",
    "coupons check",
    "coupons revoke",
    "models",
    "models list",
    "models show",
    "models promote",
    "models rollback",
    "alerts list",
    "alerts ack",
    "alerts silence",
    "audit",
    "audit verify",
    "",
]


def brewline(*words: str, out: Any = subprocess.PIPE, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "brewline", *words]
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environ}
    err = subprocess.PIPE
    return subprocess.run(command, stdout=out, stderr=err, text=True, env=env, timeout=120, check=False)


def nowhere() -> dict[str, str]:
    """Servers that are not there, and little patience."""
    return {
        "BREWLINE_KAFKA__BROKERS": f"127.0.0.1:{free_port()}",
        "BREWLINE_REDIS__URL": f"redis://127.0.0.1:{free_port()}/0",
        "BREWLINE_KAFKA__START_TIMEOUT_S": "1",
        "BREWLINE_REDIS__START_TIMEOUT_S": "0.5",
        "BREWLINE_IDENTITY_KEY": "a key of sixteen characters or more",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_in_its_help(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="brewline", env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "Example: " in shown.output
    assert f"brewline {command}".rstrip() in shown.output


def test_rules_test_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    for name in ("welcome", "cart-left"):
        shutil.copy(HERE / f"rules/coupons/{name}.toml", tmp_path)
    shown = brewline("rules", "test", "--json", str(file), BREWLINE_COUPONS__RULES=str(tmp_path))
    figures = orjson.loads(file.read_bytes())
    assert shown.returncode == 0, shown.stdout
    assert figures["failed"] == 0
    assert figures["rules"] >= 20  # two for coupons, the others for the security team
    assert min(figures["firing_tests"], figures["quiet_tests"]) >= figures["rules"]
    assert {"machine", "commit", "python", "packages"} <= figures.keys()
    assert f"rules: {figures['rules']}, firing tests: {figures['firing_tests']}, quiet tests: " in shown.stdout


def test_rules_test_runs_a_file_that_lies_anywhere_alone(tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(GOOD, "utf-8-sig")  # as Notepad writes it
    shown = brewline("rules", "test", str(draft), "winback-14d", "--json")
    assert (shown.returncode, orjson.loads(shown.stdout)["rules"]) == (0, 2), shown.stderr
    draft.write_text(GOOD.replace("repeat = 3", "repeat = 2"), "utf-8")
    shown = brewline("rules", "test", str(draft))
    assert shown.returncode == 1
    assert f"{draft}:9: test 'the third order': fired at no time, expected +2d" in shown.stdout
    assert brewline("rules", "test", "winback-14").stderr.strip().endswith("did you mean 'winback-14d'?")


def test_figures_without_a_file_are_all_that_is_printed(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    shipped = Path(__file__).parents[2] / "config/rules/coupons/third-in-a-week.toml"
    (rules / shipped.name).write_text(shipped.read_text())
    shown = brewline("rules", "test", "--json", BREWLINE_COUPONS__RULES=str(rules))
    assert orjson.loads(shown.stdout)["failed"] == 0
    assert "third-in-a-week" in shown.stderr


def test_a_full_disk_behind_the_output_gets_one_plain_line() -> None:
    with open("/dev/full", "w") as full:
        shown = brewline("users", "--help", out=full)
    assert (shown.returncode, shown.stderr) == (1, "brewline: the output: No space left on device\n")


def test_no_screen_cuts_what_goes_to_a_pipe() -> None:
    narrow, piped = (
        subprocess.run(
            [sys.executable, "-c", "from brewline.commands.shared import out; print(out.width)"],
            capture_output=True,
            env={**{k: v for k, v in os.environ.items() if k != "COLUMNS"}, **told},
            check=True,
        ).stdout
        for told in ({"COLUMNS": "60"}, {})
    )
    assert (int(narrow), int(piped)) == (60, WIDE)


def test_an_interrupt_while_all_is_loaded_leaves_no_traceback() -> None:
    code = """
import sys
from brewline.__main__ import main

class Interrupted:
    def find_spec(self, *named):
        raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")


def test_json_stands_before_a_file_or_alone() -> None:
    read = get_group(rules.app).commands["backtest"]
    given = [["--json"], ["--json", "-"], ["r", "--json", "--all"], ["--json", "f", "r"], []]
    assert [read.make_context("backtest", words).params["json"] for words in given] == [
        Path("-"),
        Path("-"),
        Path("-"),
        Path("f"),
        None,
    ]


def test_a_failing_timeline_fails_the_command_and_is_named(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    shipped = Path(__file__).parents[2] / "config/rules/coupons/third-in-a-week.toml"
    (rules / "mine.toml").write_text(shipped.read_text().replace('fires_at = ["+2d"]', 'fires_at = ["+1d"]', 1))
    shown = brewline("rules", "test", BREWLINE_COUPONS__RULES=str(rules))
    assert shown.returncode == 1
    assert "test 'the third order of the week': fired at +2d, expected +1d" in shown.stdout


def test_doctor_names_every_ailment_and_its_cure() -> None:
    shown = brewline("doctor", **nowhere())
    assert shown.returncode == 1
    assert "ok   coupon rules" in shown.stdout
    assert "FAIL kafka" in shown.stdout
    assert "[kafka] brokers or BREWLINE_KAFKA__BROKERS" in shown.stdout
    assert "FAIL redis" in shown.stdout


def test_doctor_names_rules_whose_holidays_are_over() -> None:
    shipped = [rule for rule, _, _ in load_rules(load(environ={}))]
    assert _holidays(shipped, date(2026, 5, 1)).startswith("4 rules name some")
    with pytest.raises(Advice, match=r"these rules name no day that is to come: .*mid-autumn \(2027-\d\d-\d\d\)"):
        _holidays(shipped, date(2028, 1, 1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "ingest", "kpis", "ingest"], "run: found ingest more than once, expected each flow once"),
        (["run", "kpis", "dispatch"], "run: found dispatch beside other flows, expected it alone"),
        (
            ["alerts", "silence", "stroe=s1", "--by", "anna", "--reason", "x"],
            "alerts have no 'stroe'; did you mean 'store'",
        ),
        (["alerts", "silence", "store=*", "--by", "anna", "--reason", "x"], "that would cover every alert"),
        (["replay", "completejourny"], "found history 'completejourny', expected completejourney"),
        (["replay", "completejourney", "--speed", "fast"], "--speed: found 'fast', expected `max` or a factor"),
        (["customer", "c12", "--at", "yesterday"], "expected RFC 3339 with offset"),
        (["customer", "c12", "--at", "99999999999999999999"], "--at: found '99999999999999999999', expected RFC 3339"),
        (["customer", "card:12"], "Redis at"),
        (["forget", "card:12"], "Redis at"),
        (["why", "card:12"], "Redis at"),
        (["coupons", "list", "card:12"], "Redis at"),
        (["coupons", "check", "7Q2M-X0KD-R4TB-9WZC-M3HA"], "there is no key to check codes with"),
        (["users", "add", "mei", "--role", "marketing", "--password-file", "none"], "none: cannot be read"),
        (["rules", "test", "winback-14d", "--json", "/dev/null/figures.json"], "--json: /dev/null/figures.json cannot"),
        (["rules", "backtest", "no-rule", "--plot", "/dev/null/p.html"], "--plot: /dev/null/p.html cannot be written"),
        (["rules", "backtest", "no-rule", "--json", "/"], "--json: / cannot be written: Is a directory"),
    ],
)
def test_a_wrong_word_gets_one_plain_line(words: list[str], message: str) -> None:
    shown = brewline(*words, **nowhere())
    assert shown.returncode == 1
    assert shown.stderr.startswith("brewline: ")
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr


def test_doctor_asks_gateways_for_a_connection_and_names_one_that_takes_none(tmp_path: Path) -> None:
    away = free_port()
    (tmp_path / "brewline.toml").write_text(
        f"[dispatch.gateways.push]\nurl = 'http://127.0.0.1:{away}/coupons?token=hunter2'\n"
    )
    settings = {"BREWLINE_SETTINGS": str(tmp_path / "brewline.toml"), **nowhere()}
    shown = brewline("doctor", **settings, BREWLINE_DISPATCH_SECRET_PUSH="whsec_" + "A" * 32)
    assert f"FAIL gateways: push at 127.0.0.1:{away} takes no connection (Connection refused)" in shown.stdout
    assert "hunter2" not in shown.stdout + shown.stderr
    shown = brewline("doctor", **settings)
    assert "FAIL gateways: [dispatch.gateways.push]: there is no secret to sign with: set BREWLINE" in shown.stdout
    shown = brewline("doctor", **nowhere())
    assert "ok   gateways: none configured: coupons stay on their topic" in shown.stdout


def test_doctor_asks_sinks_for_a_connection_and_names_one_that_takes_none(tmp_path: Path) -> None:
    away = free_port()
    (tmp_path / "brewline.toml").write_text("")
    (tmp_path / "sinks.toml").write_text(
        f"[sinks.siem]\nkind = 'syslog'\naddress = '127.0.0.1:{away}'\n[sinks.old]\nkind = 'syslog'\nover = 'udp'\n"
        "address = '127.0.0.1:514'\n"
    )
    shown = brewline("doctor", **{"BREWLINE_SETTINGS": str(tmp_path / "brewline.toml"), **nowhere()})
    assert f"FAIL sinks: siem at 127.0.0.1:{away} takes no connection (Connection refused)" in shown.stdout
    assert "see [sinks.siem] address" in shown.stdout


def test_a_code_is_checked_without_any_server() -> None:
    key = "a key of sixteen characters or more"
    code = Codes(key.encode()).code("d", parse_time("2030-05-01T00:00:00Z"))
    other = f"{code[:-1]}{'0' if code[-1] != '0' else '1'}"
    for shown, at, told in (
        (code, "2030-05-01T23:59:59Z", "genuine, until 2030-05-01 at the latest"),
        (code.lower(), "2030-05-02T00:00:00Z", "no: expired"),
        (other, "2030-05-01T00:00:00Z", "no: forged"),
        ("WB5", "2030-05-01T00:00:00Z", "no: unknown"),
    ):
        checked = brewline("coupons", "check", shown, "--at", at, **nowhere(), BREWLINE_COUPON_KEY=key)
        assert checked.stdout.startswith(told), checked.stderr
        assert checked.returncode == (0 if told.startswith("genuine") else 1)
    checked = brewline("coupons", "check", code, **nowhere(), BREWLINE_COUPON_KEY="short")
    assert "BREWLINE_COUPON_KEY, or [coupons] key_file" in checked.stderr


def test_run_refuses_a_share_that_is_none() -> None:
    shown = brewline("run", "customers", "--share", "second", **nowhere())
    assert shown.returncode == 1
    assert "BREWLINE_KAFKA__SHARE: found 'second'" in shown.stderr


def test_a_misspelt_setting_of_librdkafka_is_named() -> None:
    shown = brewline("run", "kpis", **nowhere(), BREWLINE_KAFKA__CLIENT='{"sasl.usrname": "x"}')
    assert shown.returncode == 1
    assert '[kafka] client: No such configuration property: "sasl.usrname"' in shown.stderr
    assert "does not answer" not in shown.stderr


def test_missing_servers_are_named_and_not_waited_for() -> None:
    servers = {name: value for name, value in nowhere().items() if "TIMEOUT" not in name}
    started_s = time.monotonic()
    shown = brewline("doctor", **servers)
    assert shown.returncode == 1
    for line in ("FAIL kafka: Kafka at", "FAIL redis: Redis at"):
        assert any(one.startswith(line) and "does not answer" in one for one in shown.stdout.splitlines()), line
    assert time.monotonic() - started_s < 60  # it takes six on a machine that has nothing else to do


def test_run_without_servers_ends_with_one_plain_line() -> None:
    shown = brewline("run", "kpis", "security", "--share", "0/2", **nowhere())
    assert shown.returncode == 1
    assert "does not answer" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_speeds_and_moments_are_read() -> None:
    assert _speed("max") is None
    assert _speed("1000x") == 1000
    assert moment("1777824000000") == moment("2026-05-04T00:00:00+08:00")


@pytest.mark.parametrize("words", [["churn_risk"], ["churn_risk", "3", "--auto"]])
def test_who_promotes_says_which_version_or_leaves_it_to_learning(words: list[str]) -> None:
    shown = brewline("models", "promote", *words, **nowhere())
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "brewline: models promote: say either which version, or --auto\n"


def test_models_cannot_be_listed_while_redis_is_away() -> None:
    shown = brewline("models", "list", **nowhere())
    assert shown.returncode == 1
    assert shown.stderr.startswith("brewline: ")
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("option", "typed", "told"),
    [
        ("--from", "yesterday", "--from: found 'yesterday', expected RFC 3339 with offset such as 2026-05-01T08:30"),
        ("--to", "2026-02-30", "--to: found '2026-02-30', expected RFC 3339"),
        ("--to", "99999999999999999999", "--to: found '99999999999999999999', expected RFC 3339"),
        ("--to", "0001-01-01T00:00:00+08:00", "--to: found '0001-01-01T00:00:00+08:00', expected RFC 3339"),
    ],
)
def test_a_time_that_is_none_is_told_with_its_option(option: str, typed: str, told: str) -> None:
    shown = brewline("rules", "backtest", "winback-14d", option, typed)
    assert shown.returncode == 1
    assert shown.stderr.startswith(f"brewline: {told}")


def test_a_date_is_the_midnight_at_which_it_begins_at_the_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREWLINE_STORES__TIMEZONE", "Asia/Tokyo")
    option = SimpleNamespace(opts=["--at"])
    assert moment(timed(option, "2026-05-01")) == parse_time("2026-05-01T00:00:00+09:00")
    assert [timed(option, text) for text in ("2026-05-01T08:30:00Z", "1777824000000", None)] == [
        "2026-05-01T08:30:00Z",
        "1777824000000",
        None,
    ]
