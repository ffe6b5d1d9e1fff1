"""What is said of a field."""

from __future__ import annotations

from typing import Any, NamedTuple


class Word(NamedTuple):
    """What a field means, and a value as a till or an app might send it."""

    meaning: str
    sample: Any = None
