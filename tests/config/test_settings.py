"""Settings: what is wrong is refused with file, key, what was found and what to write instead."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import redis
from rich.console import Console

from config import settings as conf
from config.secured import whole_url
from config.settings import WrongSettings, load


def written(folder: Path, text: str) -> Path:
    path = folder / "brewline.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(path: Path | None, environ: dict[str, str]) -> str:
    with pytest.raises(WrongSettings) as caught:
        load(path, environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kafka]\nbroker = 'x:9092'", "[kafka]: unknown key 'broker'; did you mean 'brokers'?"),
        ("[kafak]\n", "unknown key 'kafak'; did you mean 'kafka'?"),
        ("[log]\nzzz = 1", "[log]: unknown key 'zzz'; expected one of level, format"),
        ("[kafka]\npartitions = 'four'", "[kafka] partitions: found 'four'; expected `int`, got `str`"),
        ("[kafka]\npartitions = 0", "[kafka] partitions: found 0; expected `int` >= 1"),
        ("[metrics]\ningest = 70000", "[metrics] ingest: found 70000; expected `int` <= 65535"),
        ("[log]\nformat = 'xml'", "[log] format: found 'xml'; expected one of json, text"),
        ("[coupons]\ncap_window = '7 days'", "[coupons] cap_window: found '7 days'; expected `str` matching regex"),
        (
            "[coupons.channel_caps]\nsms = '1 a week'",
            "[coupons] channel_caps: sms: found '1 a week', expected for example '3 per 7d'",
        ),
        (
            "[coupons]\nchannel_caps = { pusch = '3 per 7d' }",
            "[coupons] channel_caps: unknown channel 'pusch'; did you mean 'push'?",
        ),
        ("[coupons]\nchannel_caps = { sms = 1 }", "[coupons] channel_caps: found a table of"),
        ("[stores]\ntimezone = 'Mars/Base'", "[stores] timezone: found 'Mars/Base', expected an IANA name"),
        ("[stores]\ntimezone = 'posix/UTC'", "[stores] timezone: found 'posix/UTC', expected an IANA name"),
        ("[stores]\ntimezone = 'localtime'", "[stores] timezone: found 'localtime', expected an IANA name"),
        ("[kafka]\nshare = '2/2'", "[kafka] share: found '2/2', expected one of '0/2' to '1/2'"),
        ("[kafka]\nshare = '1/0'", "[kafka] share: found '1/0'; expected `str` matching regex"),
        (
            "[kafka]\nmax_message_bytes = 1_000_000",
            "[kafka] max_message_bytes: found 1000000, expected at least 1010000: max_event_bytes, or",
        ),
        (
            "[kafka]\nmax_event_bytes = 90_000\nmax_message_bytes = 120_000",
            "[kafka] max_message_bytes: found 120000, expected at least 1010000: max_event_bytes, or 1000000 where",
        ),
        ("[time]\nearliest = 'yesterday'", "[time] earliest: found 'yesterday', expected an RFC 3339 time"),
        (
            "[time]\nearliest = '1985-01-01T00:00:00Z'",
            "[time] earliest: found '1985-01-01T00:00:00Z', expected an RFC 3339 time from 1990 on",
        ),
        ("[redis]\nurl = '127.0.0.1:6379'", "[redis] url: found '127.0.0.1:6379', expected redis://host:port/0"),
        ("[redis]\nurl = 'redis://u:secret@h:abc/0'", "[redis] url: found 'h:abc/0', expected redis://host:port/0"),
        ("[kafka]\nbrokers = 'h:abc'", "[kafka] brokers: found 'h:abc', expected host:port"),
        ("kafka = 5", "kafka: found 5; expected `object`, got `int`"),
        ("[kafka", "not valid TOML"),
        ("folder = 3", "folder: found 3, expected a path"),
        (f"deep = {'[' * 3_000}", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_expectation(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    message = refusal(path, {})
    assert message.startswith(f"{path}: ")
    assert told in message


def test_a_refusal_quotes_no_password_that_stands_beside_the_mistake(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka.client]\n"sasl.password" = "hunter2"\n"retry.backoff.ms" = 1.5')
    message = refusal(path, {})
    assert "[kafka] client: found a table of sasl.password, retry.backoff.ms; expected" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BREWLINE_KAFKA__BROKER", "x", "unknown key 'broker'; did you mean 'brokers'?"),
        ("BREWLINE_KAFAK__BROKERS", "x", "unknown section 'kafak'; did you mean 'kafka'?"),
        ("BREWLINE_FEATURES__FILE", "x", "unknown section 'features'; expected one of kafka, redis"),
        ("BREWLINE_KAFKA__PARTITIONS", "four", "found 'four'; expected `int`, got `str`"),
        ("BREWLINE_METRICS__INGEST", "-1", "found '-1'; expected `int` >= 0"),
        ("BREWLINE_LOG__LEVEL", "loud", "found 'loud'; expected one of debug, info, warning, error"),
        ("BREWLINE_KAFKA_BROKERS", "x:1", "unknown; did you mean 'BREWLINE_KAFKA__BROKERS'?"),
        ("BREWLINE_TIME__EARLIEST", "yesterday", "found 'yesterday', expected an RFC 3339 time"),
        ("BREWLINE_REDIS__URL", "127.0.0.1:6379", "found '127.0.0.1:6379', expected redis://host:port/0"),
        ("BREWLINE_KAFKA__CLIENT", "ssl", "expected JSON such as"),
        ("BREWLINE_KAFKA__SHARE", "3/2", "found '3/2', expected one of '0/2' to '1/2'"),
        ("BREWLINE_REDIS__CA_FILE", "none.pem", ""),
        ("BREWLINE_BOARD__PROXIES", '["x"]', "'x' does not appear to be"),
    ],
)
def test_a_wrong_environment_variable_is_refused_by_name(name: str, value: str, told: str) -> None:
    assert refusal(None, {name: value}).startswith(f"environment variable {name}: {told}")


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "brewline.toml"
    path.write_text("[kafka]\r\npartitions = 7\r\n", "utf-8-sig")
    assert load(path, {}).kafka.partitions == 7


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make) -> None:
    path = tmp_path / "brewline.toml"
    make(path)
    assert refusal(path, {}).startswith(f"{path}: ")


def test_the_companys_sign_in_is_set_by_the_environment_as_a_table() -> None:
    name, table = "BREWLINE_BOARD__COMPANY", '"client_id": "b", "roles": {"engineer": ["platform"]}'
    company = load(None, {name: f'{{"issuer": "https://login.example.com", {table}}}'}).board.company
    assert (company.issuer, company.roles) == ("https://login.example.com", {"engineer": ["platform"]})
    assert company.stores_claim == "stores", "what is not named stays as it is"
    for wrong in ("https://login.example.com", '{"issuers": "https://login.example.com"}', "[]"):
        assert refusal(None, {name: wrong}).startswith(f"environment variable {name}: expected JSON such as {{"), wrong
    assert "https" in refusal(None, {name: f'{{"issuer": "http://login.example.com", {table}}}'})


def test_the_environment_overrides_the_file_and_leaves_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, "[kafka]\nbrokers = 'file:1'\npartitions = 7")
    environ = {
        "BREWLINE_KAFKA__BROKERS": "environment:2",
        "BREWLINE_COUPONS__HOLDOUT_PERCENT": "12.5",
        "BREWLINE_METRICS__INGEST": "9999",
        "BREWLINE_IDENTITY_KEY": "not a setting",
        "PATH": "/bin",
    }
    settings = load(path, environ)
    assert (settings.kafka.brokers, settings.kafka.partitions) == ("environment:2", 7)
    assert (settings.coupons.holdout_percent, settings.metrics.ingest) == (12.5, 9999)


def test_a_table_comes_from_the_environment_as_json() -> None:
    settings = load(environ={"BREWLINE_KAFKA__CLIENT": '{"security.protocol": "SSL", "retries": 3}'})
    assert settings.kafka.client == {"security.protocol": "SSL", "retries": 3}


def test_paths_that_a_file_elsewhere_does_not_name_are_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    settings = load(written(tmp_path, "[security]\nrules = 'mine'"), {})
    assert settings.path(settings.features) == conf.HERE / "features.toml"
    assert settings.path(settings.coupons.rules) == conf.HERE / "rules/coupons"
    assert settings.path(settings.security.rules) == tmp_path / "mine"


def test_each_of_the_processes_that_there_are_has_its_share() -> None:
    shares = [load(environ={"BREWLINE_KAFKA__SHARE": share}).kafka.shared for share in ("0/1", "0/2", "1/2")]
    assert shares == [(0, 1), (0, 2), (1, 2)]


def test_a_share_of_processes_that_are_not_there_is_refused() -> None:
    assert "BREWLINE_KAFKA__SHARE: found '3/3'" in refusal(None, {"BREWLINE_KAFKA__SHARE": "3/3"})


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[redis]\nprefix = 'mine'")
    assert load(environ={"BREWLINE_SETTINGS": str(path)}).redis.prefix == "mine"


def test_paths_start_at_the_folder_of_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[stores]\nfile = 'stores.csv'")
    monkeypatch.chdir(tmp_path)
    settings = load("brewline.toml", {})
    assert settings.path(settings.stores.file) == tmp_path / "stores.csv"
    assert settings.path("/etc/stores.csv") == Path("/etc/stores.csv")


def test_the_shipped_file_loads_and_says_what_the_defaults_say() -> None:
    settings = load(environ={})
    assert settings == conf.Settings(folder=str(conf.HERE))
    for name in (settings.features, settings.coupons.rules, settings.security.rules):
        assert settings.path(name).exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[kafka]\npassword = 'hunter2'",
            "[kafka] password: secrets do not stand in settings: set BREWLINE_KAFKA__",
        ),
        (
            "[redis]\npassword = 'hunter2'",
            "[redis] password: secrets do not stand in settings: set BREWLINE_REDIS__",
        ),
        ("[kafka]\nsecurity_protocol = 'SASL_SSL'", "[kafka] user: found none, and security_protocol is SASL_SSL"),
        (
            "[kafka]\nsecurity_protocol = 'SASL_SSL'\nuser = 'a'",
            "[kafka] user: found 'a' and no password: set BREW",
        ),
        ("[kafka]\nuser = 'a'\npassword_file = 'secret'", "[kafka] security_protocol: found 'PLAINTEXT' with the user"),
        ("[kafka]\nca_file = 'ca.pem'", "[kafka] security_protocol: found 'PLAINTEXT' with a ca_file, expected SSL"),
        ("[kafka]\nca_file = 'secret'", "secret holds no certificate, expected one as PEM"),
        ("[kafka]\npassword_file = 'gone'", "[kafka] password_file: "),
        (
            "[redis]\nca_file = 'ca.pem'",
            "[redis] url: found 'redis://127.0.0.1:6379/0' with a ca_file, expected rediss://...",
        ),
        ("[redis]\nuser = 'a'", "[redis] user: found 'a' and no password: set BREWLINE_REDIS__PASSWORD, or [redis]"),
    ],
)
def test_what_does_not_make_a_secure_connection_is_refused_without_a_secret(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    message = refusal(written(tmp_path, text), {})
    assert told in message
    assert "hunter2" not in message


def test_passwords_come_from_files_or_the_environment_and_show_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    path = written(
        tmp_path,
        "[kafka]\nsecurity_protocol = 'SASL_SSL'\nuser = 'brew'\npassword_file = 'secret'\nca_file = 'ca.pem'\n"
        "client = { 'ssl.key.password' = 'hunter4' }\n"
        "[redis]\nurl = 'rediss://h:1/0?health_check_interval=5'\nuser = 'br@w'\nca_file = 'ca.pem'",
    )
    settings = load(path, {"BREWLINE_REDIS__PASSWORD": "hunter3/@"})
    told = settings.kafka.librdkafka()
    assert (told["sasl.username"], told["sasl.password"], told["sasl.mechanism"]) == (
        "brew",
        "hunter2",
        "SCRAM-SHA-512",
    )
    assert told["ssl.ca.location"] == str(tmp_path / "ca.pem")
    known = redis.Redis.from_url(settings.redis.url).get_connection_kwargs()
    assert (known["username"], known["password"], known["host"]) == ("br@w", "hunter3/@", "h")
    assert (known["ssl_ca_certs"], known["health_check_interval"]) == (str(tmp_path / "ca.pem"), 5)
    shown = io.StringIO()
    Console(file=shown).print(settings, settings.kafka, settings.redis)
    assert "hunter" not in repr(settings) + str(settings.redis) + f"{settings.kafka}" + shown.getvalue()
    assert "br@w" in repr(settings)


def test_a_url_made_whole_stays_as_it_is_when_made_whole_again() -> None:
    once = whole_url("rediss://h:1/0", "u", "p@", "/ca.pem")
    assert whole_url(once, "u", "p@", "/ca.pem") == once == "rediss://u:p%40@h:1/0?ssl_ca_certs=%2Fca.pem"
    assert whole_url("redis://:own@h:1/0", "", "", "") == "redis://:own@h:1/0"
    assert whole_url("redis://b%40r@h:1/0", "", "p", "") == "redis://b%40r:p@h:1/0", "who stands in the url is the user"
    assert whole_url("unix:///run/redis.sock?db=0", "", "", "") == "unix:///run/redis.sock?db=0"
