"""What must not get out of a raw line: phone numbers, mail addresses, tokens, keys; customers become pseudonyms."""

from __future__ import annotations

import re

from features.identity import Pseudonyms
from features.messages import Refused

PHONE = re.compile(r"(?<!\w)\+?\(?\d(?:[ ().-]{0,2}\d){6,}(?!\w)")
MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
TOKEN = re.compile(r"\b(?=\w*\d)[A-Za-z0-9_-]{20,}\b|\beyJ[\w.-]+")
LEFT_OUT = "…"
LONGEST = 128


def scrub(text: str) -> str:
    """The text without them, no longer than a field may be."""
    for pattern in (TOKEN, MAIL, PHONE):
        text = pattern.sub(LEFT_OUT, text)
    return text[:LONGEST]


def pseudonym(pseudonyms: Pseudonyms, raw: str) -> str:
    """Who a line is about, as the same pseudonym in every line; of a phone number, however it is written."""
    if PHONE.fullmatch(raw.strip()):
        try:
            return pseudonyms.one("phone", raw)
        except Refused:  # a long number that is none
            pass
    return pseudonyms.one("app_id", raw)
