"""The shape of an SQL statement: what it searches by and which columns it names, never a value."""

from __future__ import annotations

import csv
import re

from alerts.security.lines.requests import NAME, PHONE, whole

QUOTED = re.compile(r"('(?:[^']|'')*')|/\*(?:.*?\*/|.*)|\*/|--[^\n]*", re.DOTALL)
COLUMN = r'(?<![\w".])(?:"?\w+"?\.)*"?(\w+)"?'  # at its beginning only: else long names cost their square
TEXT = r"('(?:[^']|'')*'|\$\d+|[^\s;)]+)"
LIKE = re.compile(rf"{COLUMN}(?:::\w+)?\s+(?:not\s+)?(?:i?like|similar\s+to)\s+{TEXT}", re.IGNORECASE)
NUMBERS = re.compile(r"'[+\d]+%'$")
PARTS = re.compile(
    rf"\bstarts_with\s*\(\s*{COLUMN}|\b(?:left|substr|substring)\s*\(\s*{COLUMN}[^()]*\)\s*(?:=|in\b|i?like\b|~|<|>)",
    re.IGNORECASE,
)
RANGES = re.compile(rf"{COLUMN}(?:::\w+)?\s*(?:!?~~?\*?|\^@|>=?|<(?!>)=?|\bbetween\b)", re.IGNORECASE)
WHERE = re.compile(r"\bwhere\b", re.IGNORECASE)
EQUALS = re.compile(rf"{COLUMN}\s*(?:=|\bin\b|\bi?like\b)", re.IGNORECASE)
SELECTED = re.compile(r"\bselect\s+(?:distinct\s+)?(.*?)\bfrom\b", re.IGNORECASE | re.DOTALL)


def without_comments(statement: str) -> str:
    return QUOTED.sub(lambda found: found[1] or " ", statement)


def searched_by(statement: str, parameters: str = "") -> str:
    """`parameters`: the values of $1, $2, ... where pgaudit logs them."""
    for found in LIKE.finditer(statement):
        if PHONE.search(found[1]):
            return "phone" if whole(_value(found[2], parameters)) else "phone_prefix"
        if NUMBERS.match(found[2]):
            return f"{found[1].lower()}_prefix"
    for found in (*PARTS.finditer(statement), *RANGES.finditer(statement)):
        if PHONE.search(next(name for name in found.groups() if name)):
            return "phone_prefix"
    where = WHERE.search(statement)
    equals = EQUALS.search(statement, where.end()) if where else None
    return ("phone" if PHONE.search(equals[1]) else equals[1].lower()) if equals else ""


def fields_of(statement: str) -> list[str]:
    """The columns that a plain select names; `*` is all of them."""
    selected = SELECTED.search(statement)
    names = [part.strip().rpartition(".")[2].strip('"') for part in selected[1].split(",")] if selected else []
    return [name for name in names if name == "*" or NAME.match(name)][:50]


def _value(text: str, parameters: str) -> str:
    """What a column is compared with, if it stands there; a text that holds a wildcard is no whole number."""
    if text.startswith("$"):
        values = next(csv.reader([parameters.replace("\n", " ")]), [])
        place = int(text[1:]) - 1
        text = values[place] if 0 <= place < len(values) else ""
    text = text.strip("'")
    return "" if "%" in text or "_" in text else text
