"""What one partition counts, and how it says so."""

from __future__ import annotations

from msgspec import Raw

from alerts.kpis.kpi import ClockMark, Partial, Partials, decode_partial
from alerts.kpis.partials import PartialMinutes
from features import events as ev
from features.job import Message
from features.loop import Store, batches, run
from tests.oracle_kpis import SHIPPED

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON_MS = 490_000 * HOUR_MS
JOB = PartialMinutes("kpi.partials", "dead-letters", ["p0", "p1"], sources=3, retention_hours=2, catalog=SHIPPED)


def order(id: str = "o1", at_ms: int = NOON_MS, **fields: object) -> ev.Order:
    place = {"store": "0012", "region": "north", "channel": "app", "customer": "c1"} | fields
    return ev.Order(id=id, at_ms=at_ms, lines=[ev.Line("tea", 2), ev.Line("cake")], total_cents=900, **place)


def tick(at_ms: int, source: str = "pos/0", of: int = 1) -> ev.Tick:
    return ev.Tick(id="t", at_ms=at_ms, source=source, of=of)


def counted(*log: ev.Event | bytes, cuts: tuple[int, ...] = ()) -> Store:
    values = [event if isinstance(event, bytes) else ev.encode(event) for event in log]
    return run(JOB, batches("events", 1, values, cuts))[1]


def partials(sent: list[Message]) -> list[Partial]:
    said = [decode_partial(message.value) for message in sent if message.topic == "kpi.partials"]
    return [
        Partial(each.source, row.dim, row.minute_ms, row.counters, row.version)
        for each in said
        if isinstance(each, Partials)
        for row in each.rows
    ]


def named(partial: Partial) -> dict[str, int]:
    return {SHIPPED.names[column]: count for column, count in partial.counters.items() if count}


def chain(store: Store) -> dict[int, dict[str, int]]:
    """The last word on each minute of the whole chain, without zeros."""
    return {partial.minute_ms: named(partial) for partial in partials(store.sent) if partial.dim == "chain:*"}


def test_an_order_counts_under_each_dimension_it_names():
    found = {each.dim: each for each in partials(counted(order(campaign="summer", discount_cents=100)).sent)}
    crosses = {"region+channel:north+app", "channel+campaign:app+summer", "region+campaign:north+summer"}
    crosses |= {"store+campaign:0012+summer", "store+channel:0012+app"}
    assert found.keys() == {"chain:*", "store:0012", "region:north", "channel:app", "campaign:summer"} | crosses
    for dim, partial in found.items():
        minute = 59 if dim == "store+channel:0012+app" else 0
        assert (partial.source, partial.minute_ms, partial.version) == (1, NOON_MS + minute * MINUTE_MS, 0)
        told = {"orders": 1, "revenue_cents": 900, "items": 3, "discount_cents": 100}
        assert named(partial) == {**told, "eligible_orders": 1, "rung_orders": 1, "sold_items": 3}


def test_what_says_that_customers_are_merged_counts_nothing():
    words = [
        ev.Merge(id="m", customer="c2", at_ms=NOON_MS, into="c1"),
        ev.History(id="h", customer="c1", at_ms=NOON_MS, of="c2", offset=3, layout="l", record=b"x"),
        ev.Moved(
            id="v", customer="c1", at_ms=NOON_MS, of="c2", offset=4, layout="l", event=Raw(ev.encode(order("o2")))
        ),
    ]
    store = counted(order(), *words)
    assert chain(store) == chain(counted(order()))
    assert store.position.counts == {"kpi_events": 1}


def test_an_empty_dimension_is_left_out():
    assert [each.dim for each in partials(counted(order(store="", region="", channel="")).sent)] == ["chain:*"]


def test_a_void_takes_the_order_back_where_it_was():
    void = ev.Void(
        id="v",
        at_ms=NOON_MS + 50 * MINUTE_MS,
        order="o1",
        ordered_time=0,
        amount_cents=900,
        items=3,
        ordered_ms=NOON_MS,
    )
    left = {"rung_orders": 1, "sold_items": 3, "eligible_orders": 1}  # the void names no customer
    assert chain(counted(order(), void)) == {NOON_MS: left}


def test_the_second_void_of_an_order_is_a_repeat_whatever_its_id_and_time():
    at_ms = (NOON_MS + MINUTE_MS, NOON_MS + MINUTE_MS, NOON_MS + HOUR_MS)
    voids = [
        ev.Void(id=f"v{n}", at_ms=at, order="o1", ordered_time=0, amount_cents=900, ordered_ms=NOON_MS)
        for n, at in enumerate(at_ms)
    ]
    store = counted(order(), order("o2"), *voids, cuts=(4,))
    assert chain(store)[NOON_MS]["orders"] == 1
    assert store.position.counts == {"kpi_events": 2, "applied": 1, "duplicates": 2}


def test_a_refund_leaves_the_sale_and_counts_when_it_happens():
    later_ms = NOON_MS + 50 * MINUTE_MS
    refund = ev.Refund(id="r", at_ms=later_ms, order="o1", ordered_time=0, amount_cents=400, ordered_ms=NOON_MS)
    found = chain(counted(order(), refund))
    assert found[NOON_MS] == chain(counted(order()))[NOON_MS]
    assert found[later_ms] == {"refunds": 1, "refund_cents": 400}


def test_an_order_sent_twice_counts_once_in_a_batch_and_across():
    store = counted(order("a"), order("a"), order("b", customer=""), order("b", customer=""), order("a"), cuts=(2, 3))
    assert chain(store)[NOON_MS]["orders"] == 2
    assert store.position.counts == {"kpi_events": 1, "kpi_duplicates": 2, "applied": 1, "duplicates": 1}


def test_a_batch_says_each_changed_minute_once_with_the_offset_that_changed_it():
    store = counted(order("a"), order("b"), order("c", at_ms=NOON_MS + MINUTE_MS), ev.View(id="d", at_ms=NOON_MS))
    chain_partials = [partial for partial in partials(store.sent) if partial.dim == "chain:*"]
    assert [(p.minute_ms, named(p)["orders"], p.version) for p in chain_partials] == [
        (NOON_MS, 2, 1),
        (NOON_MS + MINUTE_MS, 1, 2),
    ]


def test_the_clock_follows_the_counts_to_every_target():
    sent = counted(
        order(), tick(NOON_MS, "pos/0", 2), tick(NOON_MS + 5, "app/0", 2), tick(NOON_MS + 9, "app/0", 2)
    ).sent
    said = [decode_partial(message.value) for message in sent]
    assert [message.key for message in sent[-2:]] == ["p0", "p1"]
    assert said[-2:] == [ClockMark(source=1, of=3, at_ms=NOON_MS)] * 2
    assert {type(each) for each in said[:-2]} == {Partials}


def test_the_clock_is_silent_while_it_stands_still():
    assert counted(tick(NOON_MS, "pos/0", 2), tick(NOON_MS + HOUR_MS, "pos/0", 2)).sent == []


def test_an_event_is_too_late_once_its_hour_is_forgotten():
    in_time, late = tick(NOON_MS + 3 * HOUR_MS - 1), tick(NOON_MS + 3 * HOUR_MS)
    store = counted(in_time, order("a"), late, order("b"), order("c", customer=""), cuts=(1, 2, 3, 4))
    assert chain(store)[NOON_MS]["orders"] == 1
    assert store.position.counts == {"kpi_events": 1, "kpi_too_late": 1, "too_late": 1}


def test_a_forgotten_hour_leaves_nothing_behind():
    store = counted(order(), order("b", at_ms=NOON_MS + HOUR_MS), tick(NOON_MS + 4 * HOUR_MS), cuts=(2,))
    assert (store.records, store.seen, store.timers) == ({}, {}, {})


def test_what_cannot_be_read_becomes_a_dead_letter_and_holds_nothing_up():
    store = counted(b'{"type":"order"', order(), b"\xff", b'{"type":"nonsense"}', b'{"type":"view","q":' + b"[" * 5000)
    letters = [message for message in store.sent if message.topic == "dead-letters"]
    assert [message.value[:5] for message in letters] == [b'{"typ', b"\xff", b'{"typ', b'{"typ']
    assert {message.headers["reason"] for message in letters} == {"malformed"}
    assert store.position.counts == {"dead_lettered": 4, "dead_lettered:malformed": 4, "kpi_events": 1}
    assert store.position.offset == 4


def test_stars_footfall_and_members_are_counted():
    store = counted(
        ev.Rating(id="a", at_ms=NOON_MS, stars=4.5),
        ev.Footfall(id="b", at_ms=NOON_MS, visitors=7),
        ev.AppOpen(id="c", at_ms=NOON_MS),
        ev.Bind(id="d", at_ms=NOON_MS, customer="c1"),
        ev.CouponIssued(id="e", at_ms=NOON_MS, coupon="x"),
        ev.CouponRedeemed(id="f", at_ms=NOON_MS, coupon="x"),
        ev.Complaint(id="g", at_ms=NOON_MS, case="x"),
    )
    found = {"visits": 8, "footfall": 7, "redemptions": 1, "coupons_issued": 1, "new_members": 1}
    assert chain(store)[NOON_MS] == {**found, "ratings": 1, "stars_x10": 45, "promoters": 1, "complaints": 1}


def test_a_word_to_forget_somebody_counts_nothing_and_is_no_dead_letter() -> None:
    store = counted(ev.Forget(id="f", customer="c1", at_ms=1))
    assert (store.records, store.sent, store.position.counts, store.position.offset) == ({}, [], {}, 0)


def delivered(gateway: str, at_ms: int, **fields: object) -> ev.CouponDelivered:
    """As dispatch says it."""
    told = {"campaign": "spring", "issued": 1, "issued_ms": NOON_MS - 1} | fields
    return ev.CouponDelivered(id="d1/delivered", customer="c1", at_ms=at_ms, coupon="d1", gateway=gateway, **told)


def test_a_coupon_that_gateways_have_taken_is_issued_once_in_the_minute_of_its_decision_and_by_its_campaign():
    again = delivered("sms", NOON_MS + HOUR_MS)
    found = partials(counted(delivered("push", NOON_MS), again, order("o", campaign="spring"), cuts=(1, 2)).sent)
    said = {(each.dim, each.minute_ms): named(each) for each in found if "coupons_issued" in named(each)}
    minute_ms = NOON_MS - MINUTE_MS
    assert said == {(dim, minute_ms): {"coupons_issued": 1} for dim in ("chain:*", "campaign:spring")}


def test_what_others_say_of_a_delivery_issues_nothing_and_neither_does_what_was_written_before():
    sent = ev.CouponDelivered(id="e", customer="c1", at_ms=NOON_MS, day=1, tz="UTC", coupon="d1", campaign="spring")
    before = b'{"type":"coupon_delivered","id":"d2/delivered","customer":"c1","at_ms":%d,"coupon":"d2"}' % NOON_MS
    store = counted(sent, before)
    assert (partials(store.sent), store.position.counts) == ([], {"kpi_events": 1, "kpi_own": 1})
