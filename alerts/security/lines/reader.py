"""One raw line of a source to one audit event."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import msgspec

from alerts.security.fields import EXPORT
from alerts.security.lines.formats import Found, access, pgaudit
from alerts.security.lines.mapping import FIELDS, NUMBER, NUMBERS, Mapping, found_at
from alerts.security.lines.requests import plain_request
from alerts.security.lines.scrub import READ, pseudonym, scrub
from features.events import AuditAccess, AuditExport
from features.identity import Pseudonyms
from features.messages import Refused
from features.times import parse_time

UNTOUCHED = ("rows", "without_consent", "client_ip", "actor")  # numbers; an address; who of the staff it was
LISTS = ("fields", "marks", "customers")


EPOCH = re.compile(r"-?\d{1,30}(?:\.\d*)?", re.ASCII)
SCALES = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3))  # by magnitude: seconds until 5138, ms, µs; else ns
BEYOND = 1e30
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000  # 2000, 2100: no log is of another time
ZONE_NAME = re.compile(r" ?([A-Z]{2,5})$")


class Reader:
    """Lines under one mapping."""

    def __init__(self, mapping: Mapping, pseudonyms: Pseudonyms) -> None:
        self.mapping, self.pseudonyms = mapping, pseudonyms
        self.zone = ZoneInfo(mapping.timezone or "UTC")
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
        if said.get("actor", "") == "":
            raise Refused("missing_id", "the line does not say who it was")
        event = {name: self._clean(name, value, name in written) for name, value in said.items()}
        action = event.pop("action", "")
        event |= {"id": id, "time": self._time(found.get("time"))}
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
            request = plain_request(request) if isinstance(request, str) else ""
        else:
            if not isinstance(line, str):
                raise Refused("malformed", "the line is no text")
            found = access(line) if mapping.format == "access" else pgaudit(line)
            if not found:
                return None
            line, request = found, f"{found.get('method')} {found.get('path')}"
        found = {**found, **{name: found_at(line, place) for name, place in mapping.fields.items()}}
        return self._routed(found, request) if self.routes else (found, {})

    def _routed(self, found: Found, request: str) -> tuple[Found, dict[str, str]] | None:
        for pattern, told in self.routes:
            if match := pattern.match(request):
                return {**found, **{name: unquote(text) for name, text in match.groupdict().items() if text}}, told
        return None

    def _clean(self, name: str, value: Any, written: bool) -> Any:
        """`written`: by the mapping file itself, so about no customer."""
        if name in NUMBERS:
            return int(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
        if name in LISTS:
            values = value if isinstance(value, list) else [value]
            return [self._text(name, f"{each}", written) for each in values[:1_000]]
        return self._text(name, f"{value}", written)

    def _text(self, name: str, text: str, written: bool) -> str:
        if name == "customers" or (name in self.mapping.customer_fields and text and not written):
            return pseudonym(self.pseudonyms, text[:READ])
        return text[:128] if name in UNTOUCHED else scrub(text)

    def _time(self, value: Any) -> int:
        if value is None:
            raise Refused("missing_time", "the line does not say when it was")
        at_ms = epoch_ms(value)
        if at_ms is None:
            try:
                at_ms = parse_time(value)
            except (ValueError, OverflowError, TypeError):
                at_ms = self._local(value)
        if not EARLIEST_MS <= at_ms < LATEST_MS:
            raise Refused("wrong_type", "the line's time is before the year 2000 or behind 2100")
        return at_ms

    def _local(self, value: Any) -> int:
        """A time without an offset, as it is in the mapping's zone; also with that zone's name, such as CST."""
        text, name = f"{value}".replace(" +", "+").replace(" -", "-"), ""
        if named := ZONE_NAME.search(text):
            text, name = text[: named.start()], named[1]
        try:
            moment = datetime.fromisoformat(text)
            local = [moment] if moment.tzinfo else [moment.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1)]
            fits = [each for each in local if not name or (self.mapping.timezone and each.tzname() == name)]
            times_ms = [round(each.timestamp() * 1000) for each in fits]
        except (ValueError, OverflowError):
            raise Refused("wrong_type", "the line's time is neither epoch nor ISO 8601") from None
        if not times_ms:
            raise Refused(
                "wrong_type", "the line's time names a zone: `timezone` in the mapping must be the one it is of"
            )
        return times_ms[0]


def epoch_ms(value: Any) -> int | None:
    """A number, or a text that spells one, as seconds, ms, µs or ns by its size; None: it is none."""
    if isinstance(value, str):
        if not EPOCH.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < BEYOND:
        return None
    factor = next((factor for below, factor in SCALES if abs(value) < below), 1e-6)
    return round(value * factor)


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
