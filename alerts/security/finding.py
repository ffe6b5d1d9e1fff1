"""A finding: what was seen, by which rule, on which evidence; and its message.

It names staff, never customers: neither what was touched nor free text nor a key enters it. What is grouped by these is
told apart by a hash. An object is a hash before it is counted.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec import Struct

from features.job import Message
from features.messages import cloudevent

EVIDENCE = 20  # event ids that a finding lists at most
TYPE = "alert.security"
HASHED = frozenset({"purpose", "key", "query"})


class Rule(Struct, frozen=True):
    """Who speaks: the head of a Sigma rule, or of the baseline. `tags` such as attack.t1048."""

    name: str
    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    file: str = ""


class Finding(Struct, frozen=True):
    """The event `event_id` decided it ("" where many were added up); `started_ms` is the time of the first."""

    rule: Rule
    actor: str
    store: str
    group: dict[str, str]
    observed: float
    threshold: float
    why: str
    evidence: list[str]
    started_ms: int
    event_id: str
    event_at_ms: int
    trigger_stamp_ms: int  # Kafka timestamp of the deciding event
    client_ip: str = ""  # that it came from, as is `device`
    device: str = ""
    case: str = ""
    score: float = 0.0  # the actor's risk, this finding counted

    @property
    def id(self) -> str:
        """The same whenever the same event decides the same for the same group: an idempotency key."""
        decided = self.event_id or f"{self.event_at_ms}"
        parts = (self.rule.id, *(part for pair in self.group.items() for part in pair), decided)
        return digest(parts, 16).hex()

    def message(self, topic: str) -> Message:
        """A CloudEvent keyed by actor."""
        data: dict[str, Any] = {
            "rule": self.rule.name,
            "rule_id": self.rule.id,
            "title": self.rule.title,
            "level": self.rule.level,
            "tags": self.rule.tags,
            "actor": self.actor,
            "store": self.store,
            "client_ip": self.client_ip,
            "device": self.device,
            "group": {name: text and hidden(name, text) for name, text in self.group.items()},
            "observed": self.observed,
            "threshold": self.threshold,
            "why": self.why,
            "evidence": self.evidence,
            "started_ms": self.started_ms,
            "event_at_ms": self.event_at_ms,
            "trigger_stamp_ms": self.trigger_stamp_ms,
            "case": self.case,
            "score": self.score,
        }
        return cloudevent(topic, self.actor, self.id, TYPE, "security", self.event_at_ms, self.actor, data)


def digest(parts: tuple[str, ...], size: int) -> bytes:
    """A hash of several texts; where one ends and the next begins matters."""
    return blake2b("".join(f"{len(part)}:{part}" for part in parts).encode(), digest_size=size).digest()


def hidden(name: str, text: str) -> str:
    """A value of a group as it may be told: the same hash wherever a field that is free text has the same."""
    return hashed(name, text) if name in HASHED else text


def hashed(name: str, text: str) -> str:
    return digest((name, text), 6).hex()
