"""Sinks in their file: a mistake is told with file, line, sink and key, and no secret is quoted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from alerts.notices.sink import KINDS, SECRETIVE, Syslog, WrongSinks, read_sinks, variable
from config.settings import WrongSettings, load
from flows.sinks import load_sinks, load_targets
from tests.receiver import SECRET

HOOK = "most = 9\n\n[sinks.hook]\nkind = 'webhook'\nurl = 'https://x.example.com/a'\n"
SIEM = "[sinks.siem]\nkind = 'syslog'\naddress = 'siem.example.com:6514'\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mots = 1", "f.toml:1: unknown key 'mots'; did you mean 'most'?"),
        ("most = 0", "f.toml:1: most: found 0, expected `int` >= 1"),
        (
            "\nwithin = 'soon'",
            "f.toml:2: within: expected a duration such as '90s', '30m', '24h' or '14d', found 'soon'",
        ),
        (
            "[sinks.hook]\nurl = 'https://x/'",
            "f.toml:1: [sinks.hook] kind: is missing; known are webhook, alertmanager",
        ),
        ("[sinks.a]\nkind = 'webhok'", "f.toml:2: [sinks.a] kind: found 'webhok'; did you mean 'webhook'?"),
        (HOOK + "timeout = 3", "f.toml:6: [sinks.hook] unknown key 'timeout'; did you mean 'timeout_s'?"),
        (HOOK + "timeout_s = 0", "f.toml:6: [sinks.hook] timeout_s: found 0, expected `float` > 0"),
        (HOOK + "at_least = 'bad'", "f.toml:6: [sinks.hook] at_least: found 'bad'; known are critical, high,"),
        (HOOK + "alerts = ['kpis']", "f.toml:6: [sinks.hook] alerts: found 'kpis', invalid enum value 'kpis'"),
        (
            HOOK + "secret = 'hunter2'",
            "f.toml:6: [sinks.hook] secret: secrets do not stand here: set BREWLINE_SINK_SECRET",
        ),
        (HOOK + SIEM + "token = 'hunter2'", "f.toml:9: [sinks.siem] token: secrets do not stand here"),
        (HOOK.replace("x.example", "u:hunter2@x"), "f.toml:5: [sinks.hook] url: found a user or a password in it"),
        (HOOK.replace("https", "ftp"), "f.toml:5: [sinks.hook] url: what stands there is no url"),
        (SIEM.replace(":6514", ""), "f.toml:3: [sinks.siem] address: found 'siem.example.com', expected host:port"),
        (SIEM + "key_file = 'k.pem'", "f.toml:4: [sinks.siem] key_file: certificate_file and key_file belong together"),
        ("[sinks.Hook]\nkind = 'webhook'", "f.toml:1: [sinks.Hook]: expected a name of small letters"),
        ("[sinks]\nhook = 1", "[sinks.hook]: found 1, expected a table"),
        ("sinks = 1", "f.toml:1: sinks: found 1, expected `object`, got `int`"),
    ],
)
def test_a_wrong_sink_is_refused_by_line_name_and_key(text: str, told: str) -> None:
    with pytest.raises(WrongSinks) as caught:
        read_sinks(text, "f.toml")
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_shipped_file_is_taken_and_what_it_shows_is_so_when_it_is_uncommented() -> None:
    settings = load(environ={})
    shipped = Path(settings.path(settings.sinks)).read_text("utf-8")
    assert read_sinks(shipped, "sinks.toml").sinks == {}
    shown = re.sub(r"(?m)^# (?=\[|\w+ = )", "", shipped)
    assert read_sinks(shown, "sinks.toml").sinks.keys() == {"siem", "on-call"}


def test_secrets_come_from_the_environment_or_from_files_and_are_asked_for_by_name(tmp_path: Path) -> None:
    file = tmp_path / "sinks.toml"
    settings = replace(load(environ={}), sinks=str(file))
    file.write_text(HOOK, "utf-8")
    with pytest.raises(WrongSettings, match=f"there is no secret: set {variable('hook')}, or secret_file"):
        load_targets(settings, load_sinks(settings), {})
    with pytest.raises(
        WrongSettings, match="environment variable BREWLINE_SINK_SECRET_HOOK: a secret does not"
    ) as caught:
        load_targets(settings, load_sinks(settings), {variable("hook"): "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(WrongSettings, match="BREWLINE_SINK_SECRET_HOK: there is no such sink; expected BREWLINE_SINK"):
        load_targets(settings, load_sinks(settings), {variable("hok"): SECRET, variable("hook"): SECRET})
    [target] = load_targets(settings, load_sinks(settings), {variable("hook"): SECRET})
    assert target.name == "hook"
    file.write_text(HOOK + "secret_file = 'hook.secret'", "utf-8")
    (tmp_path / "hook.secret").write_text(f"{SECRET}\n", "utf-8")
    assert [target.name for target in load_targets(settings, load_sinks(settings), {})] == ["hook"]


def test_a_secret_of_a_sink_is_no_unknown_setting() -> None:
    load(environ={"BREWLINE_SINK_SECRET_SPLUNK": "x"})


def test_every_kind_that_needs_no_secret_works_without_one(tmp_path: Path) -> None:
    assert set(KINDS.values()) - set(SECRETIVE) == {KINDS["alertmanager"], Syslog}
    file = tmp_path / "sinks.toml"
    settings = replace(load(environ={}), sinks=str(file))
    file.write_text(SIEM + "[sinks.am]\nkind = 'alertmanager'\nurl = 'http://127.0.0.1:9093'\n", "utf-8")
    assert [target.name for target in load_targets(settings, load_sinks(settings), {})] == ["siem", "am"]
    file.write_text(SIEM + "ca_file = 'missing.pem'", "utf-8")
    with pytest.raises(WrongSettings, match=r"\[sinks.siem\]: a certificate or key cannot be used"):
        load_targets(settings, load_sinks(settings), {})
