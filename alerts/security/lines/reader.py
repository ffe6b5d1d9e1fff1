"""One raw line of a source to one audit event."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from alerts.security.fields import EXPORT
from alerts.security.lines.formats import Found, access, pgaudit
from alerts.security.lines.mapping import FIELDS, Mapping, found_at
from alerts.security.lines.scrub import pseudonym, scrub
from features.events import AuditAccess, AuditExport
from features.identity import Pseudonyms
from features.messages import Refused
from features.times import parse_time

UNTOUCHED = ("rows", "without_consent", "client_ip", "actor")  # numbers; an address; who of the staff it was
LISTS = ("fields", "marks", "customers")
NUMBERS = ("rows", "without_consent")


class Reader:
    """Lines under one mapping."""

    def __init__(self, mapping: Mapping, pseudonyms: Pseudonyms) -> None:
        self.mapping, self.pseudonyms = mapping, pseudonyms
        self.zone = ZoneInfo(mapping.timezone)
        self.routes = [(_pattern(route.match), route.set) for route in mapping.route]

    def read(self, line: Any, id: str) -> AuditAccess | AuditExport | None:
        """None: the line is about nothing that is watched. Raises Refused, whose detail quotes nothing."""
        answer = self._found(line)
        if answer is None:
            return None
        found, written = answer[0], {**answer[1], **self.mapping.set}
        said = {name: found[name] for name in FIELDS if found.get(name) is not None}
        for name, names in self.mapping.values.items():
            if name in said:
                said[name] = names.get(str(said[name]), said[name])
        said = {"result": "ok", **said, **written}
        event = {name: self._clean(name, value, name in written) for name, value in said.items()}
        action = event.pop("action", "")
        event |= {"id": id, "time": self._time(found.get("time"))}
        if not event.get("actor"):
            raise Refused("missing_id", "the line does not say who it was")
        try:
            if action == EXPORT:
                return msgspec.convert({"type": "audit_export", **event}, AuditExport)
            return msgspec.convert({"type": "audit_access", "action": action, **event}, AuditAccess)
        except msgspec.ValidationError as error:
            raise Refused("wrong_type", re.sub(r"'[^']*'", "a value", str(error))) from None

    def _found(self, line: Any) -> tuple[Found, dict[str, str]] | None:
        """By the names of audit fields, and what the route sets; None where none matches, or it is another line."""
        mapping = self.mapping
        if mapping.format == "json":
            if isinstance(line, str):
                line = _decoded(line)
            if not isinstance(line, dict):
                raise Refused("malformed", "the line is no JSON object")
            found = {"time": found_at(line, mapping.time)}
            request = found_at(line, "request")
        else:
            if not isinstance(line, str):
                raise Refused("malformed", "the line is no text")
            found = access(line) if mapping.format == "access" else pgaudit(line)
            if not found:
                return None
            line, request = found, f"{found.get('method')} {found.get('path')}"
        found = {**found, **{name: found_at(line, place) for name, place in mapping.fields.items()}}
        return self._routed(found, request) if self.routes else (found, {})

    def _routed(self, found: Found, request: Any) -> tuple[Found, dict[str, str]] | None:
        for pattern, told in self.routes:
            if match := pattern.match(request if isinstance(request, str) else ""):
                return {**found, **{name: text for name, text in match.groupdict().items() if text}}, told
        return None

    def _clean(self, name: str, value: Any, written: bool) -> Any:
        """`written`: by the mapping file itself, so about no customer."""
        if name in NUMBERS:
            return int(value) if isinstance(value, str) and value.isdecimal() else value
        if name in LISTS:
            values = value if isinstance(value, list) else [value]
            return [self._text(name, f"{each}", written) for each in values][:1_000]
        return self._text(name, f"{value}", written)

    def _text(self, name: str, text: str, written: bool) -> str:
        if name == "customers" or (name in self.mapping.customer_fields and text and not written):
            return pseudonym(self.pseudonyms, text)
        return text[:128] if name in UNTOUCHED else scrub(text)

    def _time(self, value: Any) -> int:
        if value is None:
            raise Refused("missing_time", "the line does not say when it was")
        try:
            if isinstance(value, float) or (isinstance(value, int) and value < 10**11):
                return round(value * 1000)  # seconds, as most logs write them
            if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
                return round(float(value) * (1000 if float(value) < 10**11 else 1))
            return parse_time(value)
        except (ValueError, OverflowError, TypeError):
            return self._local(value)

    def _local(self, value: Any) -> int:
        """A time without an offset, as it is in the mapping's zone."""
        try:
            moment = datetime.fromisoformat(f"{value}".replace(" +", "+"))
        except ValueError:
            raise Refused("wrong_type", "the line's time is neither epoch nor ISO 8601") from None
        return round((moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).timestamp() * 1000)


def _decoded(line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        raise Refused("malformed", "the line is no JSON") from None


def _pattern(match: str) -> re.Pattern[str]:
    """`GET /customers/{object}` as a regular expression over `GET /customers/12?x=1`."""
    method, _, path = match.partition(" ")
    parts = re.split(r"(\{\w+\}|\*)", path)
    spelt = "".join(
        f"(?P<{part[1:-1]}>[^/? ]+)" if part[:1] == "{" else ".*" if part == "*" else re.escape(part) for part in parts
    )
    return re.compile(("[A-Z]+" if method == "*" else method) + " " + spelt + r"/?(?:[? ].*)?$")
