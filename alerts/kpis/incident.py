"""An incident: pending until it has lasted, firing until it has been quiet for a while, then resolved."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Literal

from msgspec import Struct

from features.times import MINUTE_MS, rfc3339

FIRE_P = 1e-6  # rarer than this is unusual: with 100 dimensions about one window a month by chance
RESOLVE_P = 1e-3  # while firing, this rare is still unusual
PENDING_MINUTES = 5  # unusual for so long before it fires

State = Literal["quiet", "pending", "firing"]
Direction = Literal["", "low", "high"]
Change = Literal["", "firing", "resolved"]


class Incident(Struct, array_like=True):
    """The course of one series; minutes are counted since the epoch."""

    state: State = "quiet"
    direction: Direction = ""
    start: int = 0
    calm: int = 0  # minutes in a row that were usual, while firing

    def step(self, minute: int, p: float, direction: Direction, hold_minutes: int) -> Change:
        """Takes the verdict on one minute; says what changed for those who are told."""
        unusual = p <= (RESOLVE_P if self.state == "firing" else FIRE_P)
        unusual = unusual and (self.state == "quiet" or direction == self.direction)
        if self.state == "firing":
            self.calm = 0 if unusual else self.calm + 1
            if self.calm >= hold_minutes:
                self.state = "quiet"
                return "resolved"
        elif not unusual:
            self.state = "quiet"
        elif self.state == "quiet":
            self.state, self.direction, self.start, self.calm = "pending", direction, minute, 0
        elif minute - self.start >= PENDING_MINUTES:
            self.state = "firing"
            return "firing"
        return ""


def fingerprint(dim: str, series: str, direction: str) -> str:
    """The same for every incident of this kind; 16 hex digits."""
    return blake2b(f"{dim}|{series}|{direction}".encode(), digest_size=8).hexdigest()


class Verdict(Struct):
    """How a window compares with what is usual; both sums in the series' own numbers."""

    minute: int
    observed: int
    expected: float
    p: float
    window_minutes: int


def alert(
    dim: str, series: str, incident: Incident, change: Change, verdict: Verdict, note: str = ""
) -> dict[str, Any]:
    """What is told of an incident."""
    mark = fingerprint(dim, series, incident.direction)
    return {
        "state": change,
        "dim": dim,
        "series": series,
        "direction": incident.direction,
        "observed": verdict.observed,
        "expected": round(verdict.expected, 2),
        "p": verdict.p,
        "started_ms": incident.start * MINUTE_MS,
        "fingerprint": mark,
        "incident": f"{mark}-{incident.start}",
        "why": note or _why(dim, series, incident, change, verdict),
    }


def _why(dim: str, series: str, incident: Incident, change: Change, verdict: Verdict) -> str:
    name, until = series.removesuffix("_cents").replace("_", " "), rfc3339((verdict.minute + 1) * MINUTE_MS)
    if series.endswith("_cents"):
        seen, usual = f"{verdict.observed / 100:,.2f}", f"{verdict.expected / 100:,.2f}"
    else:
        seen, usual = f"{verdict.observed:,}", f"{verdict.expected:,.1f}"
    verb = (
        "back to usual at"
        if change == "resolved"
        else {"low": "down to", "high": "up to", "": "at"}[incident.direction]
    )
    odds = "" if change == "resolved" else f", odds {verdict.p:.0e}"
    return (
        f"{dim}: {name} {verb} {seen} in the {verdict.window_minutes} minutes before {until[:16]}Z;"
        f" usual at this hour: {usual}{odds}"
    )
