"""What ingest makes of a referral: who the friend is, and that the friend is told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from features import events as e
from features.identity import Pseudonyms, Table
from features.job import Batch
from tests.features.test_clean import CLEANER, NOW_MS, WHO, clean, written

FRIENDS = {
    "App-7": {"app_id": "App-7"},
    "card:C 7": {"card": "c 7"},
    "phone:139 0013 8000": {"phone": "+8613900138000"},
}


def referred(friend: str, *before: bytes, **fields: Any) -> tuple[list[Any], Table]:
    """The clean events that came of a referral behind other events, and the table."""
    table = Table()
    messages, _, _ = clean([*before, written("referral", friend=friend, **{**WHO, **fields})], table)
    events = [(m.key, e.decode_clean(m.value)) for m in messages if m.topic == "events"]
    assert all(key == event.customer for key, event in events)
    return [event for _, event in events], table


@pytest.mark.parametrize("friend", FRIENDS)
def test_a_friend_is_told_by_whom_and_is_the_customer_of_the_friends_own_events(friend: str) -> None:
    (own, referral, told), table = referred(friend, written("view", who=FRIENDS[friend]))
    assert referral.friend == told.customer == own.customer != referral.customer == told.by
    assert (told.at_ms, told.tz) == (NOW_MS, "Asia/Shanghai")
    assert len(table.links) == 2


def test_a_friend_whom_nobody_knows_yet_keeps_the_id_that_the_referral_gave() -> None:
    """Be it that the first events of the friend's own name a stronger identifier as well."""
    (referral, _), table = referred("App-7")
    both = written("view", who={"phone": "13900138000", "app_id": "App-7"})
    (message,) = [m for m in clean([both], table)[0] if m.topic == "events"]
    assert message.key == referral.friend


def test_a_friend_has_no_account_yet_and_is_written_to_the_identities_as_others_are() -> None:
    messages, _, _ = clean([written("referral", friend="App-7", **WHO)])
    links = {m.key: m.value.decode() for m in messages if m.topic == "identities"}
    (pseudonym,) = CLEANER.pseudonyms.of(e.Who(app_id="App-7"))
    assert links[pseudonym] == next(m.key for m in messages if b'"referred"' in m.value)


def test_who_names_themselves_as_the_friend_is_told_nothing() -> None:
    (referral,), _ = referred("phone:+86 138-0013-8000")
    assert referral.friend == referral.customer


def test_a_referral_that_is_sent_again_says_the_same_under_the_same_id() -> None:
    first, again = referred("App-7")[0][-1], referred("App-7")[0][-1]
    assert first == again
    assert referred("App-8")[0][-1].customer != first.customer


@pytest.mark.parametrize(
    ("friend", "reason"),
    [("phone:12", "identity"), ("  ", "missing_id"), ("phone:", "missing_id"), ("card: ", "missing_id")],
)
def test_a_friend_who_is_nobody_makes_the_referral_a_dead_letter(friend: str, reason: str) -> None:
    ((letter,), _, counts) = clean([written("referral", friend=friend, **WHO)])
    assert (letter.topic, counts[f"dead_lettered:{reason}"]) == ("dead-letters", 1)
    assert "12" not in letter.headers["detail"]


def test_a_friend_known_under_a_former_key_is_found() -> None:
    before, now = (
        Pseudonyms(b"the former key, longer", "CN"),
        replace(CLEANER.pseudonyms, former=(b"the former key, longer",)),
    )
    cleaner = replace(CLEANER, pseudonyms=now)
    (old,) = before.of(e.Who(app_id="App-7"))
    batch = Batch("app.events", 0, -1, [0], [written("referral", friend="App-7", **WHO)], [NOW_MS])
    messages, _, _ = cleaner.finish(cleaner.check(batch), Table({old: "c-old-friend"}))
    assert "c-old-friend" in {m.key for m in messages if b'"referred"' in m.value}
