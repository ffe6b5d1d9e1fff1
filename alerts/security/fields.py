"""What a rule can ask of an audit event: flat fields by name.

A field that the event leaves out is empty text (or an empty list); `null` and `exists` see it so.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from features.events import Audit, AuditAccess
from features.times import local_hour

Fields: TypeAlias = dict[str, Any]

EXPORT = "export"  # the action of an audit_export event
TEXTS = ("type", "action", "actor", "role", "purpose", "object", "client_ip", "device", "result", "store")
NUMBERS = ("rows", "hour")
LISTS = ("fields",)
NAMES = (*TEXTS, *NUMBERS, *LISTS)

# A group's values stand in the finding: `object` may name a customer, so it is none of them.
GROUP_NAMES = tuple(name for name in TEXTS if name != "object")


def flat_fields(event: Audit) -> Fields:
    """One value for each of NAMES; `hour` is the hour of day, 0 to 23, in the event's time zone."""
    return {
        "type": event.__struct_config__.tag,
        "action": event.action if isinstance(event, AuditAccess) else EXPORT,
        "actor": event.actor,
        "role": event.role,
        "purpose": event.purpose,
        "object": event.object,
        "client_ip": event.client_ip,
        "device": event.device,
        "result": event.result,
        "store": event.store,
        "rows": event.rows,
        "hour": local_hour(event.at_ms, event.tz),
        "fields": event.fields,
    }
