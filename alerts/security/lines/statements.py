"""The shape of an SQL statement: what it searches by and which columns it names, never a value."""

from __future__ import annotations

import csv
import re
from itertools import chain

from alerts.security.lines.requests import NAME, PHONE, whole

STRING = r"\bE'(?:[^'\\]|\\.|'')*'?|'[^']*'?|(?<![\w$])\$(?P<tag>[A-Z_]\w*|)\$(?:.*?\$(?P=tag)\$|.*)"
STRINGS = re.compile(STRING, re.DOTALL | re.IGNORECASE)
KEPT = re.compile(rf'({STRING}|"[^"]*"?)|/\*(?:.*?\*/|.*)|\*/|--[^\n]*', re.DOTALL | re.IGNORECASE)
COLUMN = r'(?<![\w".])(?:"?\w+"?\.)*"?(\w+)"?(?![\w".])'  # a whole one: else long names cost their square
TEXT = r"('(?:[^']|'')*'|\$\d+|[^\s;)]+)"
LIKE = re.compile(rf"{COLUMN}(?:::\w+)?\s+(?:not\s+)?(?:i?like|similar\s+to)\s+{TEXT}", re.IGNORECASE)
BOUND = re.compile(r"\$([0-9]{1,5})")
NUMBERS = re.compile(r"'[+\d]+%'$")
PARTS = re.compile(
    rf"\bstarts_with\s*\(\s*{COLUMN}|\b(?:left|substr|substring)\s*\(\s*{COLUMN}[^()]*\)\s*(?:=|in\b|i?like\b|~|<|>)",
    re.IGNORECASE,
)
RANGES = re.compile(rf"{COLUMN}(?:::\w+)?\s*(?:!?~~?\*?|\^@|>=?|<(?!>)=?|\bbetween\b)", re.IGNORECASE)
WHERE = re.compile(r"\bwhere\b", re.IGNORECASE)
EQUALS = re.compile(rf"{COLUMN}\s*(?:=|\bin\b|\bi?like\b)", re.IGNORECASE)
SELECT = re.compile(r"\bselect\s+(?:distinct\s+)?", re.IGNORECASE)
FROM = re.compile(r'"[^"]*"|\b(from)\b', re.IGNORECASE)


def without_comments(statement: str) -> str:
    return KEPT.sub(lambda found: found[1] or " ", statement)


def searched_by(statement: str, parameters: str = "") -> str:
    """`parameters`: the values of $1, $2, ... where pgaudit logs them."""
    for found in LIKE.finditer(statement):
        if PHONE.search(found[1]):
            return "phone" if whole(_value(found[2], parameters)) else "phone_prefix"
        if NUMBERS.match(found[2]):
            return f"{found[1].lower()}_prefix"
    for found in chain(PARTS.finditer(statement), RANGES.finditer(statement)):
        if PHONE.search(next(name for name in found.groups() if name)):
            return "phone_prefix"
    where = WHERE.search(statement)
    equals = EQUALS.search(statement, where.end()) if where else None
    return ("phone" if PHONE.search(equals[1]) else equals[1].lower()) if equals else ""


def fields_of(statement: str) -> list[str]:
    """The columns that a plain select names; `*` is all of them."""
    plain = STRINGS.sub("''", statement)
    select = SELECT.search(plain)
    end = next((found for found in FROM.finditer(plain, select.end()) if found[1]), None) if select else None
    selected = plain[select.end() : end.start()].split(",") if select and end else []
    names = [part.strip().rpartition(".")[2].strip('"') for part in selected]
    return [name for name in names if name == "*" or NAME.match(name)][:50]


def _value(text: str, parameters: str) -> str:
    """What a column is compared with, if it stands there; a text that holds a wildcard is no whole number."""
    if bound := BOUND.fullmatch(text):
        values = next(csv.reader([parameters]), [])
        place = int(bound[1]) - 1
        text = values[place] if 0 <= place < len(values) else ""
    text = text.strip("'")
    return "" if "%" in text or "_" in text else text
