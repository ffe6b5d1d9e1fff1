"""How flows note in Brewline's own audit trail what they have done by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog
from msgspec.structs import replace

from features.audited import AuditAccess
from flows.house import House
from operators.kafka import Unreachable
from operators.trail import Trail

log = structlog.get_logger()
LONGEST = 128  # signs of an entry's object


def note(house: House, action: str, said: Iterable[tuple[str, int]]) -> None:
    """An entry for each: what, and of how many things it is. Raises RedisError."""
    settings = house.settings
    trail = Trail(house.redis, settings.redis.prefix, settings.kafka.librdkafka(), house.topic("audit.events"))
    blank = AuditAccess(id="", time=round(time.time() * 1000), actor="brewline", role="flow", action=action)
    for what, count in said:
        trail.append(replace(blank, object=what.encode("utf-8", "replace").decode()[:LONGEST], rows=count))
    try:
        trail.send()
    except Unreachable as error:
        log.warning("the audit trail waits in Redis", error=str(error))
