"""Signatures are those of the specification; a secret that is none is refused without being quoted."""

from __future__ import annotations

from base64 import b64encode

import pytest

from alerts.delivery.signature import headers, read_secrets, sign
from tests.receiver import SECRET, verified

OTHER = "whsec_" + b64encode(b"another secret of some length...").decode()


def test_the_example_of_the_specification_has_its_signature() -> None:
    """The one that all reference libraries of Standard Webhooks test themselves with."""
    secret = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("body", [b"", b'{"a": "\xc3\xa9"}', b"\xff\x00"])
def test_a_receiver_verifies_what_was_signed_and_nothing_else(body: bytes) -> None:
    sent = headers(read_secrets(SECRET), "d1", 1_700_000_000, body)
    assert verified(SECRET, sent, body)
    assert not verified(SECRET, sent, body + b" ")
    assert not verified(SECRET, sent | {"webhook-id": "d2"}, body)
    assert not verified(SECRET, sent | {"webhook-timestamp": "1700000001"}, body)
    assert not verified(OTHER, sent, body)


def test_while_one_secret_replaces_the_other_receivers_with_either_can_verify() -> None:
    sent = headers(read_secrets(f"{OTHER}\n{SECRET}\n"), "d1", 1, b"body")
    assert sent["webhook-signature"].count("v1,") == 2
    assert verified(SECRET, sent, b"body")
    assert verified(OTHER, sent, b"body")


def test_the_id_is_also_the_idempotency_key() -> None:
    sent = headers(read_secrets(SECRET), "d1", 1, b"")
    assert sent["webhook-id"] == sent["idempotency-key"] == "d1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found 0 secrets"),
        (f"{SECRET} {SECRET} {OTHER}", "found 3 secrets"),
        ("hunter2hunter2hunter2hunter2hunter2", "does not start with whsec_"),
        ("whsec_hunter2!", "is no base64"),
        ("whsec_aHVudGVyMg==", "has 7 bytes"),
        ("whsec_" + b64encode(b"h" * 65).decode(), "has 65 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_quoted(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        read_secrets(text)
    assert "hunter2" not in str(caught.value)
    assert "aHVudGVyMg" not in str(caught.value)
