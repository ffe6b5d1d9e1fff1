"""Who pauses a campaign: alerts on redemptions, if its file says so, and people; only people let it go on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.brake import Brakes
from alerts.triggers.braking import (
    AlarmWatch,
    Asked,
    BrakeDesk,
    BrakeTopics,
    Course,
    Pause,
    Resume,
    decode_asked,
    encode_asked,
    turn,
)
from alerts.triggers.merging import Merging
from features import events as e
from features.loop import Store, batches, run
from features.messages import cloudevent
from features.partitions import partition_keys, partition_of
from tests.alerts.triggers.jobs import customers_job
from tests.features.streams import cuts

PARTITIONS = 3
DESK = BrakeDesk(BrakeTopics("events", "brakes", "dead-letters"), partition_keys(PARTITIONS))
WATCH = AlarmWatch("brake.asked", "dead-letters", ["spring", "winter"])
AT_MS = 1_777_900_000_000


def alert(**data: Any) -> bytes:
    usual = {"state": "firing", "dim": "store:s1", "series": "orders", "direction": "high", "incident": "f-1"}
    usual |= {"why": "up to 90", "high": {"orders": ["store:s1"], "redemptions": ["store:s1"]}}
    found = {**usual, "observed": 90, "expected": 3.0, "p": 1e-9, "fingerprint": "f", **data}
    return cloudevent("alerts", "store:s1", "x", "alert.kpi", "kpis", AT_MS, "store:s1", found).value


def asked_of(*alerts: bytes) -> list[Asked]:
    store = run(WATCH, batches("alerts", 0, list(alerts)))[0]
    return [decode_asked(message.value) for message in store.sent if message.topic == "brake.asked"]


def test_too_many_redemptions_ask_that_every_campaign_with_a_brake_be_paused_there() -> None:
    pauses = [Pause(id, "store:s1", "alert", "up to 90", AT_MS, "f-1") for id in ("spring", "winter")]
    assert asked_of(alert()) == pauses


@pytest.mark.parametrize(
    ("data", "places"),
    [
        ({"high": {"redemptions": ["region:east"]}}, ["region:east"]),
        ({"high": {"redemptions": ["chain:*"]}}, [""]),
        ({"high": {"redemptions": ["channel:app"]}}, [""]),
        ({"high": {"redemptions": ["campaign:another"]}}, []),
        ({"high": {"redemption_share": ["store:s1"]}, "direction": "low"}, ["store:s1"]),
        ({"high": {"redemptions": ["store:s1", "store:s2"], "redemption_share": ["store:s2"]}, "dim": "chain:*"},
         ["store:s1", "store:s2"]),
        ({"high": {"orders": ["store:s1"]}, "kpis": ["orders", "redemptions"]}, []),
        ({"high": {}, "series": "redemptions", "direction": "low"}, []),
        ({"state": "resolved"}, []),
    ],
)  # fmt: skip
def test_an_alert_asks_for_the_places_where_redemptions_are_too_many(data: dict[str, Any], places: list[str]) -> None:
    assert [(pause.campaign, pause.place) for pause in asked_of(alert(**data))] == [
        (campaign, place) for place in places for campaign in ("spring", "winter")
    ]


def test_what_others_say_in_alerts_is_passed_over_and_an_alert_that_cannot_be_read_is_a_dead_letter() -> None:
    other = cloudevent("alerts", "m", "x", "alert.model", "learning", AT_MS, "m", {"state": "firing"}).value
    broken = alert(incident=7)
    store = run(WATCH, batches("alerts", 0, [other, broken, b"{", alert()]))[0]
    assert [message.topic for message in store.sent] == ["dead-letters", "brake.asked", "brake.asked"]
    assert store.sent[0].value == broken
    assert store.position.counts["dead_lettered:malformed"] == 1


def lived(words: list[Asked | bytes], cuts: list[int] | None = None, first: int = 0) -> Store:
    """`first`: offset of the first of them, for Kafka keeps none for ever."""
    raw = [word if isinstance(word, bytes) else encode_asked(word) for word in words]
    return run(DESK, batches("brake.asked", 0, raw, cuts or [], first))[0]


def test_a_store_with_the_longest_name_is_paused() -> None:
    store = lived([Pause("spring", f"store:{'s' * 128}", "alert", "why", AT_MS)])
    assert store.position.counts == {"brakes_paused": 1}


def turns(store: Store) -> list[tuple[int, str, str]]:
    told = [orjson.loads(message.value) for message in store.sent if message.topic == "brakes"]
    return [(one["data"]["revision"], one["data"]["state"], one["data"]["by"]) for one in told]


def pause(incident: str = "", by: str = "alert") -> Pause:
    return Pause("spring", "store:s1", by, "why", AT_MS, incident)


def resume(by: str = "anna") -> Resume:
    return Resume("spring", "store:s1", by, "mended", AT_MS)


def test_a_pause_reaches_every_partition_of_the_clean_topic_and_has_a_receipt() -> None:
    store = lived([pause("f-1")])
    words = [message for message in store.sent if message.topic == "events"]
    assert sorted(partition_of(word.key, PARTITIONS) for word in words) == [*range(PARTITIONS)]
    assert len({word.value for word in words}) == 1
    word = e.decode_control(words[0].value)
    assert isinstance(word, e.Brake)
    told = ("spring", "store:s1", True, "alert", "f-1")
    assert (word.campaign, word.place, word.paused, word.by, word.incident) == told
    assert turns(store) == [(1, "paused", "alert")]


def test_an_incident_that_a_person_has_overruled_does_not_pause_again_and_the_next_one_does() -> None:
    words = [pause("f-1"), pause("f-2"), resume(), pause("f-1"), pause("f-2"), pause("f-3")]
    assert turns(lived(words)) == [(1, "paused", "alert"), (3, "resumed", "anna"), (6, "paused", "alert")]


def test_people_pause_without_an_alert_and_what_changes_nothing_is_not_told() -> None:
    words = [pause(by="bert"), pause(by="carl"), resume("dora"), resume(), resume()]
    store = lived(words)
    assert turns(store) == [(1, "paused", "bert"), (3, "resumed", "dora")]
    assert store.position.counts["brakes_in_vain"] == 3


def effect(*stores: Store) -> bool:
    """Whether customers who have heard all of it, one life of the desk after the other, find the campaign paused."""
    said = [message.value for store in stores for message in store.sent if message.topic == "events"]
    job = Merging(customers_job([]), "events")
    return bool(Brakes.of(run(job, batches("events", 0, said))[0].brakes).paused)


@pytest.mark.parametrize("since", range(4))
def test_after_redis_was_emptied_a_resume_counts_however_little_of_what_was_asked_kafka_still_has(since: int) -> None:
    before: list[Asked] = [pause("f-1"), resume(), pause("f-2")]
    told = lived(before)
    assert effect(told)
    assert not effect(told, lived([*before, resume()][since:], first=since))


def test_after_redis_was_emptied_the_next_pause_counts_too() -> None:
    told = lived([pause("f-1"), resume(), pause("f-2"), resume()])
    assert effect(told, lived([pause("f-3")], first=4))


def test_a_desk_whose_revisions_were_counted_higher_than_offsets_goes_on_from_them() -> None:
    course = Course(revision=40, paused=True)
    assert turn(course, resume(), offset=7)
    assert (course.revision, course.paused) == (41, False)


def test_nobody_resumes_without_a_name() -> None:
    nameless = orjson.dumps({**orjson.loads(encode_asked(resume())), "by": ""})
    store = lived([pause("f-1"), nameless])
    assert turns(store) == [(1, "paused", "alert")]
    letters = [message for message in store.sent if message.topic == "dead-letters"]
    assert [letter.value for letter in letters] == [nameless]


asked = st.one_of(
    st.builds(pause, st.sampled_from(("f-1", "f-2", "f-3"))),
    st.builds(lambda by: pause(by=by), st.sampled_from(("anna", "bert"))),
    st.builds(resume, st.sampled_from(("anna", "bert"))),
)


def by_the_letter(words: list[Asked]) -> list[tuple[int, str, str]]:
    heard, told, is_paused = set[str](), list[tuple[int, str, str]](), None
    for offset, word in enumerate(words):
        known = isinstance(word, Pause) and word.incident != "" and word.incident in heard
        heard |= {word.incident} if isinstance(word, Pause) else set()
        if not known and isinstance(word, Pause) != is_paused:
            is_paused = isinstance(word, Pause)
            told.append((offset + 1, "paused" if is_paused else "resumed", word.by))
    return told


@settings(max_examples=100, deadline=None)
@given(st.lists(asked, min_size=1, max_size=25), cuts)
def test_whatever_is_asked_and_wherever_the_log_is_cut_turns_are_those_of_the_letter(
    words: list[Asked], cuts: list[int]
) -> None:
    assert turns(lived(words, cuts)) == by_the_letter(words)
    assert [m.value for m in lived(words, cuts).sent] == [m.value for m in lived(words).sent]
