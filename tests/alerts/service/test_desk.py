"""Tickets: what is told follows from what was said and from the clock, whatever the order, the cuts and the repeats."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.service.desk import Desk
from alerts.service.records import decode_open, decode_person
from features import events as e
from features.loop import batches, run
from features.times import DAY_MS, MINUTE_MS
from tests.alerts.service.cases import PROMISES, TOPICS, final, live, logs, minute, tick, told
from tests.oracle_service import twin

COMPLAINT = e.Complaint(id="1", customer="a", case="k", topic="food", store="s1", **minute(0))


def answer(at: int, closed: bool = False, id: str = "2") -> e.ComplaintAnswered:
    return e.ComplaintAnswered(id=id, customer="a", case="k", closed=closed, **minute(at))


def confirm(at: int, satisfied: bool, id: str = "3", customer: str = "a") -> e.ComplaintConfirmed:
    return e.ComplaintConfirmed(id=id, customer=customer, case="k", satisfied=satisfied, **minute(at))


def said(*log: e.Event) -> list[tuple[str, str, int]]:
    """(what, clock, minute) in the order of telling; what was withdrawn with a minus before it."""
    return [
        ("-" * event["data"]["withdrawn"] + event["type"].rpartition(".")[2], event["data"]["clock"], _minute(event))
        for event in told(live(log).sent)
    ]


def _minute(event: dict[str, Any]) -> int:
    return int(event["data"]["at_ms"]) // MINUTE_MS


@settings(max_examples=150, deadline=None)
@given(logs())
def test_in_the_end_the_same_is_told_as_minute_by_minute_in_order_of_time(log: list[e.Event]) -> None:
    events = [event for event in log if not isinstance(event, e.Tick)]
    assert final(live(log).sent) == twin(events, PROMISES, 200)


@settings(max_examples=150, deadline=None)
@given(logs(), st.sets(st.integers(1, 20)))
def test_it_does_not_matter_where_batches_end(log: list[e.Event], cuts: set[int]) -> None:
    whole, cut = live(log), live(log, cuts)
    assert (cut.sent, cut.records, cut.timers) == (whole.sent, whole.records, whole.timers)
    assert cut.position.counts == whole.position.counts


def test_a_complaint_is_warned_of_breached_and_escalated_as_the_clock_comes_to_it() -> None:
    assert said(COMPLAINT, tick(4), tick(17), answer(18)) == [
        ("opened", "", 0),
        ("warned", "first_answer", 5),
        ("breached", "first_answer", 10),
        ("escalated", "first_answer", 10),
        ("warned", "resolution", 15),
        ("escalated", "first_answer", 17),
        ("answered", "first_answer", 18),
    ]


def test_an_answer_at_the_very_moment_keeps_the_promise() -> None:
    assert ("breached", "first_answer", 10) not in said(COMPLAINT, answer(10), tick(12))
    assert ("breached", "first_answer", 10) in said(COMPLAINT, answer(11), tick(12))


def test_an_answer_that_comes_before_its_complaint_counts() -> None:
    assert said(answer(3, closed=True), COMPLAINT, tick(100)) == [
        ("opened", "", 0),
        ("answered", "first_answer", 3),
        ("answered", "resolution", 3),
    ]


def test_an_answer_from_before_a_breach_that_was_told_takes_it_back() -> None:
    log = (COMPLAINT, tick(11), answer(9))
    assert said(*log)[-3:] == [
        ("-breached", "first_answer", 10),
        ("-escalated", "first_answer", 10),
        ("answered", "first_answer", 9),
    ]
    alerts = [json.loads(m.value)["data"] for m in live(log).sent if m.topic == "alerts"]
    assert [alert["state"] for alert in alerts] == ["firing", "firing", "resolved", "resolved"]
    assert "customer" not in alerts[0]
    assert {alert["severity"] for alert in alerts} == {"critical"}, "as the promise says"


def test_only_the_guest_closes_and_who_is_not_satisfied_starts_the_clocks_anew() -> None:
    log = (COMPLAINT, answer(2, closed=True), tick(60), confirm(61, satisfied=False), tick(73))
    assert said(*log)[3:] == [
        ("reopened", "", 61),
        ("warned", "first_answer", 66),
        ("breached", "first_answer", 71),
        ("escalated", "first_answer", 71),
    ]
    assert said(*log, confirm(74, satisfied=True, id="4"), tick(150))[-1] == ("closed", "", 74)


def test_silence_is_counted_from_the_latest_answer_also_after_it_was_settled() -> None:
    taste = e.Complaint(id="1", customer="a", case="k", topic="taste", **minute(0))
    assert said(taste, answer(2, closed=True), answer(12, id="3"), tick(60))[-1] == ("closed", "", 27)
    assert said(taste, answer(2, closed=True), tick(60), answer(12, id="3"))[-1] == ("closed", "", 27)


def test_a_rating_that_was_answered_closes_by_silence_where_no_more_was_promised() -> None:
    rated = e.Rating(id="5", customer="a", stars=1.0, order="o", **minute(0))
    heard = e.ComplaintAnswered(id="6", customer="a", case="rating:o", **minute(2))
    assert said(rated, heard, tick(60))[-1] == ("closed", "", 27)


def test_a_second_low_rating_of_an_order_is_the_same_ticket() -> None:
    ratings = [e.Rating(id=f"r{i}", customer="a", stars=1.0, order="o1", **minute(i)) for i in (1, 2)]
    events = told(live([*ratings, tick(5)]).sent)
    assert [(event["type"], event["data"]["order"], event["data"]["stars"]) for event in events] == [
        ("brewline.ticket.opened", "o1", 1.0)
    ]


def test_whoever_asks_anonymously_is_promised_a_call_too() -> None:
    lead, call = (
        e.Lead(id="1", lead="l1", topic="franchise", **minute(0)),
        e.LeadContacted(id="2", lead="l1", **minute(12)),
    )
    assert said(lead, tick(11), call, tick(99)) == [
        ("opened", "", 0),
        ("warned", "first_answer", 7),
        ("breached", "first_answer", 10),
        ("answered", "first_answer", 12),
        ("closed", "", 12),
    ]
    assert {message.key for message in live([lead, tick(11)]).sent} == {"lead:l1"}


def test_tickets_go_on_under_the_customer_that_one_was_merged_into_in_whatever_order_merges_come() -> None:
    merges = [e.Merge(id="m1", customer="a", into="b", at_ms=0), e.Merge(id="m2", customer="b", into="c", at_ms=0)]
    for order in (merges, merges[::-1]):
        for place in range(3):
            log = [*order[:place], COMPLAINT, *order[place:], tick(11)]
            store = live(log, range(9))
            assert told(store.sent)[-1]["data"]["customer"] == "c"
            assert decode_person(store.records["of|c"]).tickets == ["k"]
            assert decode_person(store.records["of|a"]).into in {"b", "c"}


def test_nothing_is_kept_of_a_customer_who_is_forgotten() -> None:
    merge = e.Merge(id="m1", customer="a", into="b", at_ms=0)
    forget = [e.Forget(id=f"f{name}", customer=name, at_ms=0) for name in "ab"]
    store = live([COMPLAINT, merge, tick(11), *forget, answer(12), tick(99)], range(9))
    assert (store.records, store.timers) == ({}, {})
    assert told(store.sent)[-1]["data"]["at_ms"] == 10 * MINUTE_MS


def test_a_case_of_two_customers_goes_with_either() -> None:
    other = e.Complaint(id="9", customer="z", case="k", topic="food", **minute(1))
    assert live([COMPLAINT, other]).records.keys() == {"open", "t|k", "of|a", "of|z"}
    forget = e.Forget(id="f", customer="a", at_ms=0)
    store = live([COMPLAINT, other, tick(1), forget], [3])
    assert (store.records, store.timers) == ({}, {})


def test_closed_tickets_orphans_and_notes_go_when_their_time_is_up() -> None:
    stray = e.ComplaintAnswered(id="9", customer="a", case="stray", **minute(0))
    log = [COMPLAINT, confirm(1, satisfied=True), stray, e.Merge(id="m", customer="x", into="y", at_ms=0)]
    later = [e.Tick(id="t", at_ms=31 * DAY_MS, source="0", of=1)]
    assert {"t|k", "t|stray", "of|a", "of|x"} <= live(log).records.keys()
    gone = live([*log, *later, COMPLAINT], range(9))
    assert (gone.records, gone.timers, gone.position.counts["too_late"]) == ({}, {}, 1)


def test_a_case_that_comes_back_after_it_was_forgotten_is_told_under_ids_of_its_own() -> None:
    day = 24 * 60
    again = e.Complaint(id="9", customer="a", case="k", topic="food", **minute(32 * day))
    ids = [event["id"] for event in told(live([COMPLAINT, confirm(1, True), tick(31 * day), again]).sent)]
    assert [id.split("|")[2] for id in ids] == ["opened", "closed", "opened"]
    assert len(set(ids)) == 3


def test_the_gauges_show_open_tickets_and_the_oldest() -> None:
    desk, store = Desk(TOPICS, PROMISES), live([COMPLAINT, tick(1)])
    [batch] = batches("service.cases", 0, [e.encode(tick(2))], first=2)
    plan = desk.plan(batch, store.position)
    levels = desk.apply(plan, store.load(desk, plan)).levels
    assert (levels["open:food"], levels["oldest:food"], levels["open:other"]) == (1, 0.0, 0)
    assert levels["oldest:other"] != levels["oldest:other"]


def test_what_waits_for_the_guest_alone_is_not_listed_with_every_batch() -> None:
    owed = [COMPLAINT, answer(1)]
    for log, listed in ((owed, ["k"]), ([*owed, answer(2, True, "4")], []), ([answer(2, True), *owed], [])):
        assert list(decode_open(live(log).records.get("open", b"\x80"))) == listed
    again = [*owed, answer(2, True, "4"), confirm(3, False), tick(200)]
    assert list(decode_open(live(again).records["open"])) == ["k"]
    rated = e.Rating(id="5", customer="a", stars=1.0, order="o", **minute(0))
    heard = e.ComplaintAnswered(id="6", customer="a", case="rating:o", **minute(1))
    assert list(decode_open(live([rated]).records["open"])) == ["rating:o"]
    assert "open" not in live([rated, heard]).records


def test_what_cannot_be_read_is_a_dead_letter() -> None:
    store = run(Desk(TOPICS, PROMISES), batches("service.cases", 0, [b"{", e.encode(COMPLAINT)]))[0]
    assert [message.topic for message in store.sent] == ["dead-letters", "tickets"]
    assert store.position.counts["dead_lettered:malformed"] == 1
