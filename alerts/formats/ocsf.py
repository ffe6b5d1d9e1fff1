"""A notice as an OCSF Detection Finding (schema.ocsf.io, 1.8.0, class 2004)."""

from __future__ import annotations

from typing import Any

from alerts.formats.attack import read_attack
from alerts.formats.source import source_ip
from features.outgoing import Notice

VERSION = "1.8.0"
CLASS, CATEGORY = 2004, 2
SEVERITY = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
ACTIVITY = {
    "opened": (1, "Create"),
    "updated": (2, "Update"),
    "acknowledged": (2, "Update"),
    "resolved": (3, "Close"),
    "closed": (3, "Close"),
    "held": (99, "Held"),
}
STATUS = {"acknowledged": (2, "In Progress"), "resolved": (4, "Resolved"), "closed": (4, "Resolved")}
SURE, LIKELY = (3, "High"), (2, "Medium")  # a rule has matched, or numbers are unusual
USER_NAME, ADDRESS, RESOURCE = (4, "User Name"), (2, "IP Address"), (10, "Resource UID")  # types of observables
STATISTICAL, RULE = (3, "Statistical"), (1, "Rule")  # types of analytics


def detection_finding(notice: Notice, id: str) -> dict[str, Any]:
    """`id` is that of the notice. It names staff, stores and numbers; of customers it knows nothing."""
    activity, activity_name = ACTIVITY[notice.action]
    status, status_name = STATUS.get(notice.action, (1, "New"))
    confidence, confidence_name = LIKELY if is_statistical(notice) else SURE
    return {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {activity_name}",
        "time": notice.at_ms,
        "start_time": notice.started_ms,
        "severity_id": SEVERITY[notice.severity],
        "severity": notice.severity.capitalize(),
        "status_id": status,
        "status": status_name,
        **({"status_detail": notice.reason} if notice.reason else {}),
        **({"comment": f"{notice.action} by {notice.by}"} if notice.by else {}),
        "confidence_id": confidence,
        "confidence": confidence_name,
        "is_alert": notice.action in ("opened", "updated", "held"),
        "count": notice.count,
        "message": notice.why,
        "metadata": _metadata(notice, id),
        "finding_info": _finding_info(notice),
        "evidences": [_evidence(notice)],
        "observables": _observables(notice),
    }


def is_statistical(notice: Notice) -> bool:
    """Whether numbers were unusual, rather than a rule met."""
    rule = notice.labels.get("rule", "")
    return notice.kind in ("kpi", "model") or rule.startswith("unusual_")


def _metadata(notice: Notice, id: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": "Brewline", "vendor_name": "Brewline", "feature": {"name": notice.kind}},
        "uid": id,
        "correlation_uid": notice.labels.get("case", notice.key),
        "event_code": notice.labels.get("rule", notice.kind),
        "original_event_uid": notice.alert,
    }


def _finding_info(notice: Notice) -> dict[str, Any]:
    kind, name = STATISTICAL if is_statistical(notice) else RULE
    rule = notice.labels.get("rule", notice.labels.get("series", notice.kind))
    uid = notice.labels.get("rule_id")
    analytic = {"type_id": kind, "type": name, "name": rule, **({"uid": uid} if uid else {})}
    attacks = _attacks(notice.tags)
    return {
        "uid": notice.key,
        "title": notice.title,
        "desc": notice.why,
        "types": [notice.kind],
        "analytic": analytic,
        "created_time": notice.opened_ms,
        "modified_time": notice.at_ms,
        "first_seen_time": notice.started_ms,
        "last_seen_time": notice.at_ms,
        **({"attacks": attacks} if attacks else {}),
        **({"src_url": notice.url} if notice.url else {}),
    }


def _attacks(tags: list[str]) -> list[dict[str, Any]]:
    attack = read_attack(tags)
    tactics = [{"tactic": {"uid": uid, "name": name}} for uid, name in attack.tactics]
    techniques: list[dict[str, Any]] = [{"technique": {"uid": uid}} for uid in attack.techniques]
    parts = [{"technique": {"uid": uid.partition(".")[0]}, "sub_technique": {"uid": uid}} for uid in attack.parts]
    return techniques + parts + tactics


def _evidence(notice: Notice) -> dict[str, Any]:
    """Numbers, and the ids of the events behind them."""
    data = {**notice.labels, **notice.figures, "events": notice.evidence}
    actor, ip, device = notice.labels.get("actor"), source_ip(notice.labels), notice.labels.get("device")
    source = {**({"ip": str(ip)} if ip else {}), **({"name": device} if device else {})}
    return {
        "data": data,
        **({"actor": {"user": {"name": actor}}} if actor else {}),
        **({"src_endpoint": source} if source else {}),
    }


def _observables(notice: Notice) -> list[dict[str, Any]]:
    labels, ip = notice.labels, source_ip(notice.labels)
    found = [("evidences.actor.user.name", USER_NAME, labels.get("actor"))]
    found += [("evidences.src_endpoint.ip", ADDRESS, str(ip))] if ip else []
    found += [(f"evidences.data.{name}", RESOURCE, labels.get(name)) for name in ("store", "dim", "ticket")]
    return [{"name": name, "type_id": id, "type": type, "value": value} for name, (id, type), value in found if value]
