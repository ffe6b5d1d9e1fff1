"""Findings in words: what each kind of judgement has seen, and against which limit."""

from __future__ import annotations

from alerts.security import baseline
from alerts.security.baseline import Unusual
from alerts.security.correlation import Correlation, Window
from alerts.security.fields import Fields
from alerts.security.finding import Finding, Rule
from alerts.security.sigma import Detection
from features.events import Audit


def of_detection(detection: Detection, event: Audit, fields: Fields, stamp_ms: int) -> Finding:
    """One event was enough; a rule without one limit has seen 1 event of 1."""
    why = f"{event.actor} did {fields['action']}"
    if not detection.limit:
        return _of_one(detection.rule, event, 1, 1, why, stamp_ms)
    name, threshold = detection.limit
    why += f" with {name} {fields[name]}, the limit is {threshold}"
    return _of_one(detection.rule, event, fields[name], threshold, why, stamp_ms)


def of_past(unusual: Unusual, event: Audit, fields: Fields, stamp_ms: int) -> Finding:
    hour = f" at {fields['hour']:02d} h, an hour new to this actor" if unusual.new_hour else ""
    why = f"{event.actor} exported {event.rows} rows{hour}; usual are at most {unusual.rows_limit}"
    return _of_one(baseline.RULE, event, event.rows, unusual.rows_limit, why, stamp_ms)


def of_window(window: Window, rule: Correlation, event: Audit, fields: Fields, stamp_ms: int) -> Finding:
    measured = {
        "event_count": f"{window.observed} events",
        "value_count": f"{window.observed} different values of {rule.field} in {window.events} events",
        "value_sum": f"{rule.field} of {window.events} events add up to {window.observed}",
    }[rule.kind]
    return Finding(
        rule=rule.rule,
        actor=event.actor,
        store=event.store,
        group=rule.group(fields),
        observed=window.observed,
        threshold=rule.threshold,
        why=f"{event.actor} within {rule.timespan}: {measured}, the limit is {rule.threshold}",
        evidence=window.evidence,
        started_ms=window.started_ms,
        event_id=event.id,
        event_at_ms=event.at_ms,
        trigger_stamp_ms=stamp_ms,
    )


def _of_one(rule: Rule, event: Audit, observed: float, threshold: float, why: str, stamp_ms: int) -> Finding:
    return Finding(
        rule=rule,
        actor=event.actor,
        store=event.store,
        group={"actor": event.actor},
        observed=observed,
        threshold=threshold,
        why=why,
        evidence=[event.id],
        started_ms=event.at_ms,
        event_id=event.id,
        event_at_ms=event.at_ms,
        trigger_stamp_ms=stamp_ms,
    )
