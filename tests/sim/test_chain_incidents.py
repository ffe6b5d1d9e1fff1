from __future__ import annotations

from collections import Counter

import pytest

from features.events import AuditExport, CouponRedeemed, Footfall, Order
from features.times import DAY_MS, HOUR_MS, local_hour, local_ms, parse_time
from sim import Chain
from sim.orders import SURGE_SHARE
from sim.truth import Incident


@pytest.fixture(scope="module")
def incidents(run) -> dict[str, Incident]:
    return {incident.kind: incident for incident in run.truth.incidents}


def within(incident: Incident, at_ms: int, days_before: int = 0) -> bool:
    return incident.from_ms <= at_ms + days_before * DAY_MS < incident.to_ms


def test_each_kind_happens_once_after_three_days_of_ordinary_life(run, incidents):
    assert sorted(incidents) == ["bulk_export", "coupon_surge", "slow_export", "till_outage"]
    assert len(run.truth.incidents) == 4
    start_ms = run.records[0].at_ms
    assert all(incident.from_ms > start_ms + 3 * DAY_MS - HOUR_MS for incident in incidents.values())


def test_a_dead_till_sends_nothing_while_its_visitor_counter_goes_on(run, incidents):
    outage = incidents["till_outage"]
    sent = [event for r, event in run.events if r.key == outage.store and within(outage, r.at_ms)]
    assert len(sent) >= 20
    assert all(isinstance(event, Footfall) for event in sent)


def test_nobody_orders_at_a_dead_till_but_before_and_after_they_do(run, incidents):
    outage = incidents["till_outage"]
    times_ms = [parse_time(order.time) for _, order in run.of(Order) if order.store == outage.store]
    orders = [sum(within(outage, at_ms, days) for at_ms in times_ms) for days in (0, 1, 2)]
    assert orders[0] == 0
    assert min(orders[1:]) > 15
    assert local_hour(outage.from_ms, run.stores[outage.store].timezone) == 12


def test_a_misconfigured_coupon_makes_members_redeem_about_five_times_as_much_an_order(run, incidents):
    """By order, since some eighty redemptions in the same hours of the days before say too little of what is usual."""
    surge = incidents["coupon_surge"]
    usual, there, elsewhere = Counter[str](), Counter[str](), Counter[str]()
    for _, event in run.of(CouponRedeemed, Order):
        at_ms = parse_time(event.time)
        if event.who is None or at_ms >= surge.to_ms:
            continue
        during = there if run.stores[event.store].region == surge.region else elsewhere
        count = usual if at_ms < surge.from_ms else during
        if isinstance(event, Order):
            count["orders"] += 1
            count["discount"] += event.discount_cents
        else:
            count["redeemed"] += 1
    assert usual["orders"] > 4_000
    assert abs(there["redeemed"] / there["orders"] - SURGE_SHARE) < 0.1, "some 150 orders: three times the spread"
    for what, low, high in (
        ("redeemed", 4.4, 6),
        ("discount", 4, 5.6),
    ):  # the open code is worth less than most coupons
        each = usual[what] / usual["orders"]
        assert low < there[what] / there["orders"] / each < high
        assert elsewhere[what] / elsewhere["orders"] < 2 * each


def test_an_insider_takes_20000_rows_in_the_night(run, incidents):
    bulk = incidents["bulk_export"]
    taken = [event for _, event in run.of(AuditExport) if within(bulk, parse_time(event.time))]
    assert [(event.actor, event.rows) for event in taken] == [(bulk.actor, 20_000)]
    minute = local_ms(bulk.from_ms, "Asia/Shanghai") % DAY_MS // 60_000
    assert minute == 2 * 60 + 40


def test_another_takes_more_than_12000_rows_within_an_hour_in_small_pieces(run, incidents):
    slow = incidents["slow_export"]
    exports = [event for _, event in run.of(AuditExport) if event.actor == slow.actor]
    taken = [event.rows for event in exports if within(slow, parse_time(event.time))]
    assert sum(taken) > 12_000
    assert max(taken) < 1_000


def test_all_other_exports_are_small_and_in_office_hours(run, incidents):
    insiders = [incidents["bulk_export"], incidents["slow_export"]]
    exports = [
        event
        for _, event in run.of(AuditExport)
        if not any(event.actor == i.actor and within(i, parse_time(event.time)) for i in insiders)
    ]
    assert len(exports) > 20
    assert max(event.rows for event in exports) <= 400
    assert all(9 <= local_hour(parse_time(event.time), "Asia/Shanghai") < 18 for event in exports)


def test_incidents_scale_with_the_length_of_the_run_and_later_ones_do_not_happen():
    start_ms, kinds = Chain(1).start_ms, {}
    for days in (0.2, 2, 10):
        chain = Chain(1, stores=8, customers=20, days=days)
        for _ in chain.records():
            pass
        kinds[days] = {i.kind: (i.from_ms - start_ms) / DAY_MS for i in chain.truth.incidents}
    assert set(kinds[0.2]) == {"bulk_export"}
    assert len(kinds[2]) == len(kinds[10]) == 4
    assert min(kinds[2].values()) >= 1
    assert min(kinds[10].values()) >= 6
