"""What must not get out of a raw line: phone numbers, mail addresses, tokens, keys; customers become pseudonyms."""

from __future__ import annotations

import re

from features.identity import Pseudonyms
from features.messages import Refused

PHONE = re.compile(r"(?<![A-Za-z_\d])\+?\(?\d(?:[ ().-]{0,2}\d){6,}(?![A-Za-z_\d])")
MOBILE = r"(?:(?:00)?86[ -]?)?1[ -]?[3-9](?:[ -]?\d){9}"  # beside letters other numbers are ids
GLUED = re.compile(rf"(?<=[A-Za-z_]){MOBILE}(?!\d)|(?<!\d){MOBILE}(?=[A-Za-z_])")
MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
TOKEN = re.compile(r"(?<![A-Za-z0-9_])(?=[A-Za-z_]*\d)[A-Za-z0-9_-]{20,}|(?<![A-Za-z0-9])eyJ[\w.-]+")
LEFT_OUT = "…"
LONGEST = 128
READ = 1_024  # characters of a text: what is behind them would not be kept


def scrub(text: str) -> str:
    """The text without them, no longer than a field may be."""
    found = text[:READ]
    for pattern in (TOKEN, MAIL, GLUED, PHONE):
        found = pattern.sub(LEFT_OUT, found)
    if len(text) > READ:
        found = found[:-LONGEST] or LEFT_OUT  # the cut may have left a part of one
    return found[:LONGEST]


def pseudonym(pseudonyms: Pseudonyms, raw: str) -> str:
    """Who a line is about, as the same pseudonym in every line; of a phone number, however it is written."""
    if PHONE.fullmatch(raw.strip()):
        try:
            return pseudonyms.one("phone", raw)
        except Refused:  # a long number that is none
            pass
    return pseudonyms.one("app_id", raw)
