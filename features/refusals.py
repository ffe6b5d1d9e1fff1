"""Decisions that want of consent makes alone, as they are told: many in one message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

REFUSALS = "brewline.refusals"  # the type of their message
Columns = dict[str, list[Any]]  # by name, one value for each decision


class Refusals(Struct, gc=False):
    """Decisions of one rule that want of consent has made alone, told together: what differs is a list, with one value
    for each of them. Fields mean what they mean in a Receipt, where each that is missing here is 0, empty or null."""

    decision: list[str]
    rule: str
    rule_version: str
    customer: list[str]
    outcome: Literal["no_consent"]
    coupon: str
    face_value_cents: int
    percent: int
    at_most_cents: int
    message: str
    channel: str
    campaign: str
    at_ms: list[int]
    expires_ms: list[int]
    cause: list[str]
    trigger_stamp_ms: list[int]
    values: dict[str, list[float | bool | str | None]]
    terms: dict[str, list[dict[str, float]]]
    cap: int
    clock_ms: list[int]
    holdout: list[bool]
    models: dict[str, int]
    channel_cap: int

    def halves(self) -> Iterator[Refusals]:
        middle = len(self.decision) // 2
        for part in (slice(middle), slice(middle, None)):
            columns = {n: v[part] for n in self.__struct_fields__ if isinstance(v := getattr(self, n), list)}
            values, terms = ({n: v[part] for n, v in of.items()} for of in (self.values, self.terms))
            yield replace(self, **columns, values=values, terms=terms)


def rows_of(columns: Columns, length: int) -> list[dict[str, Any]]:
    """Columns as a dictionary for each of their rows."""
    if not columns:
        return [{} for _ in range(length)]
    if len(columns) == 1:
        [(name, values)] = columns.items()
        return [{name: value} for value in values]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
