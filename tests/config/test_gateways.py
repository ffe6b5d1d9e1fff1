"""Gateways in the settings: a mistake is told with the gateway's name and key, and no secret is quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import WrongSettings, load
from flows.gateways import load_gateways
from tests.receiver import SECRET

PUSH = "[dispatch.gateways.push]\n"
URL = "url = 'https://push.example.com/coupons'\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "brewline.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PUSH + URL + "rate = 3", "[dispatch.gateways.push]: unknown key 'rate'; expected one of url, secret_file"),
        (PUSH + URL + "rate_per_sec = 3", "unknown key 'rate_per_sec'; did you mean 'rate_per_s'?"),
        (PUSH + URL + "rate_per_s = 0", "[dispatch.gateways.push] rate_per_s: found 0; expected `float` > 0"),
        (PUSH + URL + "rate_per_s = inf", "[dispatch.gateways.push] rate_per_s: found inf; expected `float` <= 10000"),
        (PUSH + URL + "channels = [1]", "[dispatch.gateways.push] channels: found [1]; expected `str`, got `int`"),
        (PUSH + URL + "begin = 'now'", "[dispatch.gateways.push] begin: found 'now'; invalid enum value"),
        (PUSH + "timeout_s = 1", "[dispatch.gateways.push]: object missing required field `url`"),
        (PUSH + "url = 'ftp://x/y'", "[dispatch.gateways.push] url: what stands there is no url, expected https://"),
        (PUSH + "url = 'https://x:0/'", "[dispatch.gateways.push] url: what stands there is no url"),
        (PUSH + "url = 'https://x/a b'", "[dispatch.gateways.push] url: what stands there is no url"),
        (PUSH + "url = 'https://u:hunter2@x/'", "[dispatch.gateways.push] url: found a user or a password in it"),
        (PUSH + URL + "secret = 'hunter2'", "secrets do not stand in settings: set BREWLINE_DISPATCH_SECRET_PUSH, or"),
        ("[dispatch.gateways.Push]\n" + URL, "[dispatch.gateways]: found the name 'Push', expected small letters"),
        ("[dispatch.gateways]\npush = 1", "[dispatch.gateways.push] expected a table"),
        ("[dispatch]\ngateways = 1", "[dispatch] gateways: found 1; expected `object`, got `int`"),
        ("[dispatch]\ngateway = 1", "[dispatch]: unknown key 'gateway'; did you mean 'gateways'?"),
    ],
)
def test_a_wrong_gateway_is_refused_by_name_and_key(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(WrongSettings) as caught:
        load(path, {})
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"BREWLINE_DISPATCH_SECRET_PUSCH": "x"},
            "BREWLINE_DISPATCH_SECRET_PUSCH: there is no such gateway; expected BREW",
        ),
        (
            {"BREWLINE_DISPATCH__GATEWAYS": '{"a": {"secret": "hunter2"}}'},
            "GATEWAYS: [dispatch.gateways.a] secret: sec",
        ),
        ({"BREWLINE_DISPATCH__GATEWAYS": "hunter2"}, "BREWLINE_DISPATCH__GATEWAYS: expected JSON"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        load(written(tmp_path, PUSH + URL), environ)
    assert str(caught.value).startswith("environment variable ")
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_gateways_can_come_from_the_environment() -> None:
    settings = load(environ={"BREWLINE_DISPATCH__GATEWAYS": '{"a": {"url": "http://x:1/", "rate_per_s": 3}}'})
    assert settings.dispatch.gateways["a"].rate_per_s == 3


def test_a_secret_comes_from_the_environment_or_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "push.secret").write_text(f"{SECRET}\n{SECRET}\n")
    path = written(tmp_path, PUSH + URL + "secret_file = 'push.secret'")
    [target] = load_gateways(load(path, {}))
    assert (target.name, target.terms.rate_per_s, len(target.secrets)) == ("push", 50.0, 2)
    monkeypatch.setenv("BREWLINE_DISPATCH_SECRET_PUSH", SECRET)
    [target] = load_gateways(load(path, {}))
    assert target.secrets == (bytes(range(32)),)


@pytest.mark.parametrize(
    ("line", "secret", "told"),
    [
        ("", "", "[dispatch.gateways.push]: there is no secret to sign with: set BREWLINE_DISPATCH_SECRET_PUSH, or"),
        ("secret_file = 'none'", "", "[dispatch.gateways.push] secret_file: "),
        ("", "hunter2", "environment variable BREWLINE_DISPATCH_SECRET_PUSH: a secret does not start with whsec_"),
    ],
)
def test_a_secret_that_is_missing_or_wrong_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, secret: str, told: str
) -> None:
    monkeypatch.setenv("BREWLINE_DISPATCH_SECRET_PUSH", secret)
    with pytest.raises(WrongSettings) as caught:
        load_gateways(load(written(tmp_path, PUSH + URL + line), {}))
    assert str(caught.value).startswith(told)
    assert "hunter2" not in str(caught.value)
