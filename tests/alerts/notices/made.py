"""Alerts for tests of the desk."""

from __future__ import annotations

from typing import Any

from alerts.notices.alert import Alert, read_alert
from alerts.notices.desk import Desk, State, Terms
from alerts.notices.pace import Throttle
from features.messages import cloudevent
from features.outgoing import AlertWord, Notice

HOUR_MS = 3_600_000
NOON_MS = 1_777_809_600_000
TERMS = Terms(Throttle(3, HOUR_MS), 24 * HOUR_MS, 7 * 24 * HOUR_MS)


def alert(id: str, kind: str = "security", subject: str = "anna", at_ms: int = NOON_MS, **data: Any) -> Alert:
    return read_alert(cloudevent("alerts", subject, id, f"alert.{kind}", kind, at_ms, subject, data).value)


def finding(id: str, actor: str = "anna", rule: str = "r1", **data: Any) -> Alert:
    told = {"rule": rule, "rule_id": rule, "title": rule, "level": "high", "actor": actor, "group": {"actor": actor}}
    return alert(id, subject=actor, **{**told, "why": f"{actor} did", **data})


def kpi(id: str, state: str = "firing", dim: str = "store:s1", start: int = 7, **data: Any) -> Alert:
    told = {"dim": dim, "series": "orders", "direction": "low", "incident": f"{dim}-{start}", "why": f"{dim} is low"}
    return alert(id, "kpi", dim, state=state, **{**told, **data})


def desk(terms: Terms = TERMS) -> Desk:
    return Desk(terms, State())


def told(desk: Desk) -> list[Notice]:
    """What it has to tell, which it then forgets."""
    notices = desk.notices
    desk.clear()
    return notices


def actions(desk: Desk) -> list[str]:
    return [notice.action for notice in told(desk)]


def word(kind: str, about: str, at_ms: int = NOON_MS, **more: Any) -> AlertWord:
    return AlertWord(word=kind, about=about, by="ben", at_ms=at_ms, **more)  # type: ignore[arg-type]
