"""Typed settings: one TOML file, then environment variables, unknown keys refused.

`BREWLINE_SETTINGS` names the file (default: `brewline.toml` beside this module).
`BREWLINE_KAFKA__BROKERS=host:9092` overrides `[kafka] brokers`; a table, such as `[kafka] client`, is written as JSON.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, field

from config import board as boards
from config import gateways, secured
from config.reading import WrongSettings, hint_of, override, place_of, refuse_unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
SHARED_BYTES = 1_000_000  # more than decisions that share a message take, or 500 examples
AROUND_BYTES = 1_000  # what Kafka counts around the largest message that a producer takes
FROM_S = 631_152_000  # 1990 begins
CLEAN_BYTES = 10_000  # more than ingest and Kafka add to an event
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]
Duration = Annotated[str, Meta(pattern=r"^[1-9]\d*[smhd]$")]  # 90s, 30m, 24h, 14d


CHANNELS = ("push", "sms", "wechat", "email")
CHANNEL_CAP = r"[1-9]\d* per [1-9]\d*[smhd]"


class Kafka(secured.Discreet, forbid_unknown_fields=True):
    brokers: str = "127.0.0.1:9092"
    partitions: Positive = 4  # of every topic, when it is created
    replication: Positive = 1
    max_event_bytes: Positive = 1_000_000  # a larger event is a dead letter
    max_message_bytes: Positive = 8_000_000  # what the topics accept at all, with what Kafka counts around a message
    batch_events: Positive = 4_000
    poll_ms: Positive = 10
    fetch_wait_ms: Positive = 100  # how long a broker without news keeps a fetch waiting
    share: Annotated[str, Meta(pattern=r"^\d+/[1-9]\d*$")] = "0/1"  # 1/3: this process reads partitions 1, 4, 7, ...
    align_s: Seconds = 64_800.0  # how far one partition may be read ahead of another; below a day
    start_timeout_s: Seconds = 5.0
    topic_prefix: str = ""
    client: dict[str, str | int | bool] = {}  # any further librdkafka setting: ssl.certificate.location, ...
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str = ""  # of SASL
    password: str = ""  # BREWLINE_KAFKA__PASSWORD alone sets it: it never stands in a file of settings
    password_file: str = ""  # holds it instead
    ca_file: str = ""  # PEM: who has signed the brokers' certificates; "" for the system's authorities

    @property
    def shared(self) -> tuple[int, int]:
        """(i, n): this is process i of n."""
        mine, _, of = self.share.partition("/")
        return int(mine), int(of)

    def parts(self, partitions: int) -> range:
        """Those of a topic's partitions that this process reads. Raises WrongSettings when there are none."""
        mine, of = self.shared
        if mine >= partitions:
            raise WrongSettings(
                f"[kafka] share: found {self.share!r}, and there are {partitions} partitions: nothing is left for this"
                f" process; start {partitions} at most, '0/{partitions}' to '{partitions - 1}/{partitions}'"
            )
        return range(mine, partitions, of)

    def librdkafka(self) -> dict[str, str | int | bool]:
        """What every client starts from."""
        largest = self.max_message_bytes - AROUND_BYTES
        return {"bootstrap.servers": self.brokers, "message.max.bytes": largest, **self._secrecy(), **self.client}

    def _secrecy(self) -> dict[str, str | int | bool]:
        if self.security_protocol == "PLAINTEXT":
            return {}
        told: dict[str, str | int | bool] = {"security.protocol": self.security_protocol}
        if self.ca_file:
            told["ssl.ca.location"] = self.ca_file
        if self.user:
            told |= {"sasl.mechanism": self.sasl_mechanism, "sasl.username": self.user, "sasl.password": self.password}
        return told


class Redis(secured.Discreet, forbid_unknown_fields=True):
    url: str = "redis://127.0.0.1:6379/0"
    prefix: str = "bl"
    start_timeout_s: Seconds = 5.0
    cache_mb: Annotated[int, Meta(ge=0)] = 1024  # memory of each flow for records that were used lately
    user: str = ""  # of Redis' ACL; "" for its user `default`
    password: str = ""  # BREWLINE_REDIS__PASSWORD alone sets it: it never stands in a file of settings
    password_file: str = ""  # holds it instead
    ca_file: str = ""  # PEM: who has signed the certificate of a rediss:// server; "" for the system's authorities


class Time(Struct, forbid_unknown_fields=True):
    clock: Literal["wall", "event"] = "wall"  # event: ticks come with the input (replay, simulation)
    tick_s: Seconds = 1.0
    earliest: str = "1990-01-01T00:00:00Z"  # an older event time is absurd; not before 1990
    max_future_s: Seconds = 600.0  # further ahead of its record's Kafka timestamp is absurd


class Identity(Struct, forbid_unknown_fields=True):
    key_file: str = ""  # secret of the pseudonyms; or the environment variable BREWLINE_IDENTITY_KEY
    former_key_files: list[str] = []  # keys until now; or one, in BREWLINE_FORMER_IDENTITY_KEY
    phone_region: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "CN"  # of stores whose country the file does not name
    max_of_a_kind: Positive = 8  # identifiers of one kind that one customer may have; more are a test card, say
    max_identifiers: Positive = 16  # of all kinds
    max_merged: Annotated[int, Meta(gt=0, le=64)] = 8  # customers in one, this one counted


class Stores(Struct, forbid_unknown_fields=True):
    file: str = ""  # CSV: store,region,timezone, perhaps country and brand
    timezone: str = "Asia/Shanghai"  # of stores the file does not name


class Coupons(Struct, forbid_unknown_fields=True):
    rules: str = "rules/coupons"
    calendars: str = "calendars"  # holidays that rules name
    campaigns: str = "campaigns"  # limits of the campaigns that rules name; "" for none
    cap: Positive = 3  # coupons per customer ...
    cap_window: Duration = "7d"
    channel_caps: dict[str, str] = {}  # messages per customer, by channel: { push = "3 per 7d", sms = "1 per 7d" }
    quiet_hours: Annotated[str, Meta(pattern=r"^(\d\d:\d\d-\d\d:\d\d)?$")] = "22:00-08:00"  # where the customer is
    holdout_percent: Annotated[float, Meta(ge=0, lt=100)] = 5.0
    holdout_salt: str = "brewline"
    require_consent: str = "marketing"  # purpose the customer must have granted; "" for none
    key_file: str = ""  # secret of the coupons' codes; or BREWLINE_COUPON_KEY. Without one, coupons carry no code
    former_key_files: list[str] = []  # their codes are still good; or one, in BREWLINE_FORMER_COUPON_KEY
    ended_kept: Duration = "30d"  # how long a coupon stays with its customer when it has expired
    margin_percent: Annotated[int, Meta(ge=0, le=100)] = (
        60  # of an order at its full price, for what an arm has brought
    )
    referral_settling: Duration = "24h"  # how long a friend's first paid order must stand before it is thanked for
    receipts_kept: Annotated[int, Meta(ge=0)] = 20  # latest decisions of each customer, for `brewline why`
    near_misses_kept: Annotated[int, Meta(ge=0)] = 4  # of a batch, at most; the latest by customer and rule
    false_share_kept: Annotated[float, Meta(ge=0, le=1)] = 0.0  # of all moments at which a condition did not hold


class Learning(Struct, forbid_unknown_fields=True):
    publish_every: Positive = 500  # labels between two published versions, at least
    window_labels: Positive = 1_000  # on which a new version is compared with the one that scores, and both are watched
    versions_kept: Positive = 10  # of each model
    promote: Literal["automatic", "by hand"] = "automatic"  # a new version that was at least as good on these labels
    least_share_percent: Annotated[float, Meta(ge=0, le=50)] = 5.0  # of decisions, for each arm of a rule that learns


class Kpis(Struct, forbid_unknown_fields=True):
    declared: str = "kpis.toml"  # what is counted, and by what
    retention_hours: Positive = 48  # minutes are kept, and corrected, for so long
    five_minutes_days: Positive = 14  # then five minutes each
    hours_days: Positive = 400  # and hours
    window_minutes: Positive = 60  # the longest that is looked at
    learn_days: Positive = 2  # of history before a series is judged
    hold_minutes: Positive = 10  # quiet minutes before an alert resolves


class Security(Struct, forbid_unknown_fields=True):
    rules: str = "rules/security"
    lines: str = ""  # folder of mapping files, such as the shipped "audit": raw log lines are read under them
    networks: str = ""  # CSV: cidr,network,place,latitude,longitude; where an address is
    retention_hours: Positive = 48  # how long a repeated audit event is recognised


class Service(Struct, forbid_unknown_fields=True):
    promises: str = "service.toml"


class Metrics(Struct, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    ingest: Port = 9101
    customers: Port = 9102
    kpis: Port = 9103
    security: Port = 9104
    learning: Port = 9105
    dispatch: Port = 9106
    service: Port = 9107
    abuse: Port = 9108
    notify: Port = 9109
    board: Port = 9110
    stall_s: Seconds = 15.0  # /healthz turns red when a partition has not moved for so long


class Traces(Struct, forbid_unknown_fields=True):
    endpoint: str = ""  # of an OpenTelemetry collector that takes OTLP over HTTP: http://127.0.0.1:4318; "" for none


class Log(Struct, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Settings(Struct, forbid_unknown_fields=True):
    kafka: Kafka = field(default_factory=Kafka)
    redis: Redis = field(default_factory=Redis)
    time: Time = field(default_factory=Time)
    identity: Identity = field(default_factory=Identity)
    stores: Stores = field(default_factory=Stores)
    coupons: Coupons = field(default_factory=Coupons)
    learning: Learning = field(default_factory=Learning)
    kpis: Kpis = field(default_factory=Kpis)
    security: Security = field(default_factory=Security)
    service: Service = field(default_factory=Service)
    dispatch: gateways.Dispatch = field(default_factory=gateways.Dispatch)
    metrics: Metrics = field(default_factory=Metrics)
    board: boards.Board = field(default_factory=boards.Board)
    traces: Traces = field(default_factory=Traces)
    log: Log = field(default_factory=Log)
    features: str = "features.toml"
    models: str = "models.toml"  # over the features; "" for none
    abuse: str = "abuse.toml"
    sinks: str = "sinks.toml"
    folder: str = ""  # of the settings file; relative paths start here

    def path(self, name: str) -> Path:
        """A path of these settings, relative to their file; what is shipped when the file names none."""
        return Path(self.folder, name)

    def topic(self, name: str) -> str:
        return self.kafka.topic_prefix + name


def load(file: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `file` (or $BREWLINE_SETTINGS, or the shipped one), then the environment."""
    path = Path(file or environ.get("BREWLINE_SETTINGS") or HERE / "brewline.toml")
    try:
        raw = tomllib.loads(path.read_text("utf-8-sig"))  # as Notepad writes it
    except OSError as error:
        raise WrongSettings(f"{path}: cannot be read: {error.strerror}; name another with BREWLINE_SETTINGS") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongSettings(f"{path}: not valid TOML: {error}") from error
    if not isinstance(raw.setdefault("folder", str(path.parent.resolve())), str):
        raise WrongSettings(f"{path}: folder: found {raw['folder']!r}, expected a path")
    secured.refuse_written(raw, str(path))
    refuse_unknown(raw, Settings, str(path))
    named = override(raw, Settings, environ)
    variable = named.get(("dispatch", "gateways"))
    _check_gateways(raw, environ, f"environment variable {variable}" if variable else str(path))
    _name_shipped(raw)
    try:
        settings = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        raise WrongSettings(f"{path}: {place_of(error, raw, Settings)}") from error
    try:
        _check(settings, path)
        _check_channel_caps(settings.coupons.channel_caps, path)
        _check_kafka(settings.kafka, path)
        if told := boards.complaint(settings.board):
            raise WrongSettings(f"{path}: {told}")
        _secure(settings, str(path))
    except WrongSettings as error:
        raise WrongSettings(_placed(f"{error}", path, named)) from error.__cause__
    return settings


def _placed(told: str, path: Path, named: Mapping[tuple[str, str], str]) -> str:
    """What a variable has set is not looked for in the file. `named`: variables by section and key."""
    for (section, key), name in named.items():
        told = told.replace(f"{path}: [{section}] {key}:", f"environment variable {name}:")
    return told


def _secure(settings: Settings, where: str) -> None:
    """Finds passwords and certificates; Redis' url becomes whole, which is all that its clients are told."""
    kafka, redis, folder = settings.kafka, settings.redis, Path(settings.folder)
    secured.resolve("kafka", kafka, folder, where)
    secured.resolve("redis", redis, folder, where)
    secured.check(kafka, redis, where)
    redis.url = secured.whole_url(redis.url, redis.user, redis.password, redis.ca_file)


def _name_shipped(raw: dict[str, Any]) -> None:
    """Paths that are not named, and are not beside the file under their usual names, are the shipped ones."""
    for section, key in (
        ("", "features"),
        ("", "abuse"),
        ("", "sinks"),
        ("coupons", "rules"),
        ("coupons", "calendars"),
        ("security", "rules"),
        ("service", "promises"),
        ("kpis", "declared"),
    ):
        table = raw.setdefault(section, {}) if section else raw
        usual = getattr(getattr(Settings(), section) if section else Settings(), key)
        if isinstance(table, dict) and key not in table and not Path(raw["folder"], usual).exists():
            table[key] = str(HERE / usual)
    if "models" not in raw and not Path(raw["folder"], "models.toml").exists():
        shipped = raw.get("features") == str(HERE / "features.toml")
        raw["models"] = str(HERE / "models.toml") if shipped else ""  # they go with the shipped features
    coupons = raw["coupons"]
    if isinstance(coupons, dict) and "campaigns" not in coupons and not Path(raw["folder"], "campaigns").exists():
        shipped = coupons.get("rules") == str(HERE / Coupons().rules)
        coupons["campaigns"] = str(HERE / "campaigns") if shipped else ""  # they go with the shipped rules


def _check(settings: Settings, path: Path) -> None:
    """What a type does not say."""
    checks: list[tuple[str, str, Callable[[str], Any], str]] = [
        ("stores", "timezone", _zone, "an IANA name such as 'Asia/Shanghai'"),
        ("time", "earliest", _instant, "an RFC 3339 time from 1990 on, such as '1990-01-01T00:00:00Z'"),
        ("redis", "url", _redis_url, "redis://host:port/0, rediss://... or unix://..."),
        ("traces", "endpoint", _http_url, "http://host:port, https://... or nothing"),
        ("kafka", "brokers", _addresses, "host:port, several with commas between"),
    ]
    for section, key, check, expected in checks:
        found = getattr(getattr(settings, section), key)
        try:
            check(found)
        except (KeyError, ValueError, OSError) as error:
            shown = secured.shown_url(found)
            raise WrongSettings(f"{path}: [{section}] {key}: found {shown!r}, expected {expected}") from error


def _zone(name: str) -> None:
    ZoneInfo(name)
    if name.startswith(("posix", "right/", "localtime")):  # files beside the zones, not names of any
        raise ValueError(name)


def _check_channel_caps(caps: dict[str, str], path: Path) -> None:
    where = f"{path}: [coupons] channel_caps"
    for channel, cap in caps.items():
        if channel not in CHANNELS:
            raise WrongSettings(f"{where}: unknown channel {channel!r}; {hint_of(channel, CHANNELS)}")
        if not re.fullmatch(CHANNEL_CAP, cap):
            raise WrongSettings(f"{where}: {channel}: found {cap!r}, expected for example '3 per 7d'")


def _instant(text: str) -> None:
    """The core knows no clocks before 1990."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if at.tzinfo is None or at.timestamp() < FROM_S:
        raise ValueError


def _redis_url(text: str) -> None:
    url = urlsplit(text)
    place = {"unix": url.path, "redis": url.hostname, "rediss": url.hostname}.get(url.scheme)
    if not place or url.port == 0:  # `port` raises when it is no number
        raise ValueError


def _http_url(text: str) -> None:
    url = urlsplit(text)
    if text and (url.scheme not in ("http", "https") or not url.hostname or url.port == 0):
        raise ValueError


def _addresses(text: str) -> None:
    for address in text.split(","):
        host, colon, port = address.strip().rpartition(":")
        has_port = colon and not host.endswith(":")  # [::1] has none
        if not address.strip() or (has_port and not 0 < int(port) < 65536):
            raise ValueError


def _check_kafka(kafka: Kafka, path: Path) -> None:
    mine, of = kafka.shared
    if mine >= of:
        raise WrongSettings(
            f"{path}: [kafka] share: found {kafka.share!r}, expected one of '0/{of}' to '{of - 1}/{of}':"
            " the processes are counted from 0"
        )
    least = max(kafka.max_event_bytes, SHARED_BYTES) + CLEAN_BYTES
    if kafka.max_message_bytes < least:
        raise WrongSettings(
            f"{path}: [kafka] max_message_bytes: found {kafka.max_message_bytes}, expected at least {least}:"
            f" max_event_bytes, or {SHARED_BYTES} where that is less, and {CLEAN_BYTES} for what is added to an event"
        )


def _check_gateways(raw: dict[str, Any], environ: Mapping[str, str], where: str) -> None:
    """What is wrong is told with the gateway's name, and without what stands beside it."""
    dispatch = raw.get("dispatch", {})
    tables = dispatch.get("gateways", {}) if isinstance(dispatch, dict) else {}
    if not isinstance(tables, dict):
        return  # it is refused with the file
    if told := gateways.complaint(tables):
        raise WrongSettings(f"{where}: {told}")
    if stray := gateways.stray_secret(tables, environ):
        raise WrongSettings(f"environment variable {stray}")
