"""Findings in words: what each kind of judgement has seen, and against which limit."""

from __future__ import annotations

from msgspec import Struct, msgpack

from alerts.security import baseline
from alerts.security.baseline import Unusual
from alerts.security.fields import Fields
from alerts.security.finding import Finding, Rule
from alerts.sigma.correlating import Correlation
from alerts.sigma.engine import Fired
from alerts.sigma.reading import Detection
from features.events import Audit


class By(Struct, array_like=True):
    """Who did it, where, and from where: what is kept of a group's last event."""

    actor: str
    store: str
    stamp_ms: int
    client_ip: str = ""
    device: str = ""


encode_by = msgpack.Encoder().encode
decode_by = msgpack.Decoder(By).decode


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


def of_window(fired: Fired, by: By) -> Finding:
    rule, window = fired.correlation, fired.window
    return Finding(
        rule=rule.rule,
        actor=by.actor,
        store=by.store,
        group=dict(zip(rule.group_by, fired.values, strict=True)),
        observed=window.observed,
        threshold=rule.threshold,
        why=f"{by.actor} within {rule.timespan}: {measured(fired)}, {bounds(rule)}",
        evidence=window.evidence,
        started_ms=window.started_ms,
        event_id=window.id,
        event_at_ms=window.at_ms,
        trigger_stamp_ms=by.stamp_ms,
        client_ip=by.client_ip,
        device=by.device,
    )


def measured(fired: Fired) -> str:
    rule, observed, events = fired.correlation, short(fired.window.observed), fired.window.events
    return {
        "event_count": f"{observed} events",
        "value_count": f"{observed} different values of {rule.field} in {events} events",
        "value_sum": f"{rule.field} of {events} events add up to {observed}",
        "value_avg": f"{rule.field} of {events} events is {observed} on average",
        "value_percentile": f"{short(rule.percentile)} % of {events} events have {rule.field} up to {observed}",
        "value_median": f"half of {events} events have {rule.field} up to {observed}",
        "temporal": f"{observed} of {len(rule.parts)} rules met by {events} events",
        "temporal_ordered": f"{observed} of {len(rule.parts)} rules met one after the other by {events} events",
    }[rule.kind]


def bounds(rule: Correlation) -> str:
    if rule.expression is not None:
        return "as the rule says"
    if rule.rising:
        return f"the limit is {rule.threshold}"
    return "the limits are " + " and ".join(f"{limit.op} {limit.number}" for limit in rule.limits)


def short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.6g}"


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
        client_ip=event.client_ip,
        device=event.device,
    )
