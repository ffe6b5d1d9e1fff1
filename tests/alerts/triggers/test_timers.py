"""What becomes due does so by the clock of all sources, once, and is judged as of its due time."""

from __future__ import annotations

from msgspec.structs import replace

from alerts.triggers.gifts import Then
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.times import HOUR_MS, MINUTE_MS, parse_time
from tests.alerts.triggers.jobs import customers_job, data_of, encoded

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
CART = Rule(
    id="cart",
    after=After("cart_add", "30m"),
    when="minutes_since_cart_add >= 0 OR orders_1h > 9",
    then=Then("c"),
    cooldown="0s",
)
JOB = customers_job([CART])


def cart(minute: float, number: int = 1) -> e.CartAdd:
    return e.CartAdd(id=f"e{number}", customer="c1", sku="tea", at_ms=at(minute), tz="Asia/Shanghai")


def tick(minute: float, source: str = "pos/0", of: int = 1) -> e.Tick:
    return e.Tick(id="t", at_ms=at(minute), source=source, of=of)


def at(minute: float) -> int:
    return NOON_MS + round(minute * MINUTE_MS)


def after(*log: e.Event) -> Store:
    return run(JOB, batches("events", 0, encoded(list(log)))).get(0, Store())


def firings(*log: e.Event) -> list[float]:
    """Minutes after noon."""
    return [(coupon["at_ms"] - NOON_MS) / MINUTE_MS for coupon in data_of(after(*log), "coupons")]


def test_a_wait_ends_with_the_first_tick_that_reaches_it_and_only_once() -> None:
    assert firings(cart(0), tick(29.9)) == []
    assert firings(cart(0), tick(30)) == [30]
    assert firings(cart(0), tick(30), tick(31), tick(99)) == [30]


def test_a_late_tick_still_judges_as_of_the_due_time() -> None:
    (decision,) = data_of(after(cart(0), tick(300)), "decisions")
    assert (decision["at_ms"], decision["values"]["minutes_since_cart_add"]) == (at(30), 30)


def test_the_clock_is_the_least_of_all_sources_and_waits_until_each_has_spoken() -> None:
    assert firings(cart(0), tick(60, "pos/0", of=2)) == []
    assert firings(cart(0), tick(60, "pos/0", of=2), tick(20, "app/0", of=2)) == []
    assert firings(cart(0), tick(60, "pos/0", of=2), tick(20, "app/0", of=2), tick(31, "app/0", of=2)) == [30]


def test_the_clock_never_runs_backwards() -> None:
    store = after(tick(60), tick(10), cart(0), tick(20))
    assert store.position.clock.now_ms == at(60)
    assert data_of(store, "coupons") == [], "a wait that was over before it began ends with the next move of the clock"
    assert firings(tick(60), tick(10), cart(0), tick(61)) == [30]


def test_a_source_that_repeats_an_old_tick_does_not_hold_the_clock_back() -> None:
    ticks = tick(60, "pos/0", of=2), tick(10, "pos/0", of=2), tick(31, "app/0", of=2)
    assert firings(cart(0), *ticks) == [30]


def test_a_later_event_starts_the_wait_anew_and_a_late_one_does_not() -> None:
    assert firings(cart(0), cart(20, 2), tick(35)) == []
    assert firings(cart(0), cart(20, 2), tick(50)) == [50]
    assert firings(cart(20), cart(0, 2), tick(35)) == []
    assert firings(cart(20), cart(0, 2), tick(50)) == [50]


def test_waits_end_in_the_order_of_their_due_times() -> None:
    others = [
        e.CartAdd(id=f"x{n}", customer=f"c{n}", sku="tea", at_ms=NOON_MS - n * HOUR_MS, tz="UTC") for n in (2, 5, 3)
    ]
    coupons = data_of(after(*others, tick(60)), "coupons")
    assert [coupon["customer"] for coupon in coupons] == ["c5", "c3", "c2"]


def test_of_records_that_cannot_be_read_each_has_its_own_dead_letter() -> None:
    store = after(*(replace(cart(0, number), customer=customer) for number, customer in enumerate(("c1", "c2"))))
    store.records |= {customer: raw[:20] for customer, raw in store.records.items()}
    [ticked] = batches("events", 0, encoded([tick(31)]), first=store.position.offset + 1)
    run(JOB, [ticked], {0: store})
    letters = [message for message in store.sent if message.topic == "dead-letters"]
    assert sorted(letter.value for letter in letters) == [b"c1", b"c2"]
    assert len({letter.headers["ce_id"] for letter in letters}) == 2
