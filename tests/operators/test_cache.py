"""What is remembered is what was written last, within a budget, and forgetting loses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.cache import ENTRY_BYTES, Cache

names = st.sampled_from("abcdefgh")
batches = st.lists(st.dictionaries(names, st.binary(min_size=1, max_size=9), max_size=5), max_size=20)


@given(batches, st.sampled_from((0, 700, 2_000, 10_000)))
def test_a_record_is_as_it_was_written_last_or_missing(batches: list[dict[str, bytes]], budget: int) -> None:
    cache, written = Cache(budget), {}
    for batch in batches:
        cache.put(batch)
        written |= batch
        found, missing = cache.get("abcdefgh")
        assert found == {name: written[name] for name in found}
        assert sorted([*found, *missing]) == list("abcdefgh")


@given(batches)
def test_what_is_dropped_is_gone_from_both_generations(batches: list[dict[str, bytes]]) -> None:
    cache = Cache(700)
    for batch in batches:
        cache.put(batch)
        cache.drop(batch)
        assert cache.get(batch) == ({}, list(batch))


def test_it_holds_what_its_budget_allows_and_not_much_more() -> None:
    cache = Cache(200 * (ENTRY_BYTES + 100))
    for number in range(1_000):
        cache.put({f"c{number}": b"x" * 100})
    held = len(cache.young) + len(cache.old)
    assert 90 <= held <= 210
    assert cache.get(["c999"])[0], "the latest is held"
    assert cache.get(["c0"])[1] == ["c0"], "the first is not"


def test_a_record_in_use_outlives_others_that_are_not() -> None:
    cache = Cache(20 * (ENTRY_BYTES + 1))
    for number in range(100):
        cache.put({"regular": b"x", f"c{number}": b"x"})
    assert cache.get(["regular"]) == ({"regular": b"x"}, [])
