"""The thresholds' file: what is wrong in it is told with file, line and what to write."""

from __future__ import annotations

import pytest

from alerts.abuse.signals import read_signals
from alerts.triggers.gifts import WrongRule
from features.times import DAY_MS
from tests.abusetown import SHIPPED, SIGNALS

TEXT = SHIPPED.read_text("utf-8")


def test_the_shipped_file_is_read() -> None:
    assert (SIGNALS.device.accounts_over, SIGNALS.hold_ms, SIGNALS.kept_ms) == (3, 7 * DAY_MS, 37 * DAY_MS)


@pytest.mark.parametrize(
    ("found", "written", "said"),
    [
        ("accounts_over = 3", "accounts_ovr = 3", r"abuse.toml:6: device: unknown key 'accounts_ovr'; did you mean"),
        ("accounts_over = 3", "accounts_over = 0", r"abuse.toml:\d+: device.accounts_over: found 0, expected `int`"),
        ("share = 0.6", "share = 1.6", r"abuse.toml:\d+: loop.share: found 1.6, expected `float` <= 1.0"),
        ('hold = "7d"', 'hold = "a week"', r"abuse.toml:3: hold: found 'a week', expected `str` matching"),
        ('hold = "7d"', 'holt = "7d"', r"abuse.toml:3: unknown key 'holt'; did you mean 'hold'\?"),
        ("friends = 2", "", r"abuse.toml:\d+: ring: `friends` is missing"),
        ("devices = []", 'devices = ["tablet-7"]', r"allow.devices: found 'tablet-7', expected a pseudonym"),
        ("[ring]", "[ring", r"abuse.toml: not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(found: str, written: str, said: str) -> None:
    assert found in TEXT
    with pytest.raises(WrongRule, match=said):
        read_signals(TEXT.replace(found, written, 1), "abuse.toml")
