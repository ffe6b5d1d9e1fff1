"""How many alerts of one entity are told within a while; the rest is counted, and told as one sum."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from alerts.notices.alert import Alert
from features.messages import digest
from features.outgoing import Notice
from features.times import rfc3339

NAMED = 5  # titles that a summary names


class Throttle(Struct, frozen=True):
    """At most so many alerts of an entity and severity within the window."""

    most: int
    window_ms: int


class Pace(Struct):
    """The window of one entity and severity; it begins with its first alert. `held`: by title."""

    alert: Alert
    opened_ms: int
    passed: int = 0
    held: dict[str, int] = {}

    def admits(self, alert: Alert, throttle: Throttle) -> bool:
        if self.passed < throttle.most:
            self.passed += 1
            return True
        self.alert = alert
        self.held = {**self.held, alert.title: self.held.get(alert.title, 0) + 1}
        return False

    def summary(self, throttle: Throttle) -> Notice:
        """What was held, in one notice."""
        alert, held = self.alert, sum(self.held.values())
        return Notice(
            action="held",
            key=digest(f"held|{pace_key(alert)}|{self.opened_ms}"),
            alert=alert.id,
            kind=alert.kind,
            severity=alert.severity,
            entity=alert.entity,
            title=f"Alerts held: {alert.entity}"[:1000],
            why=self._why(held, throttle),
            labels={name: alert.labels[name] for name in ("actor", "store", "dim") if name in alert.labels},
            started_ms=self.opened_ms,
            opened_ms=self.opened_ms,
            at_ms=self.opened_ms + throttle.window_ms,
            count=held,
            held=held,
        )

    def _why(self, held: int, throttle: Throttle) -> str:
        most = sorted(self.held.items(), key=lambda each: (-each[1], each[0]))
        named = ", ".join(f"{title} ({number})" for title, number in most[:NAMED])
        more = f" and {len(most) - NAMED} more" if len(most) > NAMED else ""
        since = rfc3339(self.opened_ms)[:16].replace("T", " ")
        return (
            f"{self.alert.entity}: {held} more {self.alert.severity} alerts from {since}Z, beside the"
            f" {throttle.most} that were told: {named}{more}"
        )


def pace_key(alert: Alert) -> str:
    return f"{alert.kind}|{alert.severity}|{alert.entity}"


def over(paces: Mapping[str, Pace], throttle: Throttle, now_ms: int) -> list[str]:
    """Keys of the windows that have ended."""
    return [key for key, pace in paces.items() if now_ms >= pace.opened_ms + throttle.window_ms]
