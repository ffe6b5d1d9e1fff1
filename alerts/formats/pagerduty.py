"""A notice as an event of PagerDuty's Events API v2."""

from __future__ import annotations

from typing import Any

from features.outgoing import Notice
from features.times import rfc3339

ACTION = {
    "opened": "trigger",
    "updated": "trigger",
    "acknowledged": "acknowledge",
    "resolved": "resolve",
    "closed": "resolve",
}
SEVERITY = {"informational": "info", "low": "info", "medium": "warning", "high": "error", "critical": "critical"}
SUMMARY = 1_024  # characters


def pagerduty_event(notice: Notice, routing_key: str) -> dict[str, Any] | None:
    """None for what PagerDuty has no place for: that some were held."""
    action = ACTION.get(notice.action)
    if action is None:
        return None
    event = {"routing_key": routing_key, "event_action": action, "dedup_key": notice.key}
    if action != "trigger":
        return event
    links = [{"href": notice.url, "text": "the board"}] if notice.url else []
    return {**event, "client": "Brewline", "payload": _payload(notice), "links": links}


def _payload(notice: Notice) -> dict[str, Any]:
    details = {"why": notice.why, "count": notice.count, "evidence": notice.evidence}
    return {
        "summary": f"{notice.title}: {notice.why}"[:SUMMARY],
        "source": notice.entity or "brewline",
        "severity": SEVERITY[notice.severity],
        "timestamp": rfc3339(notice.at_ms),
        "component": notice.labels.get("rule", notice.labels.get("series", notice.kind)),
        "group": notice.labels.get("store", notice.labels.get("dim", "")),
        "class": notice.kind,
        "custom_details": {**notice.labels, **notice.figures, **details},
    }
