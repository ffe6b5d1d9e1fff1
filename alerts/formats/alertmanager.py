"""A notice as Alertmanager's API v2 takes it (openapi.yaml of prometheus/alertmanager, postableAlert)."""

from __future__ import annotations

from typing import Any

from features.outgoing import Notice
from features.times import rfc3339

DONE = ("resolved", "closed")


def postable_alert(notice: Notice, until_ms: int, url: str = "") -> dict[str, Any]:
    """`until_ms`: when it counts as over, unless it is sent again. The same labels are the same alert there."""
    annotations = {
        "summary": notice.title,
        "description": notice.why,
        "count": str(notice.count),
        "evidence": ", ".join(notice.evidence),
        "by": notice.by,
        "reason": notice.reason,
        **{name: f"{value:g}" for name, value in notice.figures.items()},
    }
    return {
        "labels": labels(notice),
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": rfc3339(min(notice.started_ms, until_ms)),
        "endsAt": rfc3339(until_ms),
        **({"generatorURL": url} if url else {}),
    }


def labels(notice: Notice) -> dict[str, str]:
    """They must not change while it fires, so that severity is that of its key alone where the flow keeps it."""
    named = {
        "alertname": notice.title,
        "key": notice.key,
        "kind": notice.kind,
        "severity": notice.severity,
        "entity": notice.entity,
    }
    return {name: text for name, text in {**notice.labels, **named}.items() if text}
