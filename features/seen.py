"""Which events were applied before: sets of short hashes of event ids, one set per hour of event time.

An event that comes again has the same id and the same time; one id at times of two hours is two
events. A set can be dropped whole once its hour is past retention. 8 bytes an id: among 10 million events
of one hour in one partition, two share a hash with a chance of about 3 in a million.
"""

from __future__ import annotations

from hashlib import blake2b

from features.times import HOUR_MS

ID_BYTES = 8
_PREFIX = "seen|"


def set_name(at_ms: int) -> str:
    """`seen|<hour>`: the set that an event of this time belongs to."""
    return f"{_PREFIX}{at_ms // HOUR_MS}"


def is_set(name: str) -> bool:
    return name.startswith(_PREFIX)


def id_hash(id: str) -> bytes:
    """`ID_BYTES` bytes."""
    return blake2b(id.encode(), digest_size=ID_BYTES).digest()


def expires_ms(at_ms: int, retention_hours: int) -> int:
    """When the set of this time is dropped: `retention_hours` after the end of its hour."""
    return (at_ms // HOUR_MS + 1 + retention_hours) * HOUR_MS
