"""A notice as Alertmanager's API v2 takes it (openapi.yaml of prometheus/alertmanager, postableAlert)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from alerts.formats.figures import figure_texts
from features.outgoing import Notice
from features.times import rfc3339

DONE = ("resolved", "closed")


def postable_alert(notice: Notice, until_ms: int) -> dict[str, Any]:
    """`until_ms`: when it counts as over, unless it is sent again. The same labels are the same alert there."""
    annotations = {
        "summary": notice.title,
        "description": notice.why,
        "count": str(notice.count),
        "evidence": ", ".join(notice.evidence),
        "by": notice.by,
        "reason": notice.reason,
        "entity": notice.entity,
        **notice.labels,
        **figure_texts(notice.figures),
    }
    return {
        "labels": labels(notice),
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": rfc3339(min(notice.started_ms, until_ms)),
        "endsAt": rfc3339(until_ms),
        **({"generatorURL": notice.url} if notice.url else {}),
    }


def postable_alerts(notice: Notice, now_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """The notice, and the end of the alert that it was there before, where that had other labels."""
    found = [postable_alert(notice, now_ms if notice.action in DONE else until_ms)]
    if notice.former:
        found.insert(0, postable_alert(replace(notice, former={}, **notice.former), now_ms))
    return found


def labels(notice: Notice) -> dict[str, str]:
    """What it is there. All but title and severity stay the same until its end."""
    named = {
        "alertname": notice.title,
        "key": notice.key,
        "kind": notice.kind,
        "severity": notice.severity,
        "rule": notice.labels.get("rule", ""),
    }
    return {name: text for name, text in named.items() if text}
