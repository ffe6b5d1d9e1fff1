"""Dead letters on the board: searched, shown masked, opened by who mends them, sent again."""

from __future__ import annotations

import pytest

from brewline.letters import latest_letters, masked
from config.settings import Settings
from tests.board.conftest import SignedIn
from tests.brewline.test_letters import id_of, letters  # noqa: F401

pytestmark = pytest.mark.servers
PURPOSE = {"x-purpose": "to mend what was wrong"}


@pytest.fixture
def board_settings(letters: Settings) -> Settings:  # noqa: F811
    return letters


def test_they_are_searched_by_reason_topic_time_and_text(board_settings: Settings, signed_in: SignedIn) -> None:
    client = signed_in("engineer")

    def offsets(query: str) -> list[int]:
        found = client.get(f"/api/v1/dead-letters?{query}").json()["items"]
        return [int(row["id"].rpartition("/")[2]) for row in found]

    assert offsets("") == [4, 3, 2, 1], "the latest first, each once"
    assert offsets("reason=malformed") == [2, 1]
    assert offsets("topic=pos.events&from_ms=2000&to_ms=4000") == [3, 2]
    assert offsets("q=DETAIL%20of%203") == [3]
    assert offsets("q=138001") == [], "what a record holds is not searched"
    assert offsets("reason=nothing") == []
    told = client.get("/api/v1/dead-letters?limit=3").json()
    assert {(group["reason"], group["letters"]) for group in told["groups"]} == {
        ("malformed", 2), ("too_large", 1), ("unknown_field", 1),
    }  # fmt: skip
    assert [row["id"] for row in client.get(f"/api/v1/dead-letters?after={told['next']}").json()["items"]] == [
        id_of(board_settings, 1)
    ]


def test_a_record_is_masked_until_an_engineer_opens_it(board_settings: Settings, signed_in: SignedIn) -> None:
    place = f"/api/v1/dead-letters/{id_of(board_settings, 1)}"
    shown = signed_in("auditor").get(place).json()
    assert (shown["masked"], shown["text"]) == (True, '{"xxxxx": "+0000000000000", "xxx xxxxx')
    assert signed_in("auditor").get(f"{place}/record", headers=PURPOSE).status_code == 403
    opened = signed_in("engineer").get(f"{place}/record", headers=PURPOSE).json()
    assert "+8613800138000" in opened["text"]
    assert signed_in("engineer").get("/api/v1/dead-letters/pos.events/0/99").status_code == 404


def test_what_is_sent_again_comes_back_to_its_partition(board_settings: Settings, signed_in: SignedIn) -> None:
    ids = [id_of(board_settings, offset) for offset in (1, 3)]
    assert signed_in("auditor").post("/api/v1/dead-letters/resend", json={"ids": ids}).status_code == 403
    client = signed_in("engineer")
    assert client.post("/api/v1/dead-letters/resend", json={"ids": []}).status_code == 422
    assert client.post("/api/v1/dead-letters/resend", json={"ids": [*ids, "pos.events/1/77"]}).status_code == 404
    assert client.post("/api/v1/dead-letters/resend", json={"ids": ids}).json() == {"sent": 2, "left_out": 0}


def test_of_many_the_latest_are_read_and_the_others_counted(board_settings: Settings) -> None:
    found, older = latest_letters(board_settings, most=1)
    whole, none = latest_letters(board_settings, most=10_000)
    assert (len(whole), none) == (4, 0)
    assert (len({one.id for one in found}) <= older + len(found), older > 0) == (True, True)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (b'{"type":"order","total":1800,"ok":true}', '{\n  "type": "xxxxx",\n  "total": "0000",\n  "ok": true\n}'),
        (b'{"13800138000": null}', '{\n  "00000000000": null\n}'),
        (b"\xff\xfe anna,138", "\ufffd\ufffd xxxx,000"),
        (b"", ""),
    ],
)
def test_a_masked_record_shows_its_shape_only(value: bytes, shape: str) -> None:
    assert masked(value) == shape
