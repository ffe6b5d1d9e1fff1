"""A request of an access log as the server understood it: what path it asks for, and what it searches by."""

from __future__ import annotations

import re
from posixpath import normpath
from urllib.parse import quote, unquote, unquote_plus

ORIGIN = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
KEPT = re.compile(r"[\s\x00-\x1f?#%]")  # what would end a path, or begin a code, stays a code
PHONE = re.compile(r"phone|mobile", re.IGNORECASE)
BLANKS = re.compile(r"[\s().+*%-]")  # of how a number is written
NAME = re.compile(r"[A-Za-z_]\w*$")
PAGING = frozenset({"page", "per_page", "page_size", "size", "limit", "offset", "cursor", "sort", "order", "order_by"})
WHOLE = 10  # digits of a phone number that is no beginning of one


def plain_request(request: str) -> str:
    """`GET /customers/%31?x=1 HTTP/1.1` as `GET /customers/1`; HEAD is told as the GET it stands for."""
    method, _, rest = request.partition(" ")
    return f"{'GET' if method == 'HEAD' else method} {plain_path(rest.partition(' ')[0])}"


def plain_path(target: str) -> str:
    """Decoded once, and without `//`, `.` and `..`."""
    path = ORIGIN.sub("", target).partition("?")[0].partition("#")[0]
    return KEPT.sub(lambda sign: quote(sign[0]), normpath("/" + unquote(path).lstrip("/")))


def shape_of(query: str) -> str:
    """What a query string searches by: never what it looks for, and a phone number before all else."""
    told = [(unquote_plus(name), unquote_plus(text)) for name, _, text in (p.partition("=") for p in query.split("&"))]
    filled = [(name, text) for name, text in told if text]
    if numbers := [text for name, text in filled if PHONE.search(name)]:
        return "phone" if all(map(whole, numbers)) else "phone_prefix"
    names = [name for name, _ in filled if NAME.match(name)]
    return next((name for name in names if name.lower() not in PAGING), names[0] if names else "")


def whole(number: str) -> bool:
    digits = BLANKS.sub("", number)
    return len(digits) >= WHOLE and digits.isdecimal()
