"""A favourite is judged by what comes next, before that is known; what is popular, too."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.favourites import Drawn, Popular, judged
from features import events as e
from features.times import DAY_MS, local_day, parse_time

START_MS = parse_time("2026-01-05T09:30:00-05:00")
SKUS = ("tea", "cake", "water")


def order(number: int, customer: str, sku: str) -> e.Order:
    at_ms = START_MS + number * DAY_MS // 100
    lines, day = [e.Line(sku, category=f"all {sku}")], local_day(at_ms, "America/New_York")
    where = {"tz": "America/New_York", "day": day, "store": "s"}
    return e.Order(id=f"o{number}", customer=customer, at_ms=at_ms, lines=lines, total_cents=100, **where)  # type: ignore[arg-type]


def test_who_always_has_the_same_is_foretold_where_what_is_popular_is_not() -> None:
    tastes = {"ca": "tea", "cb": "tea", "cc": "cake"}
    orders = [order(n, who, tastes[who]) for n, who in enumerate(["ca", "cb", "cc"] * 20)]
    hits = judged(iter(orders), batch=12)
    for name in ("favourite_category", "usual_sku"):
        assert (hits[name].asked, hits[name].own, hits[name].popular) == (57, 57, 38)
    assert (hits["favourite_store"].own, hits["favourite_store"].popular) == (57, 57)


def test_who_is_hardly_known_is_foretold_as_all_others_and_who_is_well_known_as_himself() -> None:
    everybody = Popular()
    for _ in range(10):
        everybody.add({"tea"})
    drawn = Drawn(everybody)
    for day in range(40):
        drawn.add("ca", day * DAY_MS, {"cake"})
        everybody.add({"cake"} if day % 8 == 0 else {"tea"})
    drawn.add("cb", 0, {"cake"})
    assert (drawn.first("ca", 40 * DAY_MS), drawn.first("cb", 0)) == ("cake", "tea")
    assert drawn.first("ca", 900 * DAY_MS) == "tea", "what is long ago says nothing"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("ca", "cb")), st.sampled_from(SKUS)), max_size=40))
def test_what_is_most_popular_is_counted_as_slowly_as_one_can(bought: list[tuple[str, str]]) -> None:
    hits = judged(iter([order(n, who, sku) for n, (who, sku) in enumerate(bought)]))["usual_sku"]
    right, asked = 0, 0
    for n, (who, sku) in enumerate(bought):
        if who in [w for w, _ in bought[:n]]:
            counts = Counter(s for _, s in bought[:n])
            best = {s for s in counts if counts[s] == max(counts.values())}
            asked, right = asked + 1, right + (best == {sku})
            right += len(best) > 1 and sku in best and first_best(bought[:n]) == sku
    assert (hits.asked, hits.popular) == (asked, right)
    assert hits.own <= hits.asked


def first_best(bought: list[tuple[str, str]]) -> str:
    """Of several, the one that came to that number first."""
    counts, best = Counter[str](), ""
    for _, sku in bought:
        counts[sku] += 1
        best = sku if counts[sku] > counts[best] else best
    return best
