"""What is told to another: rules count per actor, and what two actors did lies in two partitions.

Whose account is changed is told so, under the account's name. A device is told who has used it, at most once a day and
actor, under `device:` and its name.
"""

from __future__ import annotations

from alerts.security.habits import Habit, met_on
from features.events import Audit, AuditAccess, AuditTold, encode
from features.job import Message
from features.messages import digest
from features.times import local_day

RECEIVED = {  # what somebody did: what the account is told
    "permission_change": "permission_received",
    "account_disable": "account_disabled",
    "account_enable": "account_enabled",
}
USED = "device_used"


def told_of(event: Audit, habit: Habit) -> list[AuditTold]:
    """What an event tells to others; `habit` is its actor's, as it was before."""
    found = []
    if isinstance(event, AuditAccess) and event.account and event.result == "ok" and event.action in RECEIVED:
        found.append(_told(event, event.account, RECEIVED[event.action]))
    if event.device and met_on(habit, "device", event.device) < local_day(event.at_ms, event.tz):
        found.append(_told(event, f"device:{event.device}"[:128], USED))
    return found


def message(topic: str, told: AuditTold) -> Message:
    return Message(topic, told.actor, encode(told))


def _told(event: Audit, to: str, action: str) -> AuditTold:
    return AuditTold(
        id=digest(f"told|{action}|{to}|{event.actor}|{event.id}"),
        time=event.at_ms,
        actor=to,
        action=action,
        by=event.actor,
        role=event.role,
        store=event.store,
        client_ip=event.client_ip,
        device=event.device,
    )
