"""What is remembered is what was written last, within a budget, and forgetting loses nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cache import ENTRY_BYTES, Cache

EACH = ENTRY_BYTES + 150  # what a name and a record of a hundred bytes take, with their share of the table
names = st.sampled_from(["a", "bo", "c" * 7, "d" * 8, "e" * 33, "f" * 40, "gö", "h" * 9])
batches = st.lists(st.dictionaries(names, st.binary(min_size=1, max_size=300), max_size=5), max_size=20)
ALL = ["a", "bo", "c" * 7, "d" * 8, "e" * 33, "f" * 40, "gö", "h" * 9]


@settings(deadline=None)  # what is compiled may be compiled here
@given(batches, st.sampled_from((0, 2_000, 8_000, 100_000)))
def test_a_record_is_as_it_was_written_last_or_missing(batches: list[dict[str, bytes]], budget: int) -> None:
    cache, written = Cache(budget), {}
    for batch in batches:
        cache.put(batch)
        written |= batch
        found = cache.get(ALL)
        assert found == {name: written[name] for name in found}
        if budget == 100_000:
            assert found == written


@settings(deadline=None)
@given(batches, batches)
def test_what_is_dropped_is_gone_from_both_generations(
    before: list[dict[str, bytes]], batches: list[dict[str, bytes]]
) -> None:
    cache = Cache(8_000)
    for batch in before:
        cache.put(batch)
    for batch in batches:
        cache.put(batch)
        cache.drop(batch)
        assert cache.get(list(batch)) == {}


def test_a_thousand_names_are_told_apart() -> None:
    cache, written = Cache(2**20), {f"{number}": b"%d" % number for number in range(1_000)}
    for start in range(0, 1_000, 100):
        cache.put(dict(list(written.items())[start : start + 100]))
    assert cache.get([*written, "1000"]) == written


def test_it_holds_what_its_budget_allows_and_not_much_more() -> None:
    cache = Cache(200 * EACH)
    for number in range(1_000):
        cache.put({f"c{number}": b"x" * 100})
    held = len(cache.get([f"c{number}" for number in range(1_000)]))
    assert 90 <= held <= 210
    assert cache.get(["c999"]), "the latest is held"
    assert not cache.get(["c0"]), "the first is not"


def test_a_record_in_use_outlives_others_that_are_not() -> None:
    cache = Cache(20 * EACH)
    for number in range(100):
        cache.put({"regular": b"x", f"c{number}": b"x"})
    assert cache.get(["regular"]) == {"regular": b"x"}


def test_what_is_larger_than_the_budget_is_forgotten_not_mixed_with_what_was_before() -> None:
    cache = Cache(4 * EACH)
    cache.put({"ann": b"before"})
    cache.put({"ann": b"after", "bob": b"x" * 5_000})
    assert cache.get(["ann", "bob"]) == {}
