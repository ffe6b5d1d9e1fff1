"""Typed settings: one TOML file, then environment variables, unknown keys refused.

`BREWLINE_SETTINGS` names the file (default: `brewline.toml` beside this module).
`BREWLINE_KAFKA__BROKERS=host:9092` overrides `[kafka] brokers`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, field

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
AROUND_BYTES = 1_000  # what Kafka counts around the largest message that a producer takes
CLEAN_BYTES = 10_000  # more than ingest and Kafka add to an event
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]
Duration = Annotated[str, Meta(pattern=r"^[1-9]\d*[smhd]$")]  # 90s, 30m, 24h, 14d


class WrongSettings(ValueError):
    """A settings file that cannot be used; the message names file, key, found and expected."""


class Kafka(Struct, forbid_unknown_fields=True):
    brokers: str = "127.0.0.1:9092"
    partitions: Positive = 4  # of every topic, when it is created
    replication: Positive = 1
    max_event_bytes: Positive = 1_000_000  # a larger event is a dead letter
    max_message_bytes: Positive = 8_000_000  # what the topics accept at all, with what Kafka counts around a message
    batch_events: Positive = 4_000
    poll_ms: Positive = 10
    fetch_wait_ms: Positive = 100  # how long a broker without news keeps a fetch waiting
    share: Annotated[str, Meta(pattern=r"^\d+/[1-9]\d*$")] = "0/1"  # 1/3: this process reads partitions 1, 4, 7, ...
    align_s: Seconds = 21_600.0  # how far one partition may be read ahead of another; below a day
    start_timeout_s: Seconds = 8.0
    topic_prefix: str = ""
    client: dict[str, str | int | bool] = {}  # any further librdkafka setting: security.protocol, sasl.username, ...

    @property
    def shared(self) -> tuple[int, int]:
        """(i, n): this is process i of n."""
        mine, _, of = self.share.partition("/")
        return int(mine), int(of)

    def librdkafka(self) -> dict[str, str | int | bool]:
        """What every client starts from."""
        largest = self.max_message_bytes - AROUND_BYTES
        return {"bootstrap.servers": self.brokers, "message.max.bytes": largest, **self.client}


class Redis(Struct, forbid_unknown_fields=True):
    url: str = "redis://127.0.0.1:6379/0"
    prefix: str = "bl"
    start_timeout_s: Seconds = 8.0
    cache_mb: Annotated[int, Meta(ge=0)] = 1024  # memory of each flow for records that were used lately


class Time(Struct, forbid_unknown_fields=True):
    clock: Literal["wall", "event"] = "wall"  # event: ticks come with the input (replay, simulation)
    tick_s: Seconds = 1.0
    earliest: str = "1990-01-01T00:00:00Z"  # an older event time is absurd
    max_future_s: Seconds = 600.0  # further ahead of its record's Kafka timestamp is absurd


class Identity(Struct, forbid_unknown_fields=True):
    key_file: str = ""  # secret of the pseudonyms; or the environment variable BREWLINE_IDENTITY_KEY
    phone_region: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "CN"


class Stores(Struct, forbid_unknown_fields=True):
    file: str = ""  # CSV: store,region,timezone
    timezone: str = "Asia/Shanghai"  # of stores the file does not name


class Coupons(Struct, forbid_unknown_fields=True):
    rules: str = "rules/coupons"
    cap: Positive = 3  # coupons per customer ...
    cap_window: Duration = "7d"
    holdout_percent: Annotated[float, Meta(ge=0, lt=100)] = 5.0
    holdout_salt: str = "brewline"
    require_consent: str = "marketing"  # purpose the customer must have granted; "" for none


class Learning(Struct, forbid_unknown_fields=True):
    churn_horizon: Duration = "30d"
    publish_every: Positive = 500  # labels between two published versions


class Kpis(Struct, forbid_unknown_fields=True):
    retention_hours: Positive = 48
    window_minutes: Positive = 30  # what the detector looks at
    learn_days: Positive = 2  # of history before a series is judged
    hold_minutes: Positive = 10  # quiet minutes before an alert resolves


class Security(Struct, forbid_unknown_fields=True):
    rules: str = "rules/security"
    retention_hours: Positive = 48  # how long a repeated audit event is recognised


class Metrics(Struct, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    ingest: Port = 9101
    customers: Port = 9102
    kpis: Port = 9103
    security: Port = 9104
    learning: Port = 9105
    stall_s: Seconds = 15.0  # /healthz turns red when a partition has not moved for so long


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
    metrics: Metrics = field(default_factory=Metrics)
    log: Log = field(default_factory=Log)
    features: str = "features.toml"
    folder: str = ""  # of the settings file; relative paths start here

    def path(self, name: str) -> Path:
        """A path of these settings, relative to their file."""
        return Path(self.folder, name)

    def topic(self, name: str) -> str:
        return self.kafka.topic_prefix + name


def load(file: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `file` (or $BREWLINE_SETTINGS, or the shipped one), then the environment."""
    path = Path(file or environ.get("BREWLINE_SETTINGS") or HERE / "brewline.toml")
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise WrongSettings(f"{path}: cannot be read: {error.strerror}; name another with BREWLINE_SETTINGS") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSettings(f"{path}: not valid TOML: {error}") from error
    raw.setdefault("folder", str(path.parent.resolve()))
    _refuse_unknown(raw, Settings, str(path))
    _override(raw, environ)
    try:
        settings = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        raise WrongSettings(f"{path}: {_where(error, raw)}") from error
    return _checked(settings, path)


def _checked(settings: Settings, path: Path) -> Settings:
    try:
        ZoneInfo(settings.stores.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise WrongSettings(
            f"{path}: [stores] timezone: found {settings.stores.timezone!r},"
            " expected an IANA name such as 'Asia/Shanghai'"
        ) from error
    _check_kafka(settings.kafka, path)
    return settings


def _check_kafka(kafka: Kafka, path: Path) -> None:
    mine, of = kafka.shared
    if mine >= of:
        raise WrongSettings(
            f"{path}: [kafka] share: found {kafka.share!r}, expected one of '0/{of}' to '{of - 1}/{of}':"
            " the processes are counted from 0"
        )
    least = kafka.max_event_bytes + CLEAN_BYTES
    if kafka.max_message_bytes < least:
        raise WrongSettings(
            f"{path}: [kafka] max_message_bytes: found {kafka.max_message_bytes}, expected at least {least}:"
            f" max_event_bytes and {CLEAN_BYTES} for what is added to an event"
        )


def _refuse_unknown(raw: dict[str, Any], shape: type[Struct], where: str) -> None:
    known = _types(shape)
    for key, value in raw.items():
        if key not in known:
            raise WrongSettings(f"{where}: unknown key {key!r}; {_hint(key, known)}")
        if isinstance(value, dict) and _is_section(known[key]):
            _refuse_unknown(value, known[key], f"{where}: [{key}]")


def _types(shape: type[Struct]) -> dict[str, Any]:
    return {f.name: f.type for f in msgspec.structs.fields(shape)}


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _hint(key: str, known: Iterable[str]) -> str:
    close = get_close_matches(key, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"


def _override(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Writes BREWLINE_SECTION__KEY values into `raw`; numbers may be written plainly."""
    sections = {name: kind for name, kind in _types(Settings).items() if _is_section(kind)}
    for name, value in environ.items():
        section, double, key = name.removeprefix("BREWLINE_").lower().partition("__")
        if not (name.startswith("BREWLINE_") and double):
            continue
        if section not in sections:
            raise WrongSettings(f"environment variable {name}: unknown section {section!r}; {_hint(section, sections)}")
        known = _types(sections[section])
        if key not in known:
            raise WrongSettings(f"environment variable {name}: unknown key {key!r}; {_hint(key, known)}")
        table = raw.setdefault(section, {})
        if isinstance(table, dict):  # else it is refused with the file
            table[key] = _plain(value, known[key], name)


def _plain(text: str, kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise WrongSettings(f"environment variable {name}: found {text!r}; {_expected(str(error), kind)}") from error


def _where(error: msgspec.ValidationError, raw: dict[str, Any]) -> str:
    """msgspec's "Expected X, got Y - at `$.a.b`" as "[a] b: found ...; expected X"."""
    text, _, at = str(error).partition(" - at `$.")
    keys = re.split(r"[`\[]", at)[0].split(".")  # within a table of free keys, the path ends in [...]
    found, kind = raw, Settings
    for key in keys:
        found, kind = found[key], _types(kind)[key]
    name = f"[{keys[0]}] {keys[1]}" if len(keys) > 1 else keys[0]
    said = f"a table of {', '.join(found)}" if isinstance(found, dict) else repr(found)  # it may hold a password
    return f"{name}: found {said}; {_expected(text, kind)}"


def _expected(text: str, kind: Any) -> str:
    """What was expected, in msgspec's words, or as the values that there are."""
    if get_origin(kind) is Literal:
        return f"expected one of {', '.join(get_args(kind))}"
    return f"{text[:1].lower()}{text[1:]}"
