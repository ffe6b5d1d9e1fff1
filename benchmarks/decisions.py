"""Messages of the topic `decisions`, read as anybody may read them."""

from __future__ import annotations

from typing import Any

import msgspec

from features.outgoing import CloudEvent, Receipt
from features.refusals import REFUSALS, Refusals, rows_of

NOTHING_MORE = {"coupons_in_cap_window": 0, "ran_out": "", "cooldown_until_ms": 0}
_event = msgspec.json.Decoder(CloudEvent).decode


def decisions_in(message: bytes) -> list[dict[str, Any]]:
    """The receipts in a message, alike whether each was told by itself or with others."""
    event = _event(message)
    if event.type != REFUSALS:
        receipts = [msgspec.convert(event.data, Receipt)]
    else:
        receipts = _apart(msgspec.convert(event.data, Refusals))
    told: list[dict[str, Any]] = msgspec.to_builtins(receipts)
    return told


def _apart(told: Refusals) -> list[Receipt]:
    many = len(told.decision)
    columns = {n: v for n in told.__struct_fields__ if isinstance(v := getattr(told, n), list)}
    columns |= {"values": rows_of(told.values, many), "terms": rows_of(told.terms, many)}
    same = {n: getattr(told, n) for n in told.__struct_fields__ if n not in columns} | NOTHING_MORE
    return [Receipt(**same, **dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
