"""Whatever bytes come, they end as an event or as one named reason, and no reason tells what was in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import events as ev
from features.check import Limits, check
from features.messages import Refused
from features.times import rfc3339

NOW_MS = 1_777_860_000_000
LIMITS = Limits(max_event_bytes=2_000, earliest_ms=NOW_MS - 86_400_000, max_future_ms=60_000)
EXPORT: dict[str, Any] = {"type": "audit_export", "id": "e1", "actor": "ann", "time": NOW_MS, "rows": 3}
REASONS = {
    "too_large",
    "malformed",
    "unknown_type",
    "wrong_type",
    "out_of_range",
    "missing_id",
    "missing_time",
    "absurd_time",
}


def read(raw: bytes | dict[str, Any]) -> tuple[ev.Event, int]:
    text = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return check(text, ev.decode_audit, ev.AUDIT_EVENTS, LIMITS, NOW_MS)


def refusal(raw: bytes | dict[str, Any]) -> Refused:
    with pytest.raises(Refused) as refused:
        read(raw)
    return refused.value


def fate(raw: bytes | dict[str, Any]) -> ev.Event | Refused:
    try:
        return read(raw)[0]
    except Refused as refused:
        return refused


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in EXPORT.items() if name != key}


def test_a_good_event_comes_with_its_time() -> None:
    event, unknown = read({**EXPORT, "time": rfc3339(NOW_MS)})
    assert isinstance(event, ev.AuditExport)
    assert (event.at_ms, unknown) == (NOW_MS, 0)


def test_unknown_fields_are_tolerated_and_counted() -> None:
    _, unknown = read({**EXPORT, "till": 4, "weather": {"rows": 1}})
    assert unknown == 2


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({**EXPORT, "purpose": "x" * 2_000}, "too_large"),
        (b"", "malformed"),
        (b'{"type": "audit_export", ', "malformed"),
        (json.dumps(EXPORT).encode() + b"}", "malformed"),
        (b'{"type": "audit_export", "id": "e1", "actor": "\xff", "time": 1}', "malformed"),
        (b'{"type": "audit_export", "id": "e1", "actor": "a", "time": 1, "note": "\xff"}', "malformed"),
        (b'{"x":' + b"[" * 1_900, "malformed"),
        (b"[1]", "wrong_type"),
        (b"null", "wrong_type"),
        ({**EXPORT, "type": "horoscope"}, "unknown_type"),
        ({**EXPORT, "type": 7}, "unknown_type"),
        (without("type"), "unknown_type"),
        ({**EXPORT, "rows": "3"}, "wrong_type"),
        ({**EXPORT, "rows": None}, "wrong_type"),
        ({**EXPORT, "fields": [1]}, "wrong_type"),
        ({**EXPORT, "time": 1.5}, "wrong_type"),
        ({**EXPORT, "time": "yesterday"}, "wrong_type"),
        ({**EXPORT, "time": "2026-13-40T00:00:00Z"}, "wrong_type"),
        ({**EXPORT, "time": "2026-05-04T10:00:00"}, "wrong_type"),
        ({"type": "audit_access", **{k: EXPORT[k] for k in ("id", "actor", "time")}}, "wrong_type"),
        ({**EXPORT, "rows": -1}, "out_of_range"),
        ({**EXPORT, "rows": 10**13}, "out_of_range"),
        ({**EXPORT, "id": ""}, "out_of_range"),
        ({**EXPORT, "role": "x" * 129}, "out_of_range"),
        (b'{"type": "audit_export", "id": "e1", "actor": "a", "rows": 1e400}', "out_of_range"),
        (without("id"), "missing_id"),
        (without("actor"), "missing_id"),
        (without("time"), "missing_time"),
        ({**EXPORT, "time": 0}, "missing_time"),
        ({**EXPORT, "time": ""}, "missing_time"),
        ({**EXPORT, "time": LIMITS.earliest_ms - 1}, "absurd_time"),
        ({**EXPORT, "time": NOW_MS + 60_001}, "absurd_time"),
        ({**EXPORT, "time": -(10**30)}, "absurd_time"),
    ],
)
def test_each_fault_has_its_reason(raw: bytes | dict[str, Any], reason: str) -> None:
    assert refusal(raw).reason == reason


def test_a_pattern_is_a_range_too() -> None:
    order = {"type": "order", "id": "o", "time": NOW_MS, "lines": [{"sku": "a"}], "total_cents": 1, "currency": "yuan"}
    with pytest.raises(Refused) as refused:
        check(json.dumps(order).encode(), ev.decode_event, ev.CUSTOMER_EVENTS, LIMITS, NOW_MS)
    assert (refused.value.reason, "$.currency" in refused.value.detail) == ("out_of_range", True)


def test_the_bounds_themselves_are_allowed() -> None:
    for at_ms in (LIMITS.earliest_ms, NOW_MS + LIMITS.max_future_ms):
        assert read({**EXPORT, "time": at_ms})[0].at_ms == at_ms


def test_the_detail_names_where_and_what_was_expected() -> None:
    assert refusal({**EXPORT, "fields": ["a", 1]}).detail == "Expected `str`, got `int` - at `$.fields[1]`"


@pytest.mark.parametrize("type", ["+8613800138000", "horoscope of Li Wei\n", 8613800138000, None])
def test_an_unknown_type_is_not_quoted_and_the_known_ones_are_named(type: Any) -> None:
    assert refusal({**EXPORT, "type": type}).detail == "`type` is none of audit_access, audit_export, tick, audit_told"


SECRET = "+8613800138000"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([SECRET, "", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["phone", SECRET]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*EXPORT, "action", "fields", "who", "store", "at_ms"]), json_values))
def test_no_detail_quotes_a_value(changed: dict[str, Any]) -> None:
    found = fate({**EXPORT, **changed})
    if isinstance(found, Refused):
        assert found.reason in REASONS
        assert SECRET not in found.detail
    else:
        assert LIMITS.earliest_ms <= found.at_ms <= NOW_MS + LIMITS.max_future_ms


@given(st.binary(max_size=300))
def test_any_bytes_end_as_a_reason(raw: bytes) -> None:
    assert refusal(raw).reason in REASONS


@given(st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\n?", fullmatch=True))
def test_no_text_that_looks_like_a_time_breaks_the_check(time: str) -> None:
    found = fate({**EXPORT, "time": time})
    assert not isinstance(found, Refused) or found.reason in ("wrong_type", "absurd_time")
