"""What a rule can ask of an audit event: flat fields by name.

A field that the event leaves out is empty text (or an empty list); `null` and `exists` see it so.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from alerts.security.networks import Networks
from features.events import Audit, AuditAccess, AuditTold
from features.times import hour_of, local_ms, weekday_of

Fields: TypeAlias = dict[str, Any]

EXPORT = "export"  # the action of an audit_export event
WHAT = ("type", "action", "actor", "role", "purpose", "object", "client_ip", "device", "result", "store")
TEXTS = (*WHAT, "region", "account", "key", "query", "campaign", "coupon", "by", "network", "place")
NUMBERS = ("rows", "hour", "weekday", "without_consent")
LISTS = ("fields", "marks")
NAMES = (*TEXTS, *NUMBERS, *LISTS)
NOWHERE = Networks()


def flat_fields(event: Audit, networks: Networks = NOWHERE) -> Fields:
    """One value for each of NAMES; `hour`, 0 to 23, and `weekday`, from 1 on Monday, are in the event's time zone."""
    local, address = local_ms(event.at_ms, event.tz), networks.find(event.client_ip)
    return {
        "type": event.__struct_config__.tag,
        "action": event.action if isinstance(event, AuditAccess | AuditTold) else EXPORT,
        "actor": event.actor,
        "role": event.role,
        "purpose": event.purpose,
        "object": event.object,
        "client_ip": event.client_ip,
        "device": event.device,
        "result": event.result,
        "store": event.store,
        "region": event.region,
        "account": event.account,
        "key": event.key,
        "query": event.query,
        "campaign": event.campaign,
        "coupon": event.coupon,
        "by": event.by if isinstance(event, AuditTold) else "",
        "network": address.network,
        "place": address.place,
        "rows": event.rows,
        "hour": hour_of(local),
        "weekday": weekday_of(local),
        "without_consent": event.without_consent,
        "fields": event.fields,
        "marks": event.marks,
    }
