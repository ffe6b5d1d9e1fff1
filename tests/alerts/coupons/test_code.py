"""Codes of coupons: the same for a decision, and refused when a single symbol is another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.coupons.code import SYMBOLS, Codes, Forged, serial_of
from features.times import DAY_MS

KEY, OTHER_KEY = b"a key of sixteen characters", b"another key of sixteen"
CODES = Codes(KEY)
decisions = st.text("0123456789abcdef", min_size=24, max_size=24)
ends_ms = st.integers(1_704_067_200_000, 3_100_000_000_000)  # from 2024 to 2068
ALIASES = {"0": "Oo", "1": "IiLl"}


@settings(deadline=None)
@given(decisions, ends_ms)
def test_a_code_tells_serial_and_last_day_and_is_the_same_every_time(decision: str, ends_at_ms: int) -> None:
    code = CODES.code(decision, ends_at_ms)
    signed = CODES.read(code)
    assert signed is not None
    assert (signed.serial, signed.last_day) == (serial_of(decision), ends_at_ms // DAY_MS)
    assert not signed.over(ends_at_ms)
    assert signed.over(ends_at_ms + DAY_MS)
    assert code == Codes(KEY).code(decision, ends_at_ms)
    assert [len(group) for group in code.split("-")] == [4] * 5


@settings(deadline=None)
@given(decisions, ends_ms, st.integers(0, 19), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_a_code_with_another_symbol_anywhere_is_forged(decision: str, ends_at_ms: int, at: int, symbol: str) -> None:
    plain = CODES.code(decision, ends_at_ms).replace("-", "")
    changed = plain[:at] + symbol + plain[at + 1 :]
    if symbol == plain[at] or symbol in ALIASES.get(plain[at], ""):
        assert CODES.read(changed) == CODES.read(plain)
    else:
        with pytest.raises(Forged):
            CODES.read(changed)


@settings(deadline=None)
@given(decisions, ends_ms, st.data())
def test_case_groups_and_symbols_that_look_alike_do_not_matter(
    decision: str, ends_at_ms: int, data: st.DataObject
) -> None:
    code = CODES.code(decision, ends_at_ms)
    typed = "".join(data.draw(st.sampled_from(c + c.lower() + ALIASES.get(c, ""))) for c in code.replace("-", ""))
    for shown in (typed, f" {typed[:4]} {typed[4:]}", code.lower(), code.replace("-", " ")):
        assert CODES.read(shown) == CODES.read(code)


@settings(deadline=None)
@given(decisions, ends_ms)
def test_a_former_key_still_verifies_and_a_strange_one_does_not(decision: str, ends_at_ms: int) -> None:
    code = CODES.code(decision, ends_at_ms)
    with pytest.raises(Forged):
        Codes(OTHER_KEY).read(code)
    renewed = Codes(OTHER_KEY, [KEY])
    assert renewed.read(code) == CODES.read(code)
    assert renewed.read(renewed.code(decision, ends_at_ms)) == CODES.read(code), "the same coupon under another key"


@pytest.mark.parametrize("name", ["", "WB5", "cp-20411", "5f0c83f0a7d14f0c9b6e2d41", "茶" * 20, "----", "A" * 19])
def test_what_is_another_systems_coupon_is_no_code(name: str) -> None:
    assert CODES.read(name) is None


def test_every_symbol_is_used_and_guessing_is_in_vain() -> None:
    codes = [CODES.code(f"{n:024x}", 1_777_000_000_000).replace("-", "") for n in range(2_000)]
    assert len(set(codes)) == len(codes)
    assert {symbol for code in codes for symbol in code[11:]} == set(SYMBOLS)
