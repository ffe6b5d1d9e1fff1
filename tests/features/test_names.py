"""Names carry the bytes that packing them anew would give."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from features.fields import Field, Scanner
from features.kernel.scan import TEXT
from features.kernel.words import packed
from features.names import Names

names = st.lists(st.text(max_size=3), max_size=5)


def as_bytes(names: list[str]) -> list[bytes]:
    text, bounds = Names.of(names).packed
    assert not text.flags.writeable  # compiled functions are compiled for one kind only
    return [text[start:end].tobytes() for start, end in pairwise(bounds)]


@given(names, names, names)
def test_names_behind_others_are_packed_as_if_all_were_packed_at_once(
    some: list[str], more: list[str], last: list[str]
) -> None:
    all_of_them = Names(some).followed_by(more).followed_by(last)
    assert all_of_them == [*some, *more, *last]
    assert as_bytes(all_of_them) == [name.encode() for name in all_of_them] == as_bytes([*some, *more, *last])


@settings(deadline=None)  # what is compiled may be compiled here
@given(st.lists(st.text(st.characters(categories=["L", "N", "So"]), min_size=1, max_size=4), min_size=1, max_size=6))
def test_names_out_of_a_batch_are_its_texts_and_their_bytes(customers: list[str]) -> None:
    values = [f'{{"type":"view","customer":"{customer}"}}'.encode() for customer in customers]
    scanner = Scanner([Field("type", TEXT), Field("customer", TEXT)], [], "type")
    scanned, rows = scanner.scan(values), list(range(len(values)))[::-1]
    found = scanned.names(scanner.fields["customer"], rows)
    assert found == scanned.texts(scanner.fields["customer"], rows) == customers[::-1]
    assert as_bytes(found) == as_bytes(Names(customers[::-1], packed(customers[::-1])))
