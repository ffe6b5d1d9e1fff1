"""Lines of the known formats as plain values by name: before any mapping, and not to be kept.

    access   client_ip, actor, time, method, path, status, rows (bytes are none), device (the user agent)
    pgaudit  time, actor, client_ip, database, class, command, object, rows, query, fields

Sources: nginx's combined log format; pgaudit's README, behind log_line_prefix `%m [%p] %q%u@%d %h `.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from alerts.security.lines.mapping import NUMBER
from alerts.security.lines.requests import plain_request, shape_of
from alerts.security.lines.statements import fields_of, searched_by, without_comments
from features.messages import Refused

Found: TypeAlias = dict[str, Any]
csv.field_size_limit(2**31 - 1)  # a statement is as long as its record may be

ACCESS = re.compile(
    r'(?P<client_ip>\S+) \S+ (?P<actor>(?:[^"\\]|\\.)+?) \[(?P<time>[^][]{1,64})\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) \S+'
    r'(?: "(?:[^"\\]|\\.)*" "(?P<device>(?:[^"\\]|\\.)*)")?'
)
PGAUDIT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+) \[\d+\] "
    r"(?P<actor>\S[^\n]{0,127}?)@(?P<database>[^@\s]+) (?P<client_ip>\S+) "
    r".{0,99}?AUDIT: +(?:SESSION|OBJECT),(?P<audit>.*)",
    re.DOTALL,
)
ACTIONS = {"COPY": "export", "SELECT": "search", "UPDATE": "bulk_update", "INSERT": "bulk_update"}
COPIES = ("CREATE TABLE AS", "SELECT INTO", "CREATE MATERIALIZED VIEW")
BY_CLASS = {"ROLE": "permission_change", "DDL": "schema_change", "FUNCTION": "call", "READ": "search"}
DELETES = {"DELETE", "TRUNCATE", "TRUNCATE TABLE", "DROP TABLE"}
LOGS = re.compile(r"(?:^|[._])(?:audit|log|logs|history)(?:$|_)|_(?:audit|log|logs)$", re.IGNORECASE)
NOBODY = "-"
LINE_END = "\x1f"  # in a statement, for CSV is read by the line
ONE_LINE = str.maketrans(dict.fromkeys("\n\r\0", LINE_END))
ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")


def access(line: str) -> Found:
    """Raises Refused."""
    match = ACCESS.match(line)
    if match is None:
        raise Refused("malformed", "no line of an access log: expected the combined format")
    found: Found = {name: text for name, text in match.groupdict().items() if text and text != NOBODY}
    request = unescaped(found.pop("request", ""), "%{}".format)
    method, _, path = plain_request(request).partition(" ")
    found |= {"method": method, "path": path, "result": result_of(int(found.pop("status")))}
    found |= {"device": unescaped(found["device"])} if "device" in found else {}
    found["query"] = shape_of(request.partition(" ")[2].partition(" ")[0].partition("?")[2])
    found["time"] = _moment(found["time"])
    return found


def result_of(status: int) -> str:
    return "ok" if status < 400 else "denied" if status in (401, 403) else "failed"


def unescaped(text: str, coded: Callable[[str], str] = lambda digits: chr(int(digits, 16))) -> str:
    """Without the escapes of nginx (`\\x22`) and Apache (`\\"`)."""
    return ESCAPED.sub(lambda found: coded(found[1]) if found[1] else found[2], text)


def pgaudit(line: str) -> Found:
    """Nothing of the statement is kept but its shape. Raises Refused; an empty answer: it is a line of another kind."""
    if "AUDIT:" not in line:
        return {}
    match = PGAUDIT.match(line)
    if match is None:
        raise Refused("malformed", "no line of pgaudit: expected log_line_prefix '%m [%p] %q%u@%d %h '")
    found: Found = match.groupdict()
    try:
        parts = next(csv.reader([found.pop("audit").translate(ONE_LINE)]))
        _, _, kind, command, _, object, statement, *more = parts
        statement = without_comments(statement.replace(LINE_END, "\n"))
    except (ValueError, StopIteration, csv.Error):
        raise Refused("malformed", "the part behind AUDIT: has too few fields") from None
    found |= {"class": kind, "command": command, "object": object, "action": _action(kind, command, object, statement)}
    found |= {"query": searched_by(statement, more[0] if more else ""), "fields": fields_of(statement)}
    if len(more) >= 2 and NUMBER.fullmatch(more[-1]):  # pgaudit.log_rows
        found["rows"] = int(more[-1])
    if account := re.search(r"\b(?:to|role|user)\s+\"?(\w+)", statement, re.IGNORECASE) if kind == "ROLE" else None:
        found["account"] = account[1]
    found["time"] = found["time"].replace(" UTC", "+00:00").replace(" GMT", "+00:00")
    return found


def _action(kind: str, command: str, object: str, statement: str) -> str:
    if command in DELETES:
        return "log_delete" if LOGS.search(object or statement) else "bulk_delete"
    if command == "COPY" and not re.search(r"\bto\b", statement, re.IGNORECASE):
        return "bulk_update"
    if command in COPIES:
        return "copy"
    return ACTIONS.get(command) or BY_CLASS.get(kind) or kind.lower()


def _moment(text: str) -> int:
    try:
        return round(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp() * 1000)
    except ValueError:
        raise Refused("wrong_type", "`time` is none of this format") from None
