"""Records that cannot be used: each is wrong in exactly one way, named by its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from sim.menu import pick
from sim.truth import REASONS

TOO_LARGE_BYTES = 2_000_000
AUDIT_REASONS = tuple(r for r in REASONS if r not in ("too_large", "identity"))
EVENT_REASONS = tuple(r for r in REASONS if r != "too_large")
_MARK = "@@"
_ABSURD: tuple[int | str, ...] = (3_600_000, "1970-01-01T09:00:00+08:00", 4_102_000_000_000, "2099-12-31T23:59:59Z")


def spoil(value: bytes, reason: str, id: str, rng: Random) -> bytes:
    """The bytes of an event under another id, spoilt for `reason`."""
    body = {**json.loads(value), "id": id}
    if reason == "malformed" and rng.random() < 0.5:
        body["channel"] = _MARK
        return _bytes(body).replace(_MARK.encode(), b"\xff\xfe")  # not UTF-8
    if reason == "malformed":
        return _bytes(body)[: -1 - int(rng.random() * 20)]  # cut off on the way
    return _bytes(_SPOIL[reason](body, rng))


def _bytes(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _without(key: str) -> Callable[[dict[str, Any], Random], dict[str, Any]]:
    return lambda body, rng: {k: v for k, v in body.items() if k != key}


def _nameless(body: dict[str, Any], rng: Random) -> dict[str, Any]:
    """No event id; or nobody, where somebody is needed."""
    if rng.random() < 0.5:
        return _without("id")(body, rng)
    if "actor" in body:
        return _without("actor")(body, rng)
    kept: dict[str, Any] = {k: body[k] for k in ("id", "time", "store", "channel") if k in body}
    cart = {"type": "cart_add", **kept, "sku": "taro-milk-tea", "price_cents": 1800}
    return cart if rng.random() < 0.5 else {**cart, "who": {}}


def _out_of_range(body: dict[str, Any], rng: Random) -> dict[str, Any]:
    if "lines" in body:
        return {**body, "lines": [{**body["lines"][0], "qty": -1}]}
    if "actor" in body:
        return {**body, "rows": -1}
    return {"type": "footfall", "id": body["id"], "time": body["time"], "visitors": -3}


def _mistyped(body: dict[str, Any], rng: Random) -> dict[str, Any]:
    key, wrong = ("total_cents", "eighteen") if "total_cents" in body else ("store", 17)
    return {**body, key: wrong}


_SPOIL: dict[str, Callable[[dict[str, Any], Random], dict[str, Any]]] = {
    "too_large": lambda body, rng: {**body, "note": "x" * TOO_LARGE_BYTES},
    "unknown_type": lambda body, rng: {**body, "type": "horoscope"},
    "wrong_type": _mistyped,
    "missing_id": _nameless,
    "missing_time": _without("time"),
    "absurd_time": lambda body, rng: {**body, "time": pick(rng, _ABSURD)},
    "identity": lambda body, rng: {**body, "who": {"phone": pick(rng, ("12", "no number"))}},
    "out_of_range": _out_of_range,
}
