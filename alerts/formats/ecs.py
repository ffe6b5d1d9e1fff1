"""A notice in the Elastic Common Schema (elastic.co, ECS 8.17)."""

from __future__ import annotations

from typing import Any

from alerts.formats.attack import read_attack
from alerts.formats.source import source_ip
from features.outgoing import Notice
from features.times import rfc3339

VERSION = "8.17.0"
SEVERITY = {"informational": 5, "low": 21, "medium": 47, "high": 73, "critical": 99}  # as Elastic's own rules have it
DONE = ("resolved", "closed")


def ecs_event(notice: Notice, id: str) -> dict[str, Any]:
    """`id` is that of the notice; fields that are not in the schema stand under `brewline`."""
    security = notice.kind == "security"
    return {
        "@timestamp": rfc3339(notice.at_ms),
        "ecs": {"version": VERSION},
        "message": notice.why,
        "event": {
            "id": id,
            "kind": "event" if notice.action in DONE else "alert",
            **({"category": ["intrusion_detection"]} if security else {}),
            "type": ["end"] if notice.action in DONE else ["info"],
            "action": notice.action,
            "module": "brewline",
            "dataset": f"brewline.{notice.kind}",
            "provider": notice.kind,
            "severity": SEVERITY[notice.severity],
            "reason": notice.why,
            "start": rfc3339(notice.started_ms),
            **({"url": notice.url} if notice.url else {}),
            **({"end": rfc3339(notice.at_ms)} if notice.action in DONE else {}),
        },
        "rule": _rule(notice),
        "observer": {"vendor": "Brewline", "product": "Brewline", "type": notice.kind},
        **_whence(notice.labels),
        **_threat(notice.tags),
        **({"tags": notice.tags} if notice.tags else {}),
        "labels": notice.labels,
        "brewline": _own(notice),
    }


def _rule(notice: Notice) -> dict[str, Any]:
    name = notice.labels.get("rule", notice.labels.get("series", notice.kind))
    uid = notice.labels.get("rule_id")
    return {"name": name, "description": notice.title, **({"uuid": uid, "id": uid} if uid else {})}


def _whence(labels: dict[str, str]) -> dict[str, Any]:
    """Who it was, from which address and device."""
    actor, address, device = (labels.get(name) for name in ("actor", "client_ip", "device"))
    ip = source_ip(labels)
    source = {"address": address, **({"ip": str(ip)} if ip else {})}
    related = {**({"user": [actor]} if actor else {}), **({"ip": [str(ip)]} if ip else {})}
    return {
        **({"user": {"name": actor}} if actor else {}),
        **({"source": source} if address else {}),
        **({"device": {"id": device}} if device else {}),
        **({"related": related} if related else {}),
    }


def _threat(tags: list[str]) -> dict[str, Any]:
    attack = read_attack(tags)
    parents = list(dict.fromkeys([*attack.techniques, *(part.partition(".")[0] for part in attack.parts)]))
    technique: dict[str, Any] = {"id": parents} if parents else {}
    if attack.parts:
        technique["subtechnique"] = {"id": attack.parts}
    tactic = {"id": [uid for uid, _ in attack.tactics], "name": [name for _, name in attack.tactics]}
    threat = {**({"technique": technique} if technique else {}), **({"tactic": tactic} if attack.tactics else {})}
    return {"threat": {"framework": "MITRE ATT&CK", **threat}} if threat else {}


def _own(notice: Notice) -> dict[str, Any]:
    return {
        "key": notice.key,
        "count": notice.count,
        "held": notice.held,
        "by": notice.by,
        "reason": notice.reason,
        "evidence": notice.evidence,
        "figures": notice.figures,
    }
