"""From the clean topic to the desk: what is about cases, by ticket, with time at its place, and nobody forgotten."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.service.cases import Cases
from features import events as e
from features.forgotten import Forgotten, name_hash
from features.loop import Store, batches, run
from features.partitions import partition_keys, partition_of
from features.times import MINUTE_MS
from tests.alerts.service.cases import PROMISES, final, live, logs, minute, tick
from tests.oracle_service import twin

PARTITIONS = 3
ORDER = e.Order(id="o", customer="c1", lines=[e.Line("tea")], total_cents=1, **minute(1))
COMPLAINT = e.Complaint(id="1", customer="c1", case="k", topic="food", **minute(0))


def sorted_out(
    values: list[bytes], cuts: set[int] = frozenset(), partition: int = 0, gone: Forgotten | None = None
) -> Store:  # type: ignore[assignment]
    job = Cases("service.cases", "dead-letters", partition_keys(PARTITIONS), 1, PROMISES, gone)
    return run(job, batches("events", partition, values, cuts))[partition]


def sent(*events: e.Event) -> list[e.Event]:
    return [e.decode_clean(message.value) for message in sorted_out([e.encode(one) for one in events]).sent]


@settings(max_examples=100, deadline=None)
@given(logs(), st.sets(st.integers(1, 20)))
def test_through_both_steps_and_any_partition_the_same_is_told(log: list[e.Event], cuts: set[int]) -> None:
    logs_of: dict[int, list[bytes]] = {part: [] for part in range(PARTITIONS)}
    for message in sorted_out([e.encode(one) for one in log], cuts).sent:
        logs_of[partition_of(message.key, PARTITIONS)].append(message.value)
    told = [m for values in logs_of.values() for m in live(map(e.decode_clean, values)).sent]
    assert final(told) == twin([one for one in log if not isinstance(one, e.Tick)], PROMISES, 200)


@settings(max_examples=50, deadline=None)
@given(logs(), st.sets(st.integers(1, 20)))
def test_what_is_sent_does_not_depend_on_where_batches_end_but_for_the_last_ticks(
    log: list[e.Event], cuts: set[int]
) -> None:
    values = [e.encode(one) for one in log]
    no_ticks = lambda store: [m for m in store.sent if b'"tick"' not in m.value]  # noqa: E731
    assert no_ticks(sorted_out(values, cuts)) == no_ticks(sorted_out(values))


def test_only_what_is_about_cases_goes_on_with_time_before_what_followed_it() -> None:
    good = e.Rating(id="r", customer="c1", stars=4.5, order="o", **minute(2))
    kinds = [type(one).__name__ for one in sent(ORDER, tick(1), tick(2), COMPLAINT, good, tick(3))]
    assert kinds == ["Tick"] * PARTITIONS + ["Complaint"] + ["Tick"] * PARTITIONS


def test_a_ticket_is_in_one_partition_whoever_speaks_of_it() -> None:
    answer = e.ComplaintAnswered(id="2", customer="c2", case="k", **minute(1))
    store = sorted_out([e.encode(one) for one in (COMPLAINT, answer)])
    assert [message.key for message in store.sent] == ["k", "k"]


def test_merges_and_words_to_forget_go_to_all_partitions() -> None:
    merge, forget = e.Merge(id="m", customer="c1", into="c0", at_ms=1), e.Forget(id="f", customer="c9", at_ms=1)
    store = sorted_out([e.encode(one) for one in (merge, forget)])
    assert [message.key for message in store.sent] == [*partition_keys(PARTITIONS)] * 2


def test_nothing_goes_on_of_who_is_forgotten_not_even_of_the_same_batch() -> None:
    later = e.Complaint(id="9", customer="c1", case="k9", **minute(9))
    forget = e.Forget(id="f", customer="c1", at_ms=5 * MINUTE_MS)
    assert {type(one) for one in sent(COMPLAINT, forget, later)} == {e.Forget}
    gone = Forgotten({name_hash("c1"): 5})
    assert sorted_out([e.encode(COMPLAINT)], gone=gone).sent == []


def test_what_is_ours_and_cannot_be_read_is_a_dead_letter_and_all_else_is_others_matter() -> None:
    store = sorted_out([b'{"type":"complaint","customer":"c1"}', b'{"type":"order"}', b"{"])
    assert [(message.topic, message.headers["source_offset"]) for message in store.sent] == [("dead-letters", "0")]
