"""Whatever is done to the trail shows."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from features.audited import AuditAccess, AuditExport
from features.events import decode_audit, encode
from features.trail import Entry, Head, Written, faults, sealed

PARTITIONS = 2


def chain(length: int) -> tuple[list[Written], Head]:
    """Entries of two people, each in a partition of their own."""
    head, log, offsets = Head(), list[Written](), [0] * PARTITIONS
    for n in range(length):
        actor = f"p{n % 3 % PARTITIONS}"
        more = {"actor": actor, "time": 1_000 + n, "rows": n, "purpose": "reporting"}
        entry: Entry = AuditExport(id="", **more) if n % 4 else AuditAccess(id="", action="view", **more)
        entry = sealed(entry, head)
        head = Head(entry.trail, entry.seal)
        log.append(Written(entry, n % 3 % PARTITIONS, offsets[n % 3 % PARTITIONS]))
        offsets[n % 3 % PARTITIONS] += 1
    return log, head


lengths = st.integers(1, 12)
place = st.integers(0, 11)


@settings(deadline=None)
@given(lengths)
def test_a_trail_that_nobody_touched_is_whole_also_when_entries_were_sent_again(length: int) -> None:
    log, head = chain(length)
    assert faults(log, head) == []
    again = [Written(each.entry, each.partition, 100 + each.offset) for each in log[-2:]]
    assert faults(log + again, head) == []
    assert faults([], Head()) == []


@settings(deadline=None)
@given(lengths, place, st.sampled_from(["actor", "rows", "purpose", "time", "trail", "before", "id", "fields"]))
def test_an_edit_of_any_field_is_found(length: int, at: int, name: str) -> None:
    assume(at < length)
    log, head = chain(length)
    value = {"rows": 77, "time": 5, "trail": 40, "fields": ["x"]}.get(name, "other")
    log[at] = replace(log[at], entry=replace(log[at].entry, **{name: value}))
    assert any("was changed" in fault for fault in faults(log, head))


@settings(deadline=None)
@given(lengths, place)
def test_an_edit_under_a_new_seal_is_found_by_what_follows_or_by_the_head(length: int, at: int) -> None:
    assume(at < length)
    log, head = chain(length)
    old = log[at].entry
    log[at] = replace(log[at], entry=sealed(replace(old, rows=9_999), Head(old.trail - 1, old.before)))
    assert faults(log, head) != []


@settings(deadline=None)
@given(lengths, place)
def test_a_removal_is_found_and_named_at_the_beginning_in_the_middle_and_at_the_end(length: int, at: int) -> None:
    assume(at < length)
    log, head = chain(length)
    del log[at]
    assert f"entry {at + 1} is missing" in faults(log, head)


@settings(deadline=None)
@given(st.data())
def test_two_entries_in_each_others_place_are_found(data: st.DataObject) -> None:
    log, head = chain(12)
    partition = data.draw(st.integers(0, PARTITIONS - 1))
    alike = [at for at, written in enumerate(log) if written.partition == partition]
    one, other = sorted(data.draw(st.lists(st.sampled_from(alike), min_size=2, max_size=2, unique=True)))
    swapped = [replace(log[one], entry=log[other].entry), replace(log[other], entry=log[one].entry)]
    log[one], log[other] = swapped
    assert any("stands behind" in fault for fault in faults(log, head))


@settings(deadline=None)
@given(st.integers(2, 12), place)
def test_entries_that_only_trade_their_numbers_are_found(length: int, one: int) -> None:
    assume(one + 1 < length)
    log, head = chain(length)
    first, second = log[one].entry, log[one + 1].entry
    log[one] = replace(log[one], entry=replace(second, trail=first.trail, id=first.id))
    log[one + 1] = replace(log[one + 1], entry=replace(first, trail=second.trail, id=second.id))
    assert faults(log, head) != []


def test_entries_that_time_has_taken_are_no_fault_and_those_that_somebody_took_are() -> None:
    log, head = chain(8)
    assert faults(log[3:], head, since_ms=1_003) == []
    assert faults(log[3:], head) == ["entries 1 to 3 are missing"]
    assert "entry 6 is missing" in faults(log[3:5] + log[6:], head, since_ms=1_003)


def test_each_partition_runs_out_by_itself_and_that_is_no_fault() -> None:
    log, head = chain(60)
    quiet, busy = log[:1], log[50:]
    assert faults(quiet + busy, head, since_ms=1_050) == []
    assert faults(quiet, head, since_ms=1_060) == []
    assert faults([], head, since_ms=1_060) == []
    assert faults(quiet + busy, head) == ["entries 2 to 50 are missing"]
    assert faults(quiet + busy[:4] + busy[5:], head, since_ms=1_050) == ["entry 55 is missing"]
    assert faults(quiet + busy[:-1], head, since_ms=1_050) == ["entry 60 is missing"]


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 11))
def test_what_has_run_out_hides_nothing_that_must_still_be_there(one: int, other: int, at: int) -> None:
    """Partitions lose their beginnings, up to the time before which they may; then one entry goes that may not."""
    log, head = chain(12)
    since_ms = 1_000 + max(one, other)
    kept = [each for each in log if each.entry.trail > (one, other)[each.partition]]
    assert faults(kept, head, since_ms=since_ms) == []
    assert faults(kept, head, since_ms=since_ms, noted=Head(log[0].entry.trail, log[0].entry.seal)) == []
    assume(at > max(one, other))
    without = [each for each in kept if each.entry.trail != at + 1]
    assert f"entry {at + 1} is missing" in faults(without, head, since_ms=since_ms)


def test_a_chain_that_was_written_anew_is_found_by_a_seal_that_was_noted() -> None:
    _, noted = chain(5)
    forged, head = [], Head()
    for n in range(8):
        entry = sealed(AuditAccess(id="", actor="p0", action="view", time=n), head)
        head = Head(entry.trail, entry.seal)
        forged.append(Written(entry, 0, n))
    assert faults(forged, head) == []
    assert faults(forged, head, noted=noted) == ["entry 5 has another seal than was noted"]
    assert faults(forged[:4], Head(4, forged[3].entry.seal), noted=noted) == [
        "entry 5, whose seal was noted, is not there"
    ]


@pytest.mark.parametrize(
    ("was", "made", "said"),
    [
        (
            b'"purpose":',
            b'"note":"approved","purpose":',
            "entry 2 has the key 'note', which was not sealed",
        ),
        (b'"purpose":', b'"purpose":"complaint","purpose":', "entry 2 has the key 'purpose' 2 times"),
        (b'"purpose":', b'"purpose": ', "entry 2 is spelt in another way than it was written"),
        (b'"purpose":', b'"at_ms":12345,"purpose":', "entry 2 was changed"),
    ],
)
def test_the_seal_covers_all_that_is_published(was: bytes, made: bytes, said: str) -> None:
    log, head = chain(3)
    spelt = [replace(each, raw=encode(each.entry)) for each in log]
    assert faults(spelt, head) == []
    raw = spelt[1].raw.replace(was, made)
    assert raw != spelt[1].raw
    entry = decode_audit(raw)
    assert isinstance(entry, AuditAccess | AuditExport)
    assert faults([spelt[0], replace(spelt[1], entry=entry, raw=raw), spelt[2]], head) == [said]


def test_entries_of_earlier_versions_keep_their_seals() -> None:
    entry = sealed(AuditAccess(id="", actor="anna", action="view", object="customer c1", rows=1, time=1_000), Head())
    assert entry.seal == "6587360e8ea0564df3ad76c24e83a408"


def test_an_entry_that_nobody_wrote_is_found() -> None:
    log, head = chain(3)
    more = sealed(AuditAccess(id="", actor="p0", action="view", time=9), head)
    assert faults([*log, Written(more, 0, 50)], head) == ["entry 4 stands there, and only 3 were written"]
    other = replace(log[1], offset=60, entry=sealed(AuditAccess(id="", actor="x", action="view"), Head(1, "")))
    assert "entry 2 stands there twice, and differs" in faults([*log, other], head)
