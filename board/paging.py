"""Long lists, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from msgspec import Meta

from board.problems import Problem

Limit = Annotated[int, Meta(ge=1, le=500)]
Item = TypeVar("Item")


def page(items: Sequence[Item], limit: int, after: str, key: Callable[[Item], str]) -> tuple[list[Item], str]:
    """So many behind the one of this key, and the key to go on behind; "" at the end. Raises Problem."""
    start = 0
    if after:
        start = next((i + 1 for i, item in enumerate(items) if key(item) == after), 0)
        if not start:
            raise Problem(400, "what the last page ended with is no longer there: begin again without `after`")
    shown = list(items[start : start + limit])
    return shown, key(shown[-1]) if start + limit < len(items) else ""
