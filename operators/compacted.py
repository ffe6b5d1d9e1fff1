"""The latest record of each key of a compacted topic, as it stands now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from operators.topic import bounds_of, read_to_end

GROUP = "brewline-identities"


def latest(client: Mapping[str, Any], topic: str) -> Iterator[dict[str, str | None]]:
    """Key → value, None where the key was taken back, a part at a time; a later part replaces an earlier one."""
    for records in read_to_end(client, topic, GROUP, bounds_of(client, topic, GROUP)):
        yield {(record.key() or b"").decode(): _text(record.value()) for record in records}


def _text(value: bytes | None) -> str | None:
    return value.decode() if value else None
