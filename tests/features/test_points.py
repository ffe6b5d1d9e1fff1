"""Points and tiers over years, against a jar of single points."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

import pytest
import tomllib
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import HERE
from features import events as e
from features.building import build_catalog
from features.customer import Core
from features.declared import WrongFeatures
from features.job import Batch, Clock
from features.times import DAY_MS, local_day
from tests.alerts.triggers.jobs import CATALOG, encoded

CORE = Core(CATALOG)
CUTS, KEEP = (500, 2000), (400, 1500)
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
    day, order = local_day(ordered_ms, ZONE), f"o{ordered_ms}{n}"
    ordered = {"ordered_ms": ordered_ms, "ordered_day": day, "ordered_time": 0, "order": order}
    return kind(id=f"b{at_ms}{n}", customer="c", at_ms=at_ms, tz=ZONE, amount_cents=yuan * CENTS, **ordered)


def gave(at_ms: int, points: int, n: int = 0) -> e.PointsSpent:
    return e.PointsSpent(id=f"s{at_ms}{n}", customer="c", at_ms=at_ms, tz=ZONE, points=points)


def core_of(**tier: object) -> Core:
    """The shipped features, but for the tier."""
    raw = tomllib.loads((HERE / "features.toml").read_text())
    raw["bands"]["tier"] |= tier
    return Core(build_catalog(raw))


KEEPING = core_of(keep=[*KEEP])


def read(log: list[e.Event], at_ms: int, core: Core = CORE) -> dict[str, float]:
    values = encoded(log)
    batch = Batch("events", 0, -1, [*range(len(values))], values, [0] * len(values))
    record = core.apply(core.columns(batch, Clock()), [], {}).records["c"]
    row = dict(zip(core.catalog.names, core.row(record, at_ms), strict=True))
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
    earned, debt = sum(month_of(at_ms) - 12 < month for month in coins), 0
    for month in sorted(spent):
        for _ in range(spent[month]):
            good = [coin for coin in coins if month <= coin + VALID]  # those earned later pay what was owed
            if good:
                coins.remove(good[0])
            else:
                debt += 1
    now = month_of(at_ms)
    return {
        "points_balance": sum(now <= coin + VALID for coin in coins) - debt,
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


def test_points_spent_beyond_the_balance_are_a_debt_that_later_points_pay_first() -> None:
    log: list[e.Event] = [bought(at(2024, 1), 100), gave(at(2024, 2), 300), bought(at(2024, 3), 60)]
    assert read(log[:2], at(2024, 2))["points_balance"] == -200
    assert read(log, at(2024, 3))["points_balance"] == -140
    paid = [*log, bought(at(2024, 4), 150)]
    assert read(paid, at(2024, 4))["points_balance"] == 10
    assert read(paid, at(2024, 4))["points_earned_12m"] == 310, "what pays a debt counts for the tier"


def test_points_that_were_spent_before_their_order_became_known_are_no_debt_any_more() -> None:
    spent: list[e.Event] = [gave(at(2024, 2), 100)]
    assert read(spent, at(2024, 2))["points_balance"] == -100
    assert read([*spent, bought(at(2024, 1), 100)], at(2024, 2))["points_balance"] == 0


def test_a_gold_member_who_no_longer_earns_enough_is_silver_with_the_month_in_which_the_best_one_leaves_the_year() -> (
    None
):
    log: list[e.Event] = [bought(at(2024, 1), 1500), bought(at(2024, 6), 500), bought(at(2024, 12), 100)]
    tiers = {month: read(log, at(*month))["tier"] for month in ((2024, 12), (2025, 1), (2025, 6))}
    assert tiers == {(2024, 12): 3, (2025, 1): 2, (2025, 6): 1}
    kept: list[e.Event] = [*log, bought(at(2024, 12, 30), 1400)]
    assert read(kept, at(2025, 1))["tier"] == 3


def ladder(log: list[e.Event], at_ms: int) -> int:
    """The tier with thresholds to keep it: month by month from the first, by the points of each."""
    cents = Counter[int]()
    for event in log:
        if isinstance(event, e.Order):
            cents[month_of(event.at_ms)] += event.total_cents
        elif isinstance(event, e.Refund):
            cents[month_of(event.ordered_ms)] -= event.amount_cents
    points = {month: max(0, of) // CENTS for month, of in cents.items()}

    def earned(month: int) -> int:
        return sum(points.get(month - back, 0) for back in range(12))

    def step(total: int, of: tuple[int, int]) -> int:
        return 0 if total < of[0] else 1 if total < of[1] else 2

    on = 0
    for month in range(min(points), month_of(at_ms)):
        on = step(earned(month), CUTS) if step(earned(month), CUTS) > on else min(on, step(earned(month), KEEP))
    return 1 + max(on, step(earned(month_of(at_ms)), CUTS))


@settings(max_examples=150, deadline=None)
@given(years(), st.integers(0, 30 * 30))
def test_a_tier_that_is_kept_is_that_of_a_walk_from_month_to_month(log: list[e.Event], later: int) -> None:
    at_ms = max(event.at_ms for event in log) + later * DAY_MS
    found = read(log, at_ms, KEEPING)
    assert found == jar(log, at_ms) | {"tier": ladder(log, at_ms)}


def tiers(log: list[e.Event], *moments: tuple[int, int, int]) -> list[float]:
    return [read([x for x in log if x.at_ms <= at(*m)], at(*m), KEEPING)["tier"] for m in moments]


def test_gold_stays_gold_while_a_year_earns_what_keeps_it_and_is_lost_at_the_end_of_a_month() -> None:
    log: list[e.Event] = [bought(at(2024, 3, 20), 2000), bought(at(2025, 2), 1600), bought(at(2026, 1), 450)]
    assert tiers(log, (2024, 3, 19 + 2), (2025, 3, 1)) == [3, 3]
    assert tiers(log, (2026, 1, 1), (2026, 1, 31)) == [3, 3], "the twelve months to December have earned 1,600"
    assert tiers(log, (2026, 1, 31), (2026, 2, 1)) == [3, 3], "January with them 2,050"
    assert tiers(log, (2026, 2, 28), (2026, 3, 1)) == [3, 2], "in February 450 are left: silver is kept from 400 on"
    assert tiers(log, (2026, 12, 31), (2027, 1, 31), (2027, 2, 1)) == [2, 2, 1]


def test_whoever_has_not_come_to_the_cut_is_not_let_in_by_what_would_keep_them() -> None:
    log: list[e.Event] = [bought(at(2024, 1), 450), bought(at(2024, 2), 40)]
    assert tiers(log, (2024, 2, 20), (2024, 8, 1)) == [1, 1]
    assert tiers([*log, bought(at(2024, 6), 10)], (2024, 6, 4), (2024, 6, 5)) == [1, 2]


def test_four_years_on_a_step_that_is_only_kept_are_known() -> None:
    log: list[e.Event] = [bought(at(2020, 1), 2000)]
    log += [bought(at(2020 + month // 12, month % 12 + 1), 130) for month in range(1, 48)]
    assert tiers(log, (2023, 12, 31), (2024, 1, 31), (2024, 2, 1)) == [3, 3, 2]


@pytest.mark.parametrize(
    ("tier", "told"),
    [
        ({"keep": [400]}, "expected one for each of cuts"),
        ({"keep": [400, 2500]}, "above 0, none above it"),
        ({"keep": [0, 1500]}, "above 0, none above it"),
        ({"keep": [1500, 400]}, "expected one for each of cuts"),
        ({"keep": [400.5, 1500]}, "expected whole points"),
        ({"keep": [400, 1500], "of": "orders_90d"}, "expected only with of = 'points_earned_12m'"),
    ],
)
def test_thresholds_that_cannot_keep_a_step_are_refused_by_name(tier: dict[str, object], told: str) -> None:
    with pytest.raises(WrongFeatures, match=r"features.toml: \[bands\] tier: keep: found") as refused:
        core_of(**tier)
    assert told in str(refused.value)
