"""Who opens data of a customer says what for, and it is noted; what cannot be noted is not done."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from board.access.notes import Notes
from board.access.person import Person
from board.app import API
from brewline.trail import about
from config import settings as conf
from features.events import decode_audit
from operators.redis_link import connect_redis
from tests.board.conftest import SignedIn

pytestmark = pytest.mark.servers
READER = Person("crm-sync", frozenset({"marketing"}))


def noted(settings: conf.Settings) -> list[Any]:
    redis = connect_redis(settings.redis.url, 5.0)
    return [decode_audit(raw) for raw in redis.lrange(f"{settings.redis.prefix}:{{trail}}:waiting", 0, -1)]  # type: ignore


def until(true: Any) -> None:
    until_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_without_a_purpose_nothing_of_a_customer_is_opened(signed_in: SignedIn, board_settings: conf.Settings) -> None:
    client = signed_in("marketing")
    answer = client.get(f"{API}/customers/c123")
    assert (answer.status_code, answer.json()["needs"]) == (403, "purpose")
    assert [entry for entry in noted(board_settings) if entry.action == "view"] == []
    client.get(f"{API}/customers/c123", headers={"x-purpose": "a complaint of 4 May"})
    entry = noted(board_settings)[-1]
    assert (entry.actor, entry.action, entry.object, entry.fields, entry.purpose, entry.rows, entry.device) == (
        "marketing-1", "view", "customer c123", ["profile"], "a complaint of 4 May", 1, "",
    )  # fmt: skip


@pytest.mark.parametrize("typed", ["phone:+8613800138000", "13800138000", "+86 138-0013-8000", "oUpF8uMuAJO_M2pxb1Q9"])
@pytest.mark.parametrize("end", ["", "/decisions", "/why"])
def test_an_identifier_that_is_taken_for_a_customer_id_does_not_enter_the_trail(
    signed_in: SignedIn, board_settings: conf.Settings, typed: str, end: str
) -> None:
    client = signed_in("marketing")
    client.get(f"{API}/customers/{typed}{end}", params={"rule": "x"}, headers={"x-purpose": "a complaint"})
    entry = noted(board_settings)[-1]
    assert (entry.action, entry.object) == ("view", "customer")
    assert about(board_settings, typed.removeprefix("phone:")) == "customer"


def test_the_trail_says_which_dead_letter_was_opened(signed_in: SignedIn, board_settings: conf.Settings) -> None:
    client = signed_in("engineer")
    client.get(f"{API}/dead-letters/dead-letters/3/17/record", headers={"x-purpose": "a till that sends nonsense"})
    assert noted(board_settings)[-1].object == "a record that could not be used dead-letters 3 17"


def test_what_a_program_reads_often_is_noted_once_a_second_with_how_many(board_settings: conf.Settings) -> None:
    notes = Notes(board_settings)
    for _ in range(100):
        notes.note_often(READER, "features", 20, "daily sync", "10.0.0.1")
    until(lambda: sum(entry.rows for entry in noted(board_settings)) == 2_000)
    assert len(noted(board_settings)) < 10
    notes.close()


def test_whatever_cannot_be_noted_stops_reading_and_the_thread_goes_on(
    board_settings: conf.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(board_settings)
    notes.note_often(READER, "features", 20, "daily sync", "x" * 200)  # no such address comes from the gate
    until(lambda: notes.failed)
    with pytest.raises(ValueError, match="client_ip"):
        notes.note_often(READER, "features", 20, "daily sync", "")
    assert all(thread.is_alive() for thread in notes.threads)
    notes.close()


def test_who_cannot_be_noted_reads_no_further(board_settings: conf.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes(board_settings)

    def away(entry: Any) -> Any:
        raise ConnectionError("Redis is away")

    with monkeypatch.context() as patched:
        patched.setattr(notes.trail, "append", away)
        notes.note_often(READER, "features", 20, "daily sync", "")
        until(lambda: notes.failed)
        with pytest.raises(ConnectionError):
            notes.note_often(READER, "features", 20, "daily sync", "")
    until(lambda: not notes.failed)
    notes.note_often(READER, "features", 20, "daily sync", "")
    until(lambda: sum(entry.rows for entry in noted(board_settings)) == 40)
    notes.close()
