"""Points and tiers over years, against a jar of single points."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from features import events as e
from features.customer import Core
from features.job import Batch, Clock
from features.times import DAY_MS, local_day
from tests.alerts.triggers.jobs import CATALOG, encoded

CORE = Core(CATALOG)
VALID, CENTS = 12, 100  # as shipped
ZONE = "UTC"


def at(year: int, month: int, day: int = 5) -> int:
    return round(datetime(year, month, day, 12, tzinfo=timezone.utc).timestamp() * 1000)


def month_of(at_ms: int) -> int:
    day = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return day.year * 12 + day.month - 1


def bought(at_ms: int, yuan: int, n: int = 0) -> e.Order:
    cents = yuan * CENTS
    return e.Order(id=f"o{at_ms}{n}", customer="c", at_ms=at_ms, tz=ZONE, lines=[e.Line("t")], total_cents=cents)


def back(kind: type[e.Refund], at_ms: int, ordered_ms: int, yuan: int, n: int = 0) -> e.Refund:
    ordered = {"ordered_ms": ordered_ms, "ordered_day": local_day(ordered_ms, ZONE), "ordered_time": 0, "order": "o"}
    return kind(id=f"b{at_ms}{n}", customer="c", at_ms=at_ms, tz=ZONE, amount_cents=yuan * CENTS, **ordered)


def gave(at_ms: int, points: int, n: int = 0) -> e.PointsSpent:
    return e.PointsSpent(id=f"s{at_ms}{n}", customer="c", at_ms=at_ms, tz=ZONE, points=points)


def read(log: list[e.Event], at_ms: int) -> dict[str, float]:
    values = encoded(log)
    batch = Batch("events", 0, -1, [*range(len(values))], values, [0] * len(values))
    record = CORE.apply(CORE.columns(batch, Clock()), [], {}).records["c"]
    row = dict(zip(CATALOG.names, CORE.row(record, at_ms), strict=True))
    return {name: row[name] for name in ("points_balance", "points_expiring", "points_earned_12m", "tier")}


def jar(log: list[e.Event], at_ms: int) -> dict[str, float]:
    """Each point is a coin that bears the month in which it was earned."""
    cents, spent = Counter[int](), Counter[int]()
    for event in log:
        if isinstance(event, e.Order):
            cents[month_of(event.at_ms)] += event.total_cents
        elif isinstance(event, e.Refund):
            cents[month_of(event.ordered_ms)] -= event.amount_cents
        elif isinstance(event, e.PointsSpent):
            spent[month_of(event.at_ms)] += event.points
    coins = [month for month in sorted(cents) for _ in range(cents[month] // CENTS)]
    earned = sum(month_of(at_ms) - 12 < month for month in coins)
    for month in sorted(spent):
        for _ in range(spent[month]):
            good = [coin for coin in coins if coin <= month <= coin + VALID]
            if good:
                coins.remove(good[0])
    now = month_of(at_ms)
    return {
        "points_balance": sum(now <= coin + VALID for coin in coins),
        "points_expiring": sum(now == coin + VALID for coin in coins),
        "points_earned_12m": earned,
        "tier": 1 + (earned >= 500) + (earned >= 2000),
    }


@st.composite
def years(draw: st.DrawFn) -> list[e.Event]:
    """Two years: orders, what came back of them, and what was given for rewards, be it more than there is."""
    start, log = at(2024, 1, 1), list[e.Event]()
    moments = st.integers(0, 23 * 30).map(lambda day: start + day * DAY_MS)
    for n, at_ms in enumerate(draw(st.lists(moments, min_size=1, max_size=12))):
        yuan = draw(st.sampled_from((3, 40, 130, 700)))
        log.append(bought(at_ms, yuan, n))
        if draw(st.integers(0, 3)) == 0:
            kind = draw(st.sampled_from((e.Refund, e.Void)))
            given_back = yuan if kind is e.Void else draw(st.integers(1, yuan))
            log.append(back(kind, at_ms + draw(st.integers(0, 60)) * DAY_MS, at_ms, given_back, n))
    for n, at_ms in enumerate(draw(st.lists(moments, max_size=6))):
        log.append(gave(at_ms, draw(st.sampled_from((1, 25, 100, 900))), n))
    return draw(st.permutations(log))


@settings(max_examples=150, deadline=None)
@given(years(), st.integers(0, 13 * 30))
def test_points_and_tier_are_those_of_a_jar_of_single_points(log: list[e.Event], later: int) -> None:
    at_ms = max(event.at_ms for event in log) + later * DAY_MS
    assert read(log, at_ms) == jar(log, at_ms)


def test_what_is_given_back_takes_its_points_back_in_the_month_of_the_order() -> None:
    log: list[e.Event] = [bought(at(2025, 1), 300), back(e.Refund, at(2025, 3), at(2025, 1), 120)]
    assert read(log, at(2025, 3))["points_balance"] == 180
    assert read([*log, back(e.Void, at(2025, 3, 6), at(2025, 1), 180)], at(2025, 3, 7))["points_balance"] == 0


def test_rewards_take_the_oldest_points_and_what_is_left_of_them_is_warned_of_and_lost() -> None:
    log: list[e.Event] = [bought(at(2024, 1), 100), bought(at(2024, 6), 50), gave(at(2024, 7), 70)]
    assert read(log, at(2024, 12, 31)) | {"tier": 0} == jar(log, at(2024, 12, 31)) | {"tier": 0}
    assert (read(log, at(2025, 1))["points_balance"], read(log, at(2025, 1))["points_expiring"]) == (80, 30)
    assert (read(log, at(2025, 2))["points_balance"], read(log, at(2025, 2))["points_expiring"]) == (50, 0)


def test_points_spent_beyond_the_balance_are_no_debt() -> None:
    log: list[e.Event] = [bought(at(2024, 1), 100), gave(at(2024, 2), 300), bought(at(2024, 3), 60)]
    assert read(log, at(2024, 2))["points_balance"] == 0
    assert read(log, at(2024, 3))["points_balance"] == 60


def test_a_gold_member_who_no_longer_earns_enough_is_silver_with_the_month_in_which_the_best_one_leaves_the_year() -> (
    None
):
    log: list[e.Event] = [bought(at(2024, 1), 1500), bought(at(2024, 6), 500), bought(at(2024, 12), 100)]
    tiers = {month: read(log, at(*month))["tier"] for month in ((2024, 12), (2025, 1), (2025, 6))}
    assert tiers == {(2024, 12): 3, (2025, 1): 2, (2025, 6): 1}
    kept: list[e.Event] = [*log, bought(at(2024, 12, 30), 1400)]
    assert read(kept, at(2025, 1))["tier"] == 3
