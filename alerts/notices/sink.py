"""Where notices go: the sinks of a file, and what a desk keeps to."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from alerts.notices.alert import SEVERITIES, Kind, Severity
from alerts.notices.desk import Terms
from alerts.notices.pace import Throttle
from features.outgoing import Notice
from features.times import parse_duration
from features.written import hint, line_of, read_toml, told

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
TABLE = re.compile(r"^[ \t]*\[sinks\.([^\]\s]+)\]", re.MULTILINE)
URL = re.compile(r"https?://(?P<place>[^/?#]+)[!-~]*", re.ASCII)
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+):([1-9]\d{0,4})")
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Rate = Annotated[float, Meta(gt=0, le=10_000)]


class WrongSinks(ValueError):
    """A file of sinks that cannot be used; the message names file, line, key, found and expected."""


class Sink(Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all sinks have. `alerts`: the kinds that it gets, none named: all."""

    alerts: list[Kind] = []
    at_least: Severity = "informational"
    begin: Literal["earliest", "latest"] = "earliest"  # where a sink that is new starts on the topic
    rate_per_s: Rate = 50.0  # attempts, on average
    timeout_s: Seconds = 10.0  # of an attempt
    wait_most_s: Seconds = 60.0  # between two attempts for the same notice
    pause_s: Seconds = 30.0  # after failures in a row, until the sink is asked again

    def takes(self, notice: Notice) -> bool:
        """Whoever has heard of a matter hears on of it, however little is left."""
        worst = notice.peak or notice.severity
        loud = SEVERITIES.index(worst) >= SEVERITIES.index(self.at_least)
        return loud and (not self.alerts or notice.kind in self.alerts)


class OverHttp(Sink, kw_only=True):
    url: str
    secret_file: str = ""  # or the environment variable BREWLINE_SINK_SECRET_<NAME>


class Webhook(OverHttp, kw_only=True, tag="webhook"):
    """Signed by Standard Webhooks."""

    format: Literal["cloudevent", "ocsf", "ecs"] = "cloudevent"


class Alertmanager(OverHttp, kw_only=True, tag="alertmanager"):
    """`url` without /api/v2; the secret, if there is one, is a bearer token."""

    resend_s: Seconds = 60.0  # what fires is told again and again; after four times as long it counts as over


class PagerDuty(OverHttp, kw_only=True, tag="pagerduty"):
    """The secret is the integration's routing key."""

    url: str = "https://events.pagerduty.com/v2/enqueue"


class Splunk(OverHttp, kw_only=True, tag="splunk"):
    """An HTTP Event Collector with acknowledgement; `url` without /services. The secret is its token."""

    format: Literal["ocsf", "ecs", "cloudevent"] = "ocsf"
    index: str = ""
    acknowledge_s: Seconds = 60.0  # how long an event may wait for its acknowledgement; then it is sent again


class Syslog(Sink, kw_only=True, tag="syslog"):
    """RFC 5424 to `address`, host:port."""

    address: str
    over: Literal["tls", "tcp", "udp"] = "tls"
    format: Literal["cef", "leef", "ecs", "ocsf"] = "cef"
    ca_file: str = ""  # authorities that may vouch for the receiver; none: the system's
    certificate_file: str = ""  # where the receiver asks who we are
    key_file: str = ""


KINDS: dict[str, type[Sink]] = {
    "webhook": Webhook,
    "alertmanager": Alertmanager,
    "pagerduty": PagerDuty,
    "splunk": Splunk,
    "syslog": Syslog,
}
SECRETIVE = (Webhook, PagerDuty, Splunk)  # they do not work without one


class Sinks(Struct, forbid_unknown_fields=True):
    """A file of sinks. `most` alerts of an entity and severity are told within `within`."""

    most: Annotated[int, Meta(gt=0)] = 20
    within: str = "1h"
    open: str = "24h"  # without another one, a finding counts as over after so long
    kept: str = "7d"  # how long what is over is listed
    sinks: dict[str, Any] = {}

    @property
    def terms(self) -> Terms:
        return Terms(
            Throttle(self.most, parse_duration(self.within)), parse_duration(self.open), parse_duration(self.kept)
        )


def read_sinks(text: str, file: str) -> Sinks:
    """The sinks of a file's text. Raises WrongSinks."""
    raw = read_toml(text, file, WrongSinks, Sinks.__struct_fields__)
    tables = raw.get("sinks", {})
    sinks: Sinks = _convert(raw, Sinks, text, file)
    for key in ("within", "open", "kept"):
        _check_duration(key, getattr(sinks, key), text, file)
    found = {name: _sink(name, table, _part(text, name), file) for name, table in tables.items()}
    return msgspec.structs.replace(sinks, sinks=found)


def _part(text: str, name: str) -> str:
    """A sink's table alone, on the lines where it stands."""
    tables = [*TABLE.finditer(text)]
    for table, following in zip(tables, [*tables[1:], None], strict=False):
        if table[1].strip("'\"") == name:
            end = following.start() if following else len(text)
            return "\n" * text.count("\n", 0, table.start()) + text[table.start() : end]
    return text


def _sink(name: str, table: Any, text: str, file: str) -> Sink:
    where = f"{file}:{line_of(text, f'sinks.{name}')}: [sinks.{name}]"
    if not NAME.fullmatch(name):
        raise WrongSinks(f"{where}: expected a name of small letters, digits and -, a letter first, at most 32")
    if not isinstance(table, dict):
        raise WrongSinks(f"{where}: found {table!r}, expected a table")
    kind = table.get("kind")
    if kind not in KINDS:
        said = f"found {kind!r}{hint(str(kind), KINDS)}" if kind else f"is missing; known are {', '.join(KINDS)}"
        raise WrongSinks(f"{file}:{line_of(text, 'kind')}: [sinks.{name}] kind: {said}")
    _check_secrets(name, table, KINDS[kind], text, file)
    sink: Sink = _convert(table, KINDS[kind], text, file, f"[sinks.{name}] ")
    wrong = _wrong_url(sink.url) if isinstance(sink, OverHttp) else ""
    if wrong:  # it may hold a token, so it is not quoted
        raise WrongSinks(f"{file}:{line_of(text, 'url')}: [sinks.{name}] url: {wrong}")
    if isinstance(sink, Syslog):
        _check_syslog(name, sink, text, file)
    return sink


def _check_secrets(name: str, table: dict[str, Any], shape: type[Sink], text: str, file: str) -> None:
    known = shape.__struct_fields__
    for key in table:
        if key not in known and re.search("secret|token|password|routing_key|key$", key):
            raise WrongSinks(
                f"{file}:{line_of(text, key)}: [sinks.{name}] {key}: secrets do not stand here: set {variable(name)},"
                " or secret_file to a file that holds it"
            )


def _convert(raw: Any, shape: type[Struct], text: str, file: str, where: str = "") -> Any:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        said = told(error, raw, text, file, {"": shape})
        place, _, rest = said.partition(": ")
        raise WrongSinks(f"{place}: {where}{rest}") from error


def _check_duration(key: str, found: str, text: str, file: str) -> None:
    try:
        least = parse_duration(found)
    except ValueError as error:
        raise WrongSinks(f"{file}:{line_of(text, key)}: {key}: {error}") from error
    if least <= 0:
        raise WrongSinks(f"{file}:{line_of(text, key)}: {key}: found {found!r}, expected more than nothing")


def _wrong_url(url: str) -> str:
    expected = "expected https://host/path or http://host:port/path"
    found = URL.fullmatch(url)
    if found and "@" in found["place"]:
        return f"found a user or a password in it, {expected}"
    place = HOST.fullmatch(found["place"]) if found else None
    well = place is not None and (place[2] is None or 0 < int(place[2]) < 65_536)
    return "" if well else f"what stands there is no url, {expected}"


def _check_syslog(name: str, sink: Syslog, text: str, file: str) -> None:
    found = HOST_AND_PORT.fullmatch(sink.address)
    if not found or int(found[2]) > 65_535:
        told = f"found {sink.address!r}, expected host:port, such as 'siem.example.com:6514'"
        raise WrongSinks(f"{file}:{line_of(text, 'address')}: [sinks.{name}] address: {told}")
    if bool(sink.certificate_file) != bool(sink.key_file):
        key = "certificate_file" if sink.certificate_file else "key_file"
        told = "certificate_file and key_file belong together: write both, or none"
        raise WrongSinks(f"{file}:{line_of(text, key)}: [sinks.{name}] {key}: {told}")


def variable(sink: str) -> str:
    """The environment variable of a sink's secret."""
    return "BREWLINE_SINK_SECRET_" + sink.upper().replace("-", "_")
