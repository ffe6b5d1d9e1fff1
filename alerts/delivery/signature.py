"""Standard Webhooks: how a request proves whom it comes from (standardwebhooks.com, specification 1.0.0)."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
EXPECTED = f"expected {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in base64; of two, the new one stands first"


def read_secrets(text: str) -> tuple[bytes, ...]:
    """One secret, or two while one replaces the other, with blanks between. A ValueError quotes nothing of them."""
    words = text.split()
    if len(words) not in (1, 2):
        raise ValueError(f"found {len(words)} secrets, {EXPECTED}")
    return tuple(_read_secret(word) for word in words)


def _read_secret(word: str) -> bytes:
    if not word.startswith(PREFIX):
        raise ValueError(f"a secret does not start with {PREFIX}: {EXPECTED}")
    try:
        secret = b64decode(word.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a secret is no base64: {EXPECTED}") from None
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise ValueError(f"a secret has {len(secret)} bytes, {EXPECTED}")
    return secret


def sign(secrets: Sequence[bytes], id: str, at_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret, with blanks between."""
    signed = f"{id}.{at_s}.".encode() + body
    return " ".join(f"v1,{b64encode(hmac.digest(secret, signed, 'sha256')).decode()}" for secret in secrets)


def headers(secrets: Sequence[bytes], id: str, at_s: int, body: bytes) -> dict[str, str]:
    """All headers of a request but those that HTTP itself needs."""
    return {
        "content-type": "application/cloudevents+json; charset=UTF-8",
        "user-agent": "brewline",
        "idempotency-key": id,
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": sign(secrets, id, at_s, body),
    }
