"""What a flow notes in Brewline's own audit trail when rules have changed: it knows that, and not who has done it."""

from __future__ import annotations

import time

import structlog

from features.audited import AuditAccess
from flows.house import House
from operators.kafka import Unreachable
from operators.trail import Trail

log = structlog.get_logger()


def note_change(house: House, what: str, count: int) -> None:
    """So many rules that were never seen before are in force now; of none nothing is noted."""
    if not count:
        return
    settings = house.settings
    trail = Trail(house.redis, settings.redis.prefix, settings.kafka.librdkafka(), house.topic("audit.events"))
    at_ms = round(time.time() * 1000)
    trail.append(
        AuditAccess(id="", time=at_ms, actor="brewline", role="flow", action="rule_change", object=what, rows=count)
    )
    try:
        trail.send()
    except Unreachable as error:
        log.warning("the audit trail waits in Redis", error=str(error))
