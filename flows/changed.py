"""What a flow notes in Brewline's own audit trail when rules have changed: it knows that, and not who has done it."""

from __future__ import annotations

import time

import structlog
from msgspec.structs import replace

from features.audited import AuditAccess
from flows.house import House
from operators.kafka import Unreachable
from operators.trail import Trail

log = structlog.get_logger()
LONGEST = 128  # signs of an entry's object


def note_change(house: House, what: str, count: int) -> None:
    """So many rules that were never seen before are in force now; of none nothing is noted."""
    if count:
        note_changes(house, [(what, count)])


def note_changes(house: House, changes: list[tuple[str, int]]) -> None:
    """Each with how many it is about."""
    if not changes:
        return
    settings = house.settings
    trail = Trail(house.redis, settings.redis.prefix, settings.kafka.librdkafka(), house.topic("audit.events"))
    blank = AuditAccess(id="", time=round(time.time() * 1000), actor="brewline", role="flow", action="rule_change")
    for what, count in changes:
        trail.append(replace(blank, object=what.encode("utf-8", "replace").decode()[:LONGEST], rows=count))
    try:
        trail.send()
    except Unreachable as error:
        log.warning("the audit trail waits in Redis", error=str(error))
