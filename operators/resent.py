"""Records that were sent again after they had been dead letters: they bear where they stood at first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from confluent_kafka import Message

HEADER = "resent_from"
OFFSET = re.compile(rb"([0-9]{1,18})(?:/.*)?")


def first_offsets(messages: Iterable[Message]) -> dict[int, int]:
    """By offset. What is no earlier place of the same partition is nothing to go by."""
    found = {}
    for message in messages:
        if headers := message.headers():
            said, offset = dict(headers).get(HEADER) or b"", message.offset() or 0
            partition = f"{message.topic()}/{message.partition()}/".encode()
            match = OFFSET.fullmatch(said.removeprefix(partition)) if said.startswith(partition) else None
            if match and int(match[1]) < offset:
                found[offset] = int(match[1])
    return found
