"""Records in one run of bytes are what a dictionary of them would be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from features.records import NO_RECORD, Records

names = st.text(max_size=3)
record = st.binary(min_size=1, max_size=40)
known = st.dictionaries(names, record, max_size=6)
writes = st.lists(st.tuples(names, record | st.just(b"")), max_size=8)


@settings(deadline=None)
@given(known, writes, st.lists(names, max_size=6))
def test_they_are_read_and_written_as_a_dictionary_is(
    before: dict[str, bytes], writes: list[tuple[str, bytes]], asked: list[str]
) -> None:
    records, plain = Records.of(before), dict(before)
    for name, raw in writes:
        records[name] = raw
        plain |= {name: raw}
        plain = {name: raw for name, raw in plain.items() if raw}  # an empty record is none
        assert (dict(records), len(records)) == (plain, len(plain))
    assert [name in records for name in asked] == [name in plain for name in asked]
    starts, ends = records.spans(asked)
    found = [records.text[start:end].tobytes() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    assert found == [plain.get(name, b"") for name in asked]
    assert [records.names[place] for place in records.lacking()] == [n for n in records.names if n not in plain]
    assert records.heads(asked).tolist() == [plain[name][0] if name in plain else NO_RECORD for name in asked]
    assert records.begin_with(65) == any(raw.startswith(b"A") for raw in plain.values())


@given(known, st.integers(0, 9))
def test_the_end_of_a_record_is_read_from_any_byte_on(before: dict[str, bytes], start: int) -> None:
    records = Records.of(before)
    for place, name in enumerate(before):
        assert records.at(place, start) == before[name][start:]
    records.join(Records.of({"more": b"later"}))
    assert records == {**before, "more": b"later"}
