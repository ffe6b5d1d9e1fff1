"""Codes of coupons: signed, so that a till refuses a forged or an expired one without asking anybody.

A code is 100 bits in 20 symbols of Crockford's Base32, in groups of four: serial (40), last day (14), tag (46). The
serial is a hash of the decision's id; the tag is the start of an HMAC-SHA256 over the other two, under the code key.
Nothing in it is chance: after a replay, a decision gives the same code. The serial does not hang on the key, so that a
coupon stays the same one when the key has changed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import blake2b, sha256

from msgspec import Struct

from features.times import DAY_MS

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
VALUES = {symbol: value for value, symbol in enumerate(SYMBOLS)} | {"O": 0, "I": 1, "L": 1}
LENGTH, GROUP = 20, 4
SERIAL_BYTES, DAY_BITS, TAG_BITS = 5, 14, 46
FIRST_DAY = 19_723  # 2024-01-01; the last that fits is in 2068
MOST_DAYS = 2**DAY_BITS - 1


class Signed(Struct, frozen=True):
    """What a genuine code says."""

    serial: int
    last_day: int  # UTC day on which the coupon runs out, since 1970

    def over(self, at_ms: int) -> bool:
        """Whether its last day has passed; on that day, only the customer's record knows."""
        return at_ms >= (self.last_day + 1) * DAY_MS


class Forged(ValueError):
    """It looks like one of our codes and is none."""


def serial_of(decision: str) -> int:
    return int.from_bytes(blake2b(decision.encode(), digest_size=SERIAL_BYTES).digest(), "big")


def symbols_of(text: str) -> str:
    """The 20 letters and digits of what may be a code, without hyphens and spaces; empty where it cannot be one."""
    plain = "".join(text.replace("-", "").split()).upper()
    return plain if len(plain) == LENGTH and plain.isascii() and plain.isalnum() else ""


class Codes:
    """Writes codes under a key; reads those under former ones, too."""

    def __init__(self, key: bytes, former: Iterable[bytes] = ()) -> None:
        self.keys = [key, *former]

    def code(self, decision: str, expires_ms: int) -> str:
        day = min(max(expires_ms // DAY_MS - FIRST_DAY, 0), MOST_DAYS)
        said = serial_of(decision) << DAY_BITS | day
        number = said << TAG_BITS | _tag(self.keys[0], said)
        symbols = "".join(SYMBOLS[number >> 5 * place & 31] for place in reversed(range(LENGTH)))
        return "-".join(symbols[at : at + GROUP] for at in range(0, LENGTH, GROUP))

    def read(self, text: str) -> Signed | None:
        """None for what does not look like a code, such as another system's coupon. Raises Forged."""
        symbols = symbols_of(text)
        if not symbols:
            return None
        number = 0
        for symbol in symbols:
            if symbol not in VALUES:
                raise Forged("no code has such a symbol")
            number = number << 5 | VALUES[symbol]
        said, tag = number >> TAG_BITS, number & (1 << TAG_BITS) - 1
        if not any(hmac.compare_digest(_bytes(tag), _bytes(_tag(key, said))) for key in self.keys):
            raise Forged("no key of ours has signed it")
        return Signed(said >> DAY_BITS, (said & MOST_DAYS) + FIRST_DAY)


def _tag(key: bytes, said: int) -> int:
    digest = hmac.digest(key, b"coupon code|" + _bytes(said), sha256)
    return int.from_bytes(digest, "big") >> 256 - TAG_BITS


def _bytes(number: int) -> bytes:
    return number.to_bytes(8, "big")
