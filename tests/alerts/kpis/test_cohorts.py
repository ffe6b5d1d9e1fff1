"""Cohorts are what a slow count over the events finds, to the cent."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alerts.kpis.cohorts import MONTHS, READ, Cohorts, month_of
from features import events as e
from features.archive import Archiver, in_shares
from features.times import DAY_MS, parse_time

START_MS = parse_time("2026-01-01T00:00:00+00:00")
ZONES = ("Asia/Shanghai", "America/New_York")


def found(log: list[e.Event], end_ms: int, end_month: int, first_month: int = 0) -> dict[str, Any]:
    rows, cohorts = in_shares([Archiver().rows([e.encode(event) for event in log])], size=5), Cohorts()
    for share in rows.filter(rows["share"] >= 0).partition_by("partition", "share"):
        cohorts.add(share.select([name for name in READ if name in share.columns]), end_ms)
    return cohorts.figures(end_month, first_month)


def month(order: e.Order) -> int:
    at = datetime.fromtimestamp(order.at_ms / 1000, ZoneInfo(order.tz))
    return at.year * 12 + at.month - 1


def slowly(log: list[e.Event], end_ms: int, end_month: int, first_month: int) -> dict[str, Any]:
    """By the letter: customer by customer, order by order."""
    log = [event for event in log if event.at_ms < end_ms]
    customers: dict[str, dict[str, e.Order]] = {}
    for event in log:
        if isinstance(event, e.Order):
            customers.setdefault(event.customer, {}).setdefault(event.id, event)
    left: dict[str, list[tuple[e.Order, int]]] = {}
    for customer, orders in customers.items():
        for order in orders.values():
            mine = [x for x in log if isinstance(x, e.Refund) and x.customer == customer and x.order == order.id]
            if any(isinstance(x, e.Void) for x in mine):
                continue
            back = {x.id: x.amount_cents for x in reversed(mine)}
            left.setdefault(customer, []).append((order, order.total_cents - sum(back.values())))
    cohorts: dict[int, list[list[tuple[e.Order, int]]]] = {}
    for orders in left.values():
        orders.sort(key=lambda one: (one[0].at_ms, one[0].id))
        cohorts.setdefault(month(orders[0][0]), []).append(orders)
    told: dict[str, Any] = {}
    for first, members in sorted(cohorts.items()):
        if not first_month <= first < end_month:
            continue
        cells = []
        for age in range(min(MONTHS, end_month - 1 - first) + 1):
            by = [[(o, cents) for o, cents in orders if max(0, month(o) - first) == age] for orders in members]
            cells.append((sum(map(bool, by)), sum(map(len, by)), sum(cents for orders in by for _, cents in orders)))
        told[f"{first // 12}-{first % 12 + 1:02}"] = (len(members), sum(len(m) > 1 for m in members), cells)
    return told


def plain(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        row["month"]: (
            row["customers"],
            row["again"],
            [(cell["active"], cell["orders"], cell["revenue_cents"]) for cell in row["months"]],
        )
        for row in figures["cohorts"]
    }


deeds = st.tuples(
    st.sampled_from(("order", "order", "order", "again", "again", "void", "refund", "look")),
    st.sampled_from("abc"),
    st.integers(0, 300),
    st.integers(0, 23),
    st.sampled_from(ZONES),
    st.integers(0, 5_000),
)


def log_of(plan: list[tuple[str, str, int, int, str, int]]) -> list[e.Event]:
    log: list[e.Event] = []
    for number, (what, customer, day, hour, zone, cents) in enumerate(plan):
        common = {"customer": customer, "at_ms": START_MS + day * DAY_MS + hour * 3_600_000, "tz": zone}
        orders = [event for event in log if isinstance(event, e.Order) and event.customer == customer]
        id = f"{what}{number}"
        if what == "order":
            log.append(e.Order(id=id, lines=[e.Line("tea")], total_cents=cents, **common))
        elif what == "look":
            log.append(e.View(id=id, **common))
        elif what == "again" and log:
            log.append(log[cents % len(log)])
        elif orders:
            order = orders[cents % len(orders)]
            kind = e.Void if what == "void" else e.Refund
            undo = {"order": order.id, "ordered_time": order.at_ms, "ordered_ms": order.at_ms}
            log.append(kind(id=id, amount_cents=cents, **undo, **common))
    return log


@settings(max_examples=100, deadline=None)
@given(st.lists(deeds, min_size=25, max_size=60).map(log_of), st.integers(60, 320), st.integers(0, 2))
def test_cohorts_are_those_of_a_slow_count_with_repeats_voids_refunds_and_zones(
    log: list[e.Event], days: int, skipped: int
) -> None:
    assume(not all(isinstance(event, e.View) for event in log))
    end_ms = START_MS + days * DAY_MS
    end_month, first_month = month_of(end_ms, "Asia/Shanghai"), month_of(START_MS, "UTC") + skipped
    assert plain(found(log, end_ms, end_month, first_month)) == slowly(log, end_ms, end_month, first_month)


def order(customer: str, day: int, cents: int = 1_000) -> e.Order:
    at_ms = START_MS + day * DAY_MS
    return e.Order(
        id=f"{customer}{day}", customer=customer, at_ms=at_ms, tz="UTC", lines=[e.Line("tea")], total_cents=cents
    )


def test_shares_and_averages_are_those_of_the_months_that_are_over() -> None:
    log = [order("a", 0), order("a", 40, 500), order("b", 3, 3_000), order("c", 45), order("c", 70)]
    end_month = month_of(parse_time("2026-04-01T00:00:00+00:00"), "UTC")
    figures = found(log, START_MS + 90 * DAY_MS, end_month)
    january, february = figures["cohorts"]
    assert [cell["retention"] for cell in january["months"]] == [1.0, 0.5, 0.0]
    assert [cell["arpu_cents"] for cell in january["months"]] == [2_000.0, 250.0, 0.0]
    assert (january["repeat_rate"], january["loyalty_index"]) == (0.5, 25.0)
    assert [cell["retention"] for cell in february["months"]] == [1.0, 1.0]
    assert figures["repeat_rate"] == pytest.approx(2 / 3)
    assert [month["retention"] for month in figures["months"]] == [1.0, pytest.approx(2 / 3), 0.0]
    assert figures["loyalty_index"] == pytest.approx(100 * 2 / 5)


def test_where_no_month_is_over_nothing_is_told() -> None:
    figures = found([order("a", 0)], START_MS + DAY_MS, month_of(START_MS, "UTC"))
    assert (figures["cohorts"], figures["repeat_rate"], figures["loyalty_index"]) == ([], None, None)
