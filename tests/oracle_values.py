"""What events count for, told slowly and obviously: the part of the twin in oracle.py that knows events and clocks."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta, timezone
from functools import cache
from math import nan
from typing import Any
from zoneinfo import ZoneInfo

from features import events as e
from features.kernel.effects import code_of
from features.kernel.words import hash_texts
from features.times import parse_duration

WINDOWED = {  # of (value, weight or sign)
    "sum": lambda found: sum(value * sign for value, sign in found),
    "mean": lambda found: sum(v * s for v, s in found) / sum(s for _, s in found) if sum(s for _, s in found) else nan,
    "max": lambda found: max((value for value, _ in found), default=nan),
    "min": lambda found: min((value for value, _ in found), default=nan),
    "distinct": lambda found: len({value for value, _ in found}),
}


def fits(event: Any, line: Any, moment_ms: int, measure: dict[str, Any]) -> bool:
    """Whether an event, or the line of an order, is one that the measure counts."""
    where, local = measure.get("where", {}), clock(moment_ms, event.tz or "UTC")
    for key, wanted in where.items():
        if key in ("hour", "weekday"):
            (first, last), found = wanted, local.hour if key == "hour" else local.isoweekday()
            if not (first <= found <= last if first <= last else found <= last or found >= first):
                return False
        elif text(event, line, key) not in ([wanted] if isinstance(wanted, str) else wanted):
            return False
    return True


def text(event: Any, line: Any, field: str) -> str:
    if field.startswith("options."):
        return line.options.get(field[8:], "")
    return getattr(line if line and field in ("sku", "category") else event, field)


def values_of(event: Any, lines: list[Any], amount: int | str) -> list[tuple[Any, int]]:
    """(value, weight) of `1`, `-1`, a number of the event, or its texts, of which an order's lines have one each."""
    if isinstance(amount, int):
        return [(abs(amount), 1)]
    field = amount.removeprefix("-")
    if field == "items" and isinstance(event, e.Order):
        return [(sum(line.qty for line in lines), 1)]
    if field == "star_tenths":
        return [(round(event.stars * 10), 1)]
    if field == "hour":
        return [(clock(event.at_ms, event.tz or "UTC").hour, 1)]
    if isinstance(getattr(event, field, None), int):
        return [(getattr(event, field), 1)]
    of_lines = isinstance(event, e.Order) and (field in ("sku", "category") or field.startswith("options."))
    found = [(text(event, line, field), line.qty if of_lines else 1) for line in (lines if of_lines else lines[:1])]
    return [(code_of(hash_texts([one])[0]), weight) for one, weight in found if one]


@cache
def clock(at_ms: int, zone: str) -> datetime:
    """A zone's own wall."""
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(zone))


def month(at_ms: int, zone: str) -> int:
    return 12 * clock(at_ms, zone).year + clock(at_ms, zone).month


def points(declared: dict[str, Any], cents: dict[int, int], spent: dict[int, int], now: int) -> dict[str, float]:
    """Points are spent by later months, the oldest first, while they are good; what is owed then, by those to come."""
    earned = {m: max(0, cents[m]) // declared["cents_per_point"] for m in sorted(cents) if m <= now}
    left, valid = dict(earned), declared["valid_months"]
    for when in sorted(m for m in spent if m <= now):
        for source in [m for m in left if when <= m + valid]:
            taken = max(0, min(left[source], spent[when]))
            left[source] -= taken
            spent[when] -= taken
    owed = sum(max(0, points) for m, points in spent.items() if m <= now)
    return {
        "points_balance": sum(n for m, n in left.items() if now <= m + valid) - owed,
        "points_expiring": left.get(now - valid, 0),
        "points_earned_12m": sum(n for m, n in earned.items() if m > now - 12),
    }


def unbounded(name: str, measure: dict[str, Any], values: list[Any], at_ms: int) -> dict[str, float]:
    """A measure without windows."""
    if measure["aggregate"] == "last":
        latest_ms = max((moment[0] for _, _, moment in values), default=0)
        return {name: next((v for v, _, moment in reversed(values) if moment[0] == latest_ms), nan)}
    half_life_ms = parse_duration(measure["half_life"])
    weights: dict[Any, float] = defaultdict(float)
    for value, weight, moment in values:
        amount = weight if measure["aggregate"] == "top" else value * weight
        weights[value] += amount * 2 ** ((moment[0] - at_ms) / half_life_ms)
    if measure["aggregate"] == "decay":
        return {name: sum(weights.values())}
    most = max(weights.values(), default=nan)
    favourite = min((value for value in weights if weights[value] >= most * (1 - 1e-9)), default=nan)
    return {name: favourite, f"{name}_share": most / sum(weights.values()) if weights else nan}
