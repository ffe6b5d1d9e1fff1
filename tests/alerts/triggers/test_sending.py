"""A message leaves at the hour at which its customer usually orders, unless something has come between."""

from __future__ import annotations

from math import nan

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.gifts import Arm, Then
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.receipts.kept import Keeping, decode_kept
from alerts.triggers.rule import Rule
from alerts.triggers.sending import sending
from features import events as e
from features.forgotten import name_hash
from features.loop import batches, run
from features.quiet import ALWAYS_AWAKE, QuietHours
from features.times import DAY_MS, HOUR_MS, parse_time
from tests.alerts.triggers.jobs import customers_job, data_of, encoded, trials_of
from tests.world import World

MIDNIGHT_MS = parse_time("2026-05-04T00:00:00+08:00")
NIGHT = QuietHours(22 * 60, 8 * 60)
LATER = Rule(id="later", on=["view"], when="true", then=Then("l", valid="7d", send="their-hour"), cooldown="0s")
ARMS = [Arm("three", coupon="T", face_value_cents=300), Arm("five", coupon="F", face_value_cents=500)]
ARMED = replace(LATER, then=Then(valid="7d", send="their-hour", arms=ARMS))
POLICY = Policy(100, DAY_MS, 0.0, "", "marketing", NIGHT)


@given(
    st.integers(0, DAY_MS - 1),
    st.one_of(st.just(nan), st.integers(0, 23).map(float)),
    st.sampled_from([ALWAYS_AWAKE, NIGHT, QuietHours(12 * 60 + 30, 14 * 60)]),
    st.sampled_from(["2h", "20h", "7d"]),
)
def test_the_time_is_the_first_allowed_one_of_their_hour_by_trying_every_minute(
    local_ms: int, hour: float, quiet: QuietHours, valid: str
) -> None:
    then = Then("c", valid=valid, send="their-hour")
    send_ms, why = sending(then, local_ms, local_ms, hour, quiet)
    minutes = [local_ms, *range(local_ms // 60_000 * 60_000 + 60_000, local_ms + DAY_MS + HOUR_MS, 60_000)]
    awake = [ms for ms in minutes if not quiet.left_ms(ms)]
    begins = [ms for ms in awake if ms // HOUR_MS % 24 == hour]
    if hour == hour and quiet.left_ms(int(hour) * HOUR_MS):  # it begins in quiet hours, so their end is meant
        begins = [ms for ms in awake if (ms - quiet.end * 60_000) % DAY_MS < HOUR_MS]
    wanted = (begins or awake)[0]
    if wanted >= local_ms + then.valid_ms:
        assert why == "expires"
        wanted = awake[0] if awake[0] < local_ms + then.valid_ms else local_ms
    assert send_ms == wanted
    assert local_ms <= send_ms < local_ms + DAY_MS + HOUR_MS


def test_who_sends_at_once_waits_for_nothing() -> None:
    assert sending(Then("c"), 5, 5, 3.0, NIGHT) == (5, "")


def at(hours: float) -> int:
    return MIDNIGHT_MS + round(hours * HOUR_MS)


def event(kind: type[e.Event], hours: float, customer: str = "ca", **more: object) -> e.Event:
    if kind is e.Order:
        more |= {"lines": [e.Line("tea")], "total_cents": 1}
    return kind(id=f"{customer}{kind.__name__}{hours}", customer=customer, at_ms=at(hours), tz="Asia/Shanghai", **more)


def town(*events: e.Event, rule: Rule = LATER) -> World:
    """A customer who orders at six in the evening, and looks at something on the second day at ten."""
    world = World(Merging(customers_job([rule], POLICY, keeping=Keeping(receipts=5)), "events"))
    for customer in ("ca", "cb"):
        world.tell(event(e.Consent, 0, customer, purpose="marketing", granted=True))
        world.tell(event(e.Order, 18, customer))
    live(world, 33.9, event(e.View, 34), *events)
    return world


def live(world: World, clock: float, *events: e.Event) -> None:
    world.tell(e.Tick(id="t", at_ms=at(clock), source="pos/0", of=1))
    for one in events:
        world.tell(one)
    world.settle()


def sent(world: World) -> list[tuple[str, float]]:
    """(customer, when it leaves by its own word) of what has left."""
    coupons = [one for store in world.stores.values() for one in data_of(store, "coupons")]
    return [(one["customer"], (one["send_ms"] - MIDNIGHT_MS) / HOUR_MS) for one in coupons]


def outcomes(world: World) -> list[tuple[str, str]]:
    decisions = [one for store in world.stores.values() for one in data_of(store, "decisions")]
    return [(one["outcome"], one["because"]) for one in decisions]


def timers(world: World) -> list[str]:
    return [name for store in world.stores.values() for name in store.timers if name.startswith("send|")]


def test_a_coupon_that_was_revoked_while_it_waited_is_not_sent() -> None:
    world = town()
    [decision] = [one for store in world.stores.values() for one in data_of(store, "decisions")]
    live(world, 36, event(e.CouponRevoked, 36, coupon=decision["decision"]))
    live(world, 42)
    assert (outcomes(world), sent(world)) == ([("issued", ""), ("withheld", "revoked")], [])


def test_it_is_decided_at_once_and_leaves_at_their_hour() -> None:
    world = town()
    assert (outcomes(world), sent(world)) == ([("issued", "")], [])
    live(world, 41.99)
    assert sent(world) == []
    live(world, 42)
    assert sent(world) == [("ca", 42)]
    live(world, 90)
    assert (len(sent(world)), timers(world)) == (1, [])
    [message] = [m for store in world.stores.values() for m in store.sent if m.topic == "coupons"]
    envelope = orjson.loads(message.value)
    assert (message.key, envelope["type"], envelope["subject"]) == ("ca", "brewline.coupon.issued", "ca")


def test_who_is_suppressed_meanwhile_does_not_get_it() -> None:
    world = town()
    live(world, 40, event(e.Suppress, 40, reason="complaint"))
    live(world, 42)
    assert (sent(world), outcomes(world)) == ([], [("issued", ""), ("withheld", "complaint")])
    assert timers(world) == []


def test_a_suppression_that_is_over_by_then_keeps_nothing_back() -> None:
    world = town()
    live(world, 36, event(e.Suppress, 36, reason="complaint", until_ms=at(42)))
    live(world, 42)
    assert sent(world) == [("ca", 42)]


def test_who_takes_back_consent_meanwhile_does_not_get_it() -> None:
    world = town(
        event(e.Consent, 35, purpose="other", granted=False),
        event(e.Consent, 34.5, "cb", purpose="marketing", granted=False),
    )
    live(world, 36, event(e.Consent, 36, purpose="marketing", granted=False))
    assert outcomes(world) == [("issued", ""), ("withheld", "no_consent")]
    live(world, 42)
    assert (sent(world), timers(world)) == ([], [])


def test_a_refusal_from_before_the_decision_that_comes_after_it_counts_unless_a_later_word_is_known() -> None:
    late, old = (event(e.Consent, hours, purpose="marketing", granted=False) for hours in (33.95, -1))
    for word, wanted in ((late, []), (old, [("ca", 42)])):
        world = town(word)
        live(world, 42)
        assert sent(world) == wanted


def test_who_becomes_one_with_somebody_who_has_refused_since_does_not_get_it() -> None:
    world = town(event(e.Consent, 35, "cb", purpose="marketing", granted=False))
    world.merge("ca", "cb", at(36))
    world.settle()
    live(world, 42)
    assert (sent(world), outcomes(world)[-1]) == ([], ("withheld", "no_consent"))


def test_what_is_withheld_from_who_has_become_another_is_kept_with_the_one_they_are() -> None:
    world = town()
    world.merge("aa", "ca", at(36))
    world.settle()
    live(world, 40, event(e.Suppress, 40, "aa", reason="complaint"))
    live(world, 42)
    assert (sent(world), sorted(outcomes(world))) == ([], [("issued", ""), ("withheld", "complaint")])
    kept = {who: receipts for store in world.stores.values() for who, receipts in store.receipts.items()}
    assert [decode_kept(raw).outcome for raw in kept["aa"]][-1] == "withheld"


@pytest.mark.parametrize("cuts", [[], [8], [8, 9], [8, 9, 10]])
def test_it_does_not_matter_where_a_batch_ends_between_two_that_are_due(cuts: list[int]) -> None:
    """Their hour moves from six in the evening to ten. Of a suppression it is told when both have left."""
    ticks = [e.Tick(id=f"t{hours}", at_ms=at(hours), source="pos/0", of=1) for hours in (33.9, 42.5, 59)]
    orders = [event(e.Order, hours) for hours in (34.2, 34.4, 34.6)]
    before = (event(e.Consent, 0, purpose="marketing", granted=True), event(e.Order, 18), ticks[0])
    log = [*before, event(e.View, 34), *orders, event(e.View, 35), *ticks[1:], event(e.Suppress, 50, reason="r")]
    store = run(customers_job([LATER], POLICY), batches("events", 0, encoded(log), cuts))[0]
    assert [(one["send_ms"] - MIDNIGHT_MS) / HOUR_MS for one in data_of(store, "coupons")] == [42, 58]


def test_who_is_forgotten_meanwhile_does_not_get_it_and_nothing_is_kept() -> None:
    world = town()
    forget = e.Forget(id=f"forget|{name_hash('ca')}", customer="ca", at_ms=at(36))
    live(world, 36, forget)
    assert (timers(world), world.stored("ca")) == ([], b"")
    live(world, 42)
    assert sent(world) == []


def test_what_is_held_goes_over_to_the_one_they_become_and_leaves_once() -> None:
    for first, second in (("ca", "cb"), ("cb", "ca")):
        world = town(event(e.View, 34.1, "cb"))
        live(world, 36)
        world.merge(first, second, at(36))
        world.settle()
        assert (timers(world), sent(world)) == (["send|ca"], [])
        live(world, 42)
        assert sorted(sent(world)) == [("ca", 42), ("cb", 42)], "each under the id it was decided for"
        assert {m.key for store in world.stores.values() for m in store.sent if m.topic == "coupons"} == {"ca"}
        live(world, 90)
        assert (len(sent(world)), timers(world)) == (2, [])


def told(world: World) -> list[tuple[int, bool]]:
    """Of the arm that was given: revision, and whether it was withdrawn."""
    trials = [one for store in world.stores.values() for one in trials_of(store)]
    return [(one.revision, one.withdrawn) for one in trials]


@pytest.mark.parametrize(
    "word",
    [
        event(e.Suppress, 36, reason="complaint"),
        event(e.Consent, 36, purpose="marketing", granted=False),
        e.Forget(id="f", customer="ca", at_ms=at(36)),
    ],
    ids=["suppressed", "without consent", "forgotten"],
)
@pytest.mark.parametrize("merged", [False, True])
def test_an_arm_of_which_the_message_was_withheld_is_withdrawn_once(word: e.Event, merged: bool) -> None:
    world = town(rule=ARMED)
    if merged:
        world.merge("ca", "cb", at(35))
        world.settle()
    live(world, 36, replace(word, customer=world.record("ca")[0]))
    live(world, 42)
    live(world, 90, event(e.Order, 91, "cb"))
    assert (sent(world), told(world)) == ([], [(0, False), (1, True)])


def test_an_arm_of_which_the_message_was_sent_or_revoked_after_that_stays_a_trial() -> None:
    world = town(rule=ARMED)
    live(world, 42)
    live(world, 43, event(e.Suppress, 43, reason="complaint"))
    assert (sent(world), told(world)) == ([("ca", 42)], [(0, False)])


def test_who_is_forgotten_takes_back_what_was_not_redeemed_and_leaves_what_was() -> None:
    for redeemed in (True, False):
        world = town(rule=ARMED)
        live(world, 42)
        if redeemed:
            [coupon] = [one for store in world.stores.values() for one in data_of(store, "coupons")]
            used = {"coupon": coupon["code"], "order": "o", "total_cents": 2_000}
            live(world, 43, event(e.CouponRedeemed, 43, **used))
        live(world, 44, e.Forget(id="f", customer="ca", at_ms=at(44)))
        live(world, 45, event(e.Order, 45))
        assert told(world)[-1] == ((1, False) if redeemed else (1, True))
        assert len(told(world)) == 2


def test_what_leaves_later_counts_on_its_channel_when_it_leaves() -> None:
    """Ordered at 18:00; a message that is decided on at 19:12 leaves on the next day at 18:00."""
    policy = replace(POLICY, consent="", channel_caps={"push": Cap(1, DAY_MS)})
    soon = Rule(id="soon", on=["app_open"], when="true", then=Then("n"), cooldown="0s")

    def at(day: float, event: type[e.Event], **more: object) -> e.Event:
        return event(id=f"{day}", customer="c", at_ms=MIDNIGHT_MS + round(day * DAY_MS), tz="Asia/Shanghai", **more)

    def tick(day: float) -> e.Event:
        return e.Tick(id=f"t{day}", at_ms=MIDNIGHT_MS + round(day * DAY_MS), source="s", of=1)

    order = at(0.75, e.Order, lines=[e.Line("t")], total_cents=1)
    log = [order, tick(1.8), at(1.8, e.View), tick(2.75), tick(2.81), at(2.81, e.AppOpen), tick(2.9)]
    log += [at(3.76, e.AppOpen)]
    store = run(customers_job([LATER, soon], policy), batches("events", 0, encoded(log)))[0]
    told = [(decision["rule"], decision["outcome"]) for decision in data_of(store, "decisions")]
    assert told == [("later", "issued"), ("soon", "channel_capped"), ("soon", "issued")]
