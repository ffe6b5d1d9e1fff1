"""A tombstone says that somebody was forgotten and not who, and whoever comes back is somebody new."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from features import events as e
from features.check import Limits
from features.clean import Cleaner
from features.forgotten import Forgotten, name_hash, tombstone_hash, tombstone_key
from features.identity import Pseudonyms, Table, first_name, merged_key, next_name
from features.job import Batch
from features.kernel.words import hash_texts
from features.stores import Stores
from features.times import DAY_MS

NOW_MS = 1_800_000_000_000
PHONE, CARD = "+8613800138000", "8801"
SECRET = Pseudonyms(b"a key of sixteen", "CN")
PHONE_HASH, CARD_HASH = SECRET.one("phone", PHONE), SECRET.one("card", CARD)
GONE, GONE_CARD = first_name(PHONE_HASH), first_name(CARD_HASH)
CLEANER = Cleaner(
    Limits(4_000, 0, DAY_MS), SECRET, Stores("Asia/Shanghai"), "events", "dead-letters", "identities", ["p"], sources=1
)


def tombstones(*names: str, at_ms: int = NOW_MS) -> Forgotten:
    return Forgotten({name_hash(name): at_ms for name in names})


def clean(
    links: dict[str, str], forgotten: Forgotten, *events: dict[str, Any], cleaner: Cleaner = CLEANER
) -> tuple[list[e.Event], dict[str, int]]:
    """The clean events of what was sent, and the counts."""
    sent = [json.dumps({"type": "app_open", "id": f"e{i}", **event}).encode() for i, event in enumerate(events)]
    batch = Batch("app.events", 0, -1, [*range(len(sent))], sent, [NOW_MS + DAY_MS] * len(sent))
    messages, _, counts = cleaner.finish(cleaner.check(batch), Table(links), forgotten)
    assert {m.topic for m in messages} <= {"events", "identities"}
    return [e.decode_clean(m.value) for m in messages if m.topic == "events"], counts


def test_those_with_a_tombstone_are_told_from_all_others() -> None:
    names = [f"c{number:032x}" for number in range(2_000)]
    forgotten = tombstones(*names[::7])
    assert forgotten.among(names) == set(names[::7])
    assert forgotten.among(["", "c", "c-ünïcode"]) == set()
    assert Forgotten().among(names) == set()


def test_hashes_are_the_same_whatever_stands_beside_a_name() -> None:
    names = ["", "c1", "c-ünïcode", GONE]
    assert hash_texts(names).tolist() == [name_hash(name) for name in names]


def test_a_tombstone_is_written_as_16_digits_and_read_again() -> None:
    for hash in (0, -1, 2**63 - 1, -(2**63), name_hash(GONE)):
        assert len(tombstone_key(hash)) == 16
        assert tombstone_hash(tombstone_key(hash)) == hash


def test_nothing_of_the_id_stands_in_its_tombstone() -> None:
    key = tombstone_key(name_hash(GONE))
    assert all(GONE[at : at + 6] not in key for at in range(len(GONE) - 5))


def test_the_first_word_on_a_customer_stands() -> None:
    forgotten = tombstones(GONE, at_ms=5)
    forgotten.add({name_hash(GONE): 9, name_hash("c2"): 7})
    assert forgotten.since_ms == {name_hash(GONE): 5, name_hash("c2"): 7}


def test_who_comes_back_is_a_new_customer_wherever_that_is_noticed() -> None:
    who = {"phone": PHONE}
    for known in ({}, {CARD_HASH: "c-other"}):
        events, counts = clean(dict(known), tombstones(GONE), {"time": NOW_MS + 1, "who": who})
        assert [event.customer for event in events] == [next_name(GONE)]
        assert (counts["cleaned"], counts.get("forgotten")) == (1, None)


def test_an_event_from_before_is_dropped_and_counted_however_late_it_comes() -> None:
    known = {PHONE_HASH: next_name(GONE)}  # back already
    late = {"time": NOW_MS, "who": {"phone": PHONE}}
    events, counts = clean(known, tombstones(GONE), late, {"time": NOW_MS + 1, "who": {"phone": PHONE}}, late)
    assert [event.customer for event in events] == [next_name(GONE)]
    assert (counts["read"], counts["cleaned"], counts["forgotten"], counts["dead_lettered"]) == (3, 1, 2, 0)


def test_an_identifier_that_only_led_to_the_forgotten_brings_nothing_back_either() -> None:
    forgotten = tombstones(*Forgotten().names([GONE], [PHONE_HASH, CARD_HASH]))
    events, counts = clean({}, forgotten, {"time": NOW_MS, "who": {"card": CARD}})
    assert (events, counts["forgotten"]) == ([], 1)
    events, _ = clean({}, forgotten, {"time": NOW_MS + 1, "who": {"card": CARD}})
    assert [event.customer for event in events] == [next_name(GONE_CARD)]


def test_who_is_forgotten_twice_and_comes_back_twice_never_gets_an_id_again() -> None:
    first, second, third = GONE, next_name(GONE), next_name(next_name(GONE))
    forgotten = tombstones(first)
    forgotten.add({name_hash(second): NOW_MS + 10})
    who = {"phone": PHONE}
    events, counts = clean({}, forgotten, *({"time": NOW_MS + at_ms, "who": who} for at_ms in (0, 5, 10, 11)))
    assert [(event.customer, event.at_ms) for event in events] == [(third, NOW_MS + 11)]
    assert counts["forgotten"] == 3
    assert len({first, second, third}) == 3


def test_a_late_event_of_two_identifiers_is_that_of_the_one_who_is_not_forgotten() -> None:
    known = {CARD_HASH: "c-living"}
    both = {"phone": PHONE, "card": CARD}
    events, counts = clean(known, tombstones(GONE), {"time": NOW_MS, "who": both})
    assert [event.customer for event in events] == ["c-living"]
    assert known == {CARD_HASH: "c-living"}
    assert "forgotten" not in counts


def test_who_was_forgotten_under_a_former_key_is_forgotten_under_the_new_one() -> None:
    now = Pseudonyms(b"another key of 16", "CN", (SECRET.key,))
    cleaner = replace(CLEANER, pseudonyms=now)
    who = {"phone": PHONE}
    old, new = {"time": NOW_MS, "who": who}, {"time": NOW_MS + 1, "who": who}
    events, counts = clean({}, tombstones(GONE), old, new, old, cleaner=cleaner)
    assert [event.customer for event in events] == [first_name(now.one("phone", PHONE))]
    assert counts["forgotten"] == 2


def test_two_who_came_back_become_one_in_their_new_lives() -> None:
    forgotten, links = tombstones(GONE, GONE_CARD), dict[str, str]()
    phone, card, both = {"phone": PHONE}, {"card": CARD}, {"phone": PHONE, "card": CARD}
    late = {"type": "bind", "time": NOW_MS, "who": both}
    new = [{"time": NOW_MS + 1, "who": who} for who in (phone, card)]
    events, counts = clean(links, forgotten, late, *new, {"type": "bind", "time": NOW_MS + 2, "who": both})
    winner, loser = sorted((next_name(GONE), next_name(GONE_CARD)))
    merge = next(event for event in events if isinstance(event, e.Merge))
    assert (merge.customer, merge.into) == (loser, winner)
    assert links[merged_key(loser)] == winner
    assert counts["forgotten"] == 1


def test_nobody_else_is_touched_and_anonymous_events_pass() -> None:
    events = [{"time": NOW_MS, "who": {"card": f"{i}"}} for i in range(30)] + [{"time": NOW_MS}]
    assert clean({}, tombstones(GONE), *events) == clean({}, Forgotten(), *events)


def test_the_ids_to_forget_are_the_customers_own_and_those_its_identifiers_would_give() -> None:
    assert Forgotten().names([GONE], [PHONE_HASH, CARD_HASH]) == sorted([GONE, GONE_CARD])
    assert Forgotten().names(["c-imported"], [CARD_HASH]) == sorted(["c-imported", GONE_CARD])
    back = tombstones(GONE, GONE_CARD)
    assert back.names([next_name(GONE)], [PHONE_HASH, CARD_HASH]) == sorted([next_name(GONE), next_name(GONE_CARD)])


def test_a_forgetting_that_was_interrupted_names_the_same_ids_again() -> None:
    begun = tombstones(GONE, GONE_CARD)
    assert begun.names([GONE], [PHONE_HASH, CARD_HASH]) == sorted([GONE, GONE_CARD])


def test_of_one_who_was_found_late_and_has_come_back_before_the_ids_of_this_life_are_named() -> None:
    begun = tombstones(GONE)
    begun.add({name_hash(GONE_CARD): NOW_MS - DAY_MS})
    names = begun.names([GONE, "c-late"], [PHONE_HASH, CARD_HASH])
    assert names == sorted([GONE, "c-late", next_name(GONE_CARD)])


@pytest.mark.parametrize("kind", e.CONTROL)
def test_no_sender_may_speak_a_word_of_the_clean_topic(kind: str) -> None:
    sent = json.dumps({"type": kind, "id": "x", "time": NOW_MS, "customer": GONE, "who": {"phone": PHONE}}).encode()
    batch = Batch("app.events", 0, -1, [0], [sent], [NOW_MS])
    checked = CLEANER.check(batch)
    assert [refused.reason for _, refused in checked.refused] == ["unknown_type"]


def test_a_friend_who_was_forgotten_since_is_not_named_by_the_referral() -> None:
    told = {"type": "referral", "friend": f"phone:{PHONE}", "who": {"card": "C 5"}}
    (before,), _ = clean({}, tombstones(GONE), {"time": NOW_MS, **told})
    assert before.friend == "forgotten"
    after, _ = clean({}, tombstones(GONE), {"time": NOW_MS + 1, **told})
    assert [(e.kind_of(event), event.customer) for event in after[1:]] == [("referred", next_name(GONE))]
