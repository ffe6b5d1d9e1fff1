"""Who opens data of a customer says what for, and it is noted; what cannot be noted is not done."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from board.access.notes import Notes
from board.access.person import Person
from board.app import API
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
    assert (entry.actor, entry.action, entry.object, entry.purpose, entry.rows, entry.device) == (
        "marketing-1", "view", "profile c123", "a complaint of 4 May", 1, "board",
    )  # fmt: skip


def test_what_a_program_reads_often_is_noted_once_a_second_with_how_many(board_settings: conf.Settings) -> None:
    notes = Notes(board_settings)
    for _ in range(100):
        notes.note_often(READER, "features", 20, "daily sync", "10.0.0.1")
    until(lambda: sum(entry.rows for entry in noted(board_settings)) == 2_000)
    assert len(noted(board_settings)) < 10
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
