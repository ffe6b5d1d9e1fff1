"""An actor's own past as the yardstick: how many rows an export usually has, and at which hours.

Rows are judged as log1p(rows) by an exponentially weighted mean and variance. An export far above the past is learned
as if it lay one deviation above, so a thief who repeats himself does not soon look normal. Who has exported fewer than
LEARN times is left to the rules.
"""

from __future__ import annotations

from math import expm1, log1p, sqrt

from msgspec import Struct, msgpack

from alerts.security.finding import Rule
from alerts.security.moments import LEAST_DEVIATION, learned
from features.times import DAY_MS, HOUR_MS

RULE = Rule(
    name="unusual_export_volume",
    id="5a2f1e0c-8f0e-4c57-9d0c-6b1d3a2f7e41",
    title="Unusual export volume",
    level="medium",
    tags=("attack.exfiltration", "attack.t1567"),
)
LEARN = 10  # exports before an actor is judged
FAR = 4.0  # deviations above the mean
FAR_AT_NEW_HOUR = 3.0  # at an hour of day this actor never exported in
LEAST_ROWS = 100  # smaller exports are never far above
QUIET_MS = HOUR_MS  # one finding per actor and hour
FORGET_MS = 90 * DAY_MS


class Past(Struct, array_like=True):
    """An actor's record; `hours` has bit h set when an export happened in hour h."""

    exports: int = 0
    mean: float = 0.0
    variance: float = 0.0
    hours: int = 0
    last_ms: int = 0
    fired_ms: int = -QUIET_MS
    page: int = 0  # where it is listed

    @property
    def due_ms(self) -> int:
        """From this clock on the record means nothing."""
        return self.last_ms + FORGET_MS


class Unusual(Struct):
    rows_limit: int
    new_hour: bool


encode_past = msgpack.Encoder().encode
decode_past = msgpack.Decoder(Past).decode


def record(actor: str) -> str:
    return f"past|{actor}"


def observe(past: Past, rows: int, hour: int, at_ms: int) -> Unusual | None:
    """Learns one export; what was unusual about it, or None."""
    value, deviation = log1p(rows), max(sqrt(past.variance), LEAST_DEVIATION)
    new_hour = not past.hours >> hour & 1
    limit = past.mean + (FAR_AT_NEW_HOUR if new_hour else FAR) * deviation
    far = past.exports >= LEARN and rows >= LEAST_ROWS and value > limit
    _learn(past, past.mean + deviation if far else value)
    past.last_ms = max(past.last_ms, at_ms)
    if not far:
        past.hours |= 1 << hour
        return None
    if abs(at_ms - past.fired_ms) < QUIET_MS:
        return None
    past.fired_ms = at_ms
    return Unusual(round(expm1(limit)), new_hour)


def _learn(past: Past, value: float) -> None:
    past.exports += 1
    past.mean, past.variance = learned(past.exports, past.mean, past.variance, value)
