"""Suppression, exits, caps per channel and messages that are held: by the letter, wherever the log is cut."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.gifts import Then
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.quiet import QuietHours
from features.times import DAY_MS, local_hour
from tests.alerts.triggers.jobs import customers_job, data_of, encoded, told_anyhow
from tests.features.streams import cuts, logs, with_ticks

CUSTOMERS = ("ca", "cb", "cc")
LATER = {"send": "their-hour"}
RULES = [
    Rule(
        id="flap", on=["view"], when="views_1h >= 1", then=Then("f"), cooldown="0s", exit="hour < 12", exit_on=["order"]
    ),
    Rule(
        id="wait", after=After("cart_add", "30m"), when="orders_1h = 0", then=Then("w"), cooldown="0s", exit="hour < 9"
    ),
    Rule(id="later", on=["order"], when="orders_90d >= 1", then=Then("l", **LATER), cooldown="1h", capped=False),
    Rule(id="told", on=["app_open"], when="true", then=Then(message="m", channel="sms"), cooldown="0s", capped=False),
    Rule(id="paid", on=["app_open"], when="true", then=Then("p", channel="sms"), cooldown="0s"),
    Rule(id="earned", on=["rating"], when="true", then=Then("e", channel="sms"), cooldown="0s", capped=False),
]
POLICY = Policy(
    cap=100,
    cap_window_ms=2 * DAY_MS,
    holdout=0.0,
    holdout_salt="",
    consent="marketing",
    quiet=QuietHours(22 * 60, 8 * 60),
    channel_caps={"sms": Cap(2, 3 * DAY_MS)},
)
JOB = customers_job(RULES, POLICY)
GRANTS: list[e.Event] = [
    e.Consent(id=f"g{customer}", customer=customer, at_ms=1, purpose="marketing", granted=True, tz="Asia/Shanghai")
    for customer in CUSTOMERS
]


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    log = draw(logs(CUSTOMERS, longest=40).flatmap(with_ticks))
    times = [event.at_ms for event in log] or [1]
    for number in range(draw(st.integers(0, 6))):
        at_ms = draw(st.sampled_from(times))
        word = e.Suppress(
            id=f"s{number}",
            customer=draw(st.sampled_from(CUSTOMERS)),
            at_ms=at_ms,
            reason=draw(st.sampled_from(("review", "vip"))),
            until_ms=draw(st.sampled_from((0, at_ms + 1, at_ms + DAY_MS))),
            lift=draw(st.booleans()),
        )
        if word.lift and draw(st.booleans()):
            word.reason = ""
        log.insert(draw(st.integers(0, len(log))), word)
    return GRANTS + log


def after(log: list[e.Event], cuts: list[int], store: Store | None = None) -> Store:
    return run(JOB, batches("events", 0, encoded(log), cuts), {0: store or Store()})[0]


@settings(max_examples=80, deadline=None)
@given(streams(), cuts)
def test_any_cuts_give_the_same_messages_timers_and_records(log: list[e.Event], cuts: list[int]) -> None:
    whole, single, cut = after(log, []), after(log, list(range(len(log)))), after(log, cuts)
    for store in (single, cut):
        assert told_anyhow(store.sent) == told_anyhow(whole.sent)
        assert [m for m in store.sent if m.topic == "coupons"] == [m for m in whole.sent if m.topic == "coupons"]
        assert (store.timers, store.records, store.position) == (whole.timers, whole.records, whole.position)


@settings(max_examples=40, deadline=None)
@given(streams(), cuts, st.integers(0, 60), st.integers(0, 60))
def test_a_process_that_dies_sends_nothing_twice_and_forgets_nothing_that_is_held(
    log: list[e.Event], cuts: list[int], first: int, second: int
) -> None:
    kept, lost = sorted((first, second))
    store = after(log[:kept], cuts)
    snapshot = deepcopy(store)
    after(log[:lost], cuts, store)
    replayed, unharmed = after(log, [], snapshot), after(log, [])
    assert (replayed.timers, replayed.records) == (unharmed.timers, unharmed.records)
    coupons = [coupon["decision"] for coupon in data_of(replayed, "coupons")]
    assert coupons == [coupon["decision"] for coupon in data_of(unharmed, "coupons")]
    assert len(set(coupons)) == len(coupons)


@settings(max_examples=120, deadline=None)
@given(streams())
def test_who_is_suppressed_by_what_was_said_before_gets_nothing_and_nobody_else_is(log: list[e.Event]) -> None:
    places = {event.id: place for place, event in reversed([*enumerate(log)])}  # of the first, where one is repeated
    for decision in data_of(after(log, []), "decisions"):
        if decision["cause"] in places and decision["outcome"] not in ("no_consent", "withheld"):
            said = [word for word in log[: places[decision["cause"]]] if isinstance(word, e.Suppress)]
            mine = [word for word in said if word.customer == decision["customer"]]
            wanted = bool(in_force(mine, decision["at_ms"]))
            assert (decision["outcome"] == "suppressed") == wanted
            assert decision["because"] in in_force(mine, decision["at_ms"]) or not wanted


def in_force(words: list[e.Suppress], at_ms: int) -> set[str]:
    """The reasons for which a customer gets nothing: by the latest word on each; of two at once, the stricter."""
    found = set()
    for reason in {word.reason for word in words} - {""}:
        by_then = [word for word in words if word.reason in (reason, "") and word.at_ms <= at_ms]
        latest_ms = max((word.at_ms for word in by_then), default=0)
        latest = [word for word in by_then if word.at_ms == latest_ms and not word.lift]
        if any(not word.until_ms or at_ms < word.until_ms for word in latest):
            found.add(reason)
    return found


@settings(max_examples=120, deadline=None)
@given(streams())
def test_a_channel_is_full_exactly_when_its_cap_was_sent_within_the_window(log: list[e.Event]) -> None:
    sent: dict[str, list[int]] = {customer: [] for customer in CUSTOMERS}
    for decision in data_of(after(log, []), "decisions"):
        mine, at_ms = sent[decision["customer"]], decision["at_ms"]
        if decision["channel"] != "sms":
            assert decision["outcome"] != "channel_capped"
            continue
        late = any(ms > at_ms + DAY_MS for ms in mine)  # so late that it may not be remembered any more
        full = sum(ms > at_ms - 3 * DAY_MS for ms in mine) >= 2
        if decision["outcome"] == "issued" and not late:
            assert not full or decision["rule"] == "earned"
        if decision["outcome"] == "channel_capped":
            assert decision["because"] == "sms"
            assert late or (full and decision["rule"] != "earned")
        if decision["outcome"] == "issued":
            mine.append(at_ms)


@settings(max_examples=120, deadline=None)
@given(streams())
def test_who_is_inside_stays_so_until_the_exit_was_true(log: list[e.Event]) -> None:
    """`flap` looks at views, and is left at a view or an order before noon."""
    decided = {d["cause"]: d["outcome"] for d in data_of(after(log, []), "decisions") if d["rule"] == "flap"}
    inside, zones, seen = dict[str, int](), dict[str, str](), set[str]()
    for event in log:
        if event.id in seen:
            continue
        seen.add(event.id)
        zone = zones[event.customer] = event.tz or zones.get(event.customer, "UTC")
        if not isinstance(event, (e.View, e.Order)):
            continue
        noon = local_hour(event.at_ms, zone) < 12
        outcome = decided.get(event.id, "")
        if noon and inside.get(event.customer, event.at_ms) < event.at_ms:
            del inside[event.customer]
        if isinstance(event, e.View) and noon:
            assert not outcome, "it never fires where its exit holds"
        if outcome == "issued":
            assert event.customer not in inside
            inside[event.customer] = event.at_ms
        if outcome == "inside":
            assert event.customer in inside
