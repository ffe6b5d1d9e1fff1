"""What is told to another: rules count per actor, and what two actors did lies in two partitions.

Whose account is changed is told so, under the account's name. A device is told who has used it, at most once a day and
actor, under `device:` and its name. Who is let in within BARRED_MS after their account was disabled is told that, at
most once a day; whichever of the two is read first.
"""

from __future__ import annotations

from msgspec.structs import replace

from alerts.security.habits import Habit, met_on
from features.events import Audit, AuditAccess, AuditTold, encode
from features.job import Message
from features.messages import digest
from features.times import DAY_MS, local_day

RECEIVED = {  # what somebody did: what the account is told
    "permission_change": "permission_received",
    "account_disable": "account_disabled",
    "account_enable": "account_enabled",
}
USED = "device_used"
BARS = ("account_disabled", "account_enabled")
BARRED = "disabled_account_used"
BARRED_MS = 7 * DAY_MS


def told_of(event: Audit, habit: Habit) -> list[AuditTold]:
    """What an event tells to others; `habit` is its actor's, as it was before."""
    found = []
    if isinstance(event, AuditAccess) and event.account and event.result == "ok" and event.action in RECEIVED:
        found.append(_told(event, event.account, RECEIVED[event.action]))
    if event.device and met_on(habit, "device", event.device) < local_day(event.at_ms, event.tz):
        found.append(_told(event, f"device:{event.device}"[:128], USED))
    if event.result == "ok":
        if barred(habit, event.at_ms) and habit.told.get(BARRED, 0) < (day := local_day(event.at_ms, event.tz)):
            habit.told[BARRED] = day
            found.append(_told(event, event.actor, BARRED, event.id))
        habit.let_in_ms = max(habit.let_in_ms, event.at_ms)
    return found


def bar(habit: Habit, told: AuditTold) -> list[AuditTold]:
    """Notes that the account was disabled or enabled; what that tells, if it was used since."""
    habit.last_ms = max(habit.last_ms, told.at_ms)
    if told.at_ms >= abs(habit.barred_ms):
        habit.barred_ms = told.at_ms if told.action == "account_disabled" else -told.at_ms
    used_ms = habit.let_in_ms
    if told.at_ms != habit.barred_ms or not barred(habit, used_ms):
        return []
    return [replace(_told(told, told.actor, BARRED, told.id), time=used_ms, at_ms=used_ms)]


def barred(habit: Habit, at_ms: int) -> bool:
    """Whether the account should not be used at this time."""
    return 0 < habit.barred_ms < at_ms < habit.barred_ms + BARRED_MS


def message(topic: str, told: AuditTold) -> Message:
    return Message(topic, told.actor, encode(told))


def _told(event: Audit, to: str, action: str, object: str = "") -> AuditTold:
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
        object=object,
    )
