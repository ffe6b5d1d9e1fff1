"""Settings of the gateways that coupons are delivered to: `[dispatch.gateways.<name>]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

SECRET = "BREWLINE_DISPATCH_SECRET_"  # and the gateway's name: its secret, or two while one replaces the other
NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
EXPECTED_NAME = "expected small letters, digits and -, a letter first, at most 32"
Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
Rate = Annotated[float, Meta(gt=0, le=10_000)]


class Gateway(Struct, forbid_unknown_fields=True):
    url: str
    secret_file: str = ""  # holds the secret; or the environment variable BREWLINE_DISPATCH_SECRET_<NAME>
    channels: list[str] = []  # of the coupons it takes; none named: all
    begin: Literal["earliest", "latest"] = "earliest"  # where a gateway that is new starts on the topic
    rate_per_s: Rate = 50.0  # attempts, on average; a second's worth may go at once
    timeout_s: Seconds = 10.0  # of an attempt, from connecting to the last byte
    in_flight: Annotated[int, Meta(gt=0, le=256)] = 16  # attempts at the same time
    window: Positive = 500  # coupons taken and not yet settled; so many may be sent again after a crash
    max_attempts: Positive = 10
    give_up_s: Seconds = 86_400.0  # how long a coupon is tried
    backoff_s: Seconds = 0.5  # the longest first wait; it doubles with each attempt ...
    backoff_most_s: Seconds = 60.0  # ... up to this
    breaker_failures: Positive = 5  # so many in a row open the circuit ...
    breaker_pause_s: Seconds = 30.0  # ... for so long; then one coupon is the probe


class Dispatch(Struct, forbid_unknown_fields=True):
    gateways: dict[str, Gateway] = {}
    stop_s: Seconds = 15.0  # how long attempts in flight may go on when the flow is told to stop


def variable(gateway: str) -> str:
    """The environment variable of a gateway's secret."""
    return SECRET + gateway.upper().replace("-", "_")


def complaint(tables: Mapping[str, Any]) -> str:
    """What is wrong with the first table that is wrong; empty when none is."""
    for name, table in tables.items():
        if not NAME.fullmatch(name):
            return f"[dispatch.gateways]: found the name {name!r}, {EXPECTED_NAME}"
        told = _wrong_key(name, table) or _wrong_value(table) if isinstance(table, dict) else " expected a table"
        if told:
            return f"[dispatch.gateways.{name}]{told}"
    return ""


def stray_secret(tables: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """A variable with a secret for no gateway, and what was expected; empty when there is none."""
    known = [variable(name) for name in tables]
    for name, value in environ.items():
        if name.startswith(SECRET) and value and name not in known:
            return (
                f"{name}: there is no such gateway; expected {', '.join(known) or 'none, as no gateway is configured'}"
            )
    return ""


def _wrong_key(name: str, table: Mapping[str, Any]) -> str:
    known = [field.name for field in msgspec.structs.fields(Gateway)]
    for key in table:
        if "secret" in key and key not in known:
            return (
                f" {key}: secrets do not stand in settings: set {variable(name)}, or secret_file to a file that holds"
                " it (make one with `echo whsec_$(openssl rand -base64 32)`)"
            )
        if key not in known:
            close = get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
            return f": unknown key {key!r}; {hint}"
    return ""


def _wrong_value(table: Mapping[str, Any]) -> str:
    try:
        wrong = _wrong_url(msgspec.convert(table, Gateway).url)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$.")
        key = re.split(r"[`\[]", at)[0]
        found = f" {key}: found {table[key]!r};" if key else ":"
        return f"{found} {text[:1].lower()}{text[1:]}"
    return f" url: {wrong}" if wrong else ""


def _wrong_url(url: str) -> str:
    """A url may carry a password or a token, so it is not quoted."""
    expected = "expected https://host/path or http://host:port/path"
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        well = False
    if not well or not re.fullmatch("[!-~]+", url):
        return f"what stands there is no url, {expected}"
    if "@" in parts.netloc:
        return f"found a user or a password in it, {expected}: requests are signed instead"
    return ""
