"""Messages of the topic `decisions`, read as anybody may read them."""

from __future__ import annotations

from typing import Any

import orjson

from features.outgoing import Receipt
from features.refusals import REFUSALS, Refusals, rows_of

FIELDS, DEFAULTS = Receipt.__struct_fields__, Receipt.__struct_defaults__
NOTHING_MORE = {"coupons_in_cap_window": 0, "ran_out": "", "cooldown_until_ms": 0}
NOT_TOLD = dict(zip(FIELDS[-len(DEFAULTS) :], DEFAULTS, strict=True)) | NOTHING_MORE  # of refusals, as it would be
Told = dict[str, Any]


def decisions_in(message: bytes) -> list[Told]:
    """The receipts in a message, alike whether each was told by itself or with others."""
    event = orjson.loads(message)
    return _apart(event["data"]) if event["type"] == REFUSALS else [event["data"]]


def _apart(data: Told) -> list[Told]:
    many = len(data["decision"])
    columns = {name: value for name, value in data.items() if isinstance(value, list)}
    columns |= {"values": rows_of(data["values"], many), "terms": rows_of(data["terms"], many)}
    same = NOT_TOLD | {name: data[name] for name in Refusals.__struct_fields__ if name not in columns}
    rows = (same | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [{name: row[name] for name in FIELDS} for row in rows]
