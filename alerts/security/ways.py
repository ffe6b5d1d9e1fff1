"""Where the security jobs send what they say."""

from __future__ import annotations

from msgspec import Struct


class Ways(Struct, frozen=True):
    """Where things go: topics, and keys that reach each of a topic's partitions."""

    alerts: str = "alerts"
    dead_letters: str = "dead-letters"
    audit: str = "audit.events"
    exposures: str = "exposures"
    matches: str = "audit.matches"
    audit_keys: tuple[str, ...] = ()
    matches_keys: tuple[str, ...] = ()
