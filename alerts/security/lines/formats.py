"""Lines of the known formats as plain values by name: before any mapping, and not to be kept.

    access   client_ip, actor, time, method, path, status, rows (bytes are none), device (the user agent)
    pgaudit  time, actor, client_ip, database, class, command, object, rows, query, fields

Sources: nginx's combined log format; pgaudit's README, behind log_line_prefix `%m [%p] %q%u@%d %h `.
"""

from __future__ import annotations

import csv
import re
from datetime import datetime
from typing import Any, TypeAlias

from features.messages import Refused

Found: TypeAlias = dict[str, Any]

ACCESS = re.compile(
    r'(?P<client_ip>\S+) \S+ (?P<actor>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) \S+'
    r'(?: "[^"]*" "(?P<device>[^"]*)")?'
)
PGAUDIT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+) \[\d+\] "
    r"(?P<actor>[^@\s]+)@(?P<database>\S+) (?P<client_ip>\S+).*?AUDIT: +(?:SESSION|OBJECT),(?P<audit>.*)",
    re.DOTALL,
)
ACTIONS = {"COPY": "export", "SELECT": "search", "UPDATE": "bulk_update", "INSERT": "bulk_update"}
BY_CLASS = {"ROLE": "permission_change", "DDL": "schema_change", "FUNCTION": "call", "READ": "search"}
DELETES = {"DELETE", "TRUNCATE", "TRUNCATE TABLE", "DROP TABLE"}
LOGS = re.compile(r"(?:^|[._])(?:audit|log|logs|history)(?:$|_)|_(?:audit|log|logs)$", re.IGNORECASE)
LIKE = re.compile(r"(\w+)\s+(?:i?like)\s+'[+\d]+%'", re.IGNORECASE)
EQUALS = re.compile(r"\bwhere\b.*?(\w+)\s*(=|\bin\b|\bi?like\b)", re.IGNORECASE | re.DOTALL)
SELECTED = re.compile(r"\bselect\s+(?:distinct\s+)?(.*?)\bfrom\b", re.IGNORECASE | re.DOTALL)
NAME = re.compile(r"[A-Za-z_]\w*$")
NOBODY = "-"
CODED = re.compile(r"%[0-9A-Fa-f]{2}")
SIGNS = {"%2B": "+", "%20": " "}


def access(line: str) -> Found:
    """Raises Refused."""
    match = ACCESS.match(line)
    if match is None:
        raise Refused("malformed", "no line of an access log: expected the combined format")
    found: Found = {name: text for name, text in match.groupdict().items() if text and text != NOBODY}
    method, _, rest = found.pop("request", "").partition(" ")
    path, _, query = rest.partition(" ")[0].partition("?")
    found |= {"method": method, "path": spelt_out(path), "result": result_of(int(found.pop("status")))}
    found["query"] = shape_of(dict(pair.partition("=")[::2] for pair in spelt_out(query).split("&")))
    found["time"] = _moment(found["time"])
    return found


def result_of(status: int) -> str:
    return "ok" if status < 400 else "denied" if status in (401, 403) else "failed"


def spelt_out(address: str) -> str:
    """What stands for a plus sign or a space in an address, as that; what stands for any other sign is left out."""
    return CODED.sub(lambda code: SIGNS.get(code[0].upper(), ""), address)


def shape_of(parameters: dict[str, str]) -> str:
    """What is searched by: the name of the first parameter that is filled, never what it is filled with."""
    for name, text in parameters.items():
        digits = text.strip("+ %*")
        if "phone" in name.lower() or "mobile" in name.lower():
            return "phone" if len(digits) >= 10 and digits.isdecimal() else "phone_prefix"
        if text and NAME.match(name):
            return name
    return ""


def pgaudit(line: str) -> Found:
    """Nothing of the statement is kept but its shape. Raises Refused; an empty answer: it is a line of another kind."""
    if "AUDIT:" not in line:
        return {}
    match = PGAUDIT.match(line)
    if match is None:
        raise Refused("malformed", "no line of pgaudit: expected log_line_prefix '%m [%p] %q%u@%d %h '")
    found: Found = match.groupdict()
    try:
        parts = next(csv.reader([found.pop("audit").replace("\n", " ")]))
        _, _, kind, command, _, object, statement, *more = parts
    except (ValueError, StopIteration, csv.Error):
        raise Refused("malformed", "the part behind AUDIT: has too few fields") from None
    found |= {"class": kind, "command": command, "object": object, "action": _action(kind, command, object, statement)}
    found |= {"query": _shape(statement), "fields": _fields(statement)}
    if len(more) >= 2 and more[-1].isdecimal():  # pgaudit.log_rows
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
    return ACTIONS.get(command) or BY_CLASS.get(kind) or kind.lower()


def _shape(statement: str) -> str:
    if like := LIKE.search(statement):
        return f"{like[1].lower()}_prefix"
    where = EQUALS.search(statement)
    return where[1].lower() if where else ""


def _fields(statement: str) -> list[str]:
    """The columns that a plain select names; `*` is all of them."""
    selected = SELECTED.search(statement)
    names = [part.strip().rpartition(".")[2] for part in selected[1].split(",")] if selected else []
    return [name for name in names if name == "*" or NAME.match(name)][:50]


def _moment(text: str) -> int:
    try:
        return round(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp() * 1000)
    except ValueError:
        raise Refused("wrong_type", "`time` is none of this format") from None
